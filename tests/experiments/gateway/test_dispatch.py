import asyncio
import json
import logging
from collections.abc import Mapping

import pytest

from experiments.gateway import keys
from experiments.gateway.clock import Clock
from experiments.gateway.dispatch import Call, Dispatcher
from experiments.gateway.handlers import Request, Response, Route, Services
from experiments.gateway.routing import Router
from models_registry.errors import ConflictError, Detail, ShipworthyError

PUBLIC = keys.generate("publishable")
SECRET = keys.generate("secret")
KEYS = {
    keys.digest(plain): keys.Key(
        id=number,
        digest=keys.digest(plain),
        kind=kind,
        label=kind,
        scopes=("evaluate",),
        expires_at=expires_at,
    )
    for number, (plain, kind, expires_at) in enumerate(
        [(PUBLIC, "publishable", 2_000.0), (SECRET, "secret", 0.0)]
    )
}


class StoppedClock(Clock):
    def __init__(self, moment: float) -> None:
        self.moment = moment

    def now(self) -> float:
        return self.moment


async def echo(request: Request, services: Services) -> Response:
    body = {
        "key": request.key.label if request.key else None,
        "query": request.query,
        "path": request.path_parameters,
        "id": request.request_id,
    }
    return Response(200, json.dumps(body).encode())


async def broken(request: Request, services: Services) -> Response:
    raise RuntimeError(f"secret {SECRET}")


async def refusing(request: Request, services: Services) -> Response:
    detail = Detail("items[3].price", "negative", "-1 is below 0")
    raise ConflictError("It has changed; read it again.", details=(detail,))


async def cached(request: Request, services: Services) -> Response:
    return Response(200, b"{}", (("cache-control", "public, max-age=30"),))


def own_form(error: ShipworthyError, parameters: Mapping[str, str]) -> Response:
    return Response(error.status, f"{parameters['name']}: {error.code}".encode())


ROUTES = (
    Route("GET", "/open", echo, None),
    Route("GET", "/broken", broken, None),
    Route("GET", "/refusing", refusing, None),
    Route("GET", "/cached", cached, None),
    Route("POST", "/open", echo, None),
    Route("GET", "/by-path/{client_key}", echo, "evaluate", key_parameter="client_key"),
    Route("GET", "/own/{name}", refusing, None, render_error=own_form),
)


def answer(
    path: str,
    method: str = "GET",
    query: str = "",
    moment: float = 1_000.0,
    **headers: str,
) -> Response:
    dispatcher = Dispatcher(ROUTES, lambda: KEYS)
    match = dispatcher.find(path)
    assert match is not None

    async def read(limit: int) -> bytes:
        return b""

    call = Call(method, path, query, headers, read, "127.0.0.1")
    services = Services()
    services.provide(StoppedClock(moment), as_type=Clock)
    return asyncio.run(dispatcher.answer(call, match, services))


def code(response: Response) -> str:
    found: str = json.loads(response.body)["error"]["code"]
    return found


def test_a_fault_of_ours_is_an_envelope_that_tells_nothing_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        response = answer("/broken")
    assert (response.status, code(response)) == (500, "internal")
    assert SECRET.encode() not in response.body
    request_id = dict(response.headers)["x-request-id"]
    assert json.loads(response.body)["error"]["request_id"] == request_id
    assert request_id in caplog.text


def test_an_anticipated_error_keeps_its_details() -> None:
    response = answer("/refusing")
    error = json.loads(response.body)["error"]
    assert (response.status, error["code"]) == (409, "conflict")
    assert error["details"] == [
        {"field": "items[3].price", "code": "negative", "message": "-1 is below 0"}
    ]


def test_a_route_may_have_its_own_form_of_errors() -> None:
    assert answer("/own/me").body == b"me: conflict"


def test_a_handler_may_allow_caching() -> None:
    headers = [h for h in answer("/cached").headers if h[0] == "cache-control"]
    assert headers == [("cache-control", "public, max-age=30")]


def test_the_query_is_decoded() -> None:
    body = json.loads(answer("/open", query="a=1&b=%20x&c=").body)
    assert body["query"] == {"a": "1", "b": " x", "c": ""}


def test_a_publishable_key_may_stand_in_the_path() -> None:
    assert json.loads(answer(f"/by-path/{PUBLIC}").body)["key"] == "publishable"


def test_a_secret_key_may_not_stand_in_the_path() -> None:
    response = answer(f"/by-path/{SECRET}")
    assert (response.status, code(response)) == (401, "secret_key_in_address")


def test_a_key_expires_between_plans() -> None:
    assert answer(f"/by-path/{PUBLIC}", moment=1_999.0).status == 200
    response = answer(f"/by-path/{PUBLIC}", moment=2_000.0)
    assert (response.status, code(response)) == (401, "key_unknown")


def test_methods_of_one_path_may_differ() -> None:
    assert answer("/open", "POST").status == 200
    response = answer("/open", "PUT")
    assert response.status == 405
    assert dict(response.headers)["allow"] == "GET, HEAD, OPTIONS, POST"


def test_two_handlers_for_one_method_and_path_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="GET /open"):
        Router((ROUTES[0], ROUTES[0]))


@pytest.mark.parametrize(
    "path", ["/by-path", "/by-path/", "/by-path/a/b", "/open/", "/", ""]
)
def test_other_paths_are_somebody_elses(path: str) -> None:
    assert Router(ROUTES).find(path) is None
