import asyncio
import json
from typing import Any

import msgspec
import pytest

from experiments.assignment.api.routes import ROUTES
from experiments.assignment.bucketing import bucket
from experiments.assignment.holder import PlanHolder
from experiments.assignment.plan import PlacementPlan, Plan
from experiments.gateway.clock import Clock
from experiments.gateway.dispatch import Call, Dispatcher
from experiments.gateway.handlers import Response, Services
from tests.experiments.assignment import plans

KEYS = plans.Keys()
ALL = "/ofrep/v1/evaluate/flags"
CONTEXT = {"context": {"targetingKey": "u1", "country": "nl"}}


class Held(PlanHolder):
    """A holder of one plan."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.swap(plan)


def ask(
    path: str,
    body: Any = CONTEXT,
    key: str = KEYS.browser,
    plan: Plan | None = None,
    **headers: str,
) -> Response:
    holder = Held(plan or plans.plan(KEYS))
    dispatcher = Dispatcher(ROUTES, lambda: holder.current().keys)
    match = dispatcher.find(path)
    assert match is not None

    async def read(limit: int) -> bytes:
        return body if isinstance(body, bytes) else json.dumps(body).encode()

    sent = {"x-api-key": key} | {n.replace("_", "-"): v for n, v in headers.items()}
    services = Services(Clock())
    services.provide(holder, as_type=PlanHolder)
    call = Call("POST", path, "", sent, read, "")
    return asyncio.run(dispatcher.answer(call, match, services))


def test_a_placement_under_test_answers_the_variant_and_where_it_came_from() -> None:
    response = ask(f"{ALL}/home")
    treated = bucket("home-test", "u1") >= 0.5
    assert response.status == 200
    assert json.loads(response.body) == {
        "key": "home",
        "reason": "SPLIT",
        "variant": "treatment" if treated else "control",
        "value": {"model": "home", "version": 2 if treated else 1},
        "metadata": {
            "decidedBy": "SPLIT",
            "experiment": "home-test",
            "phase": 1,
            "epoch": 1,
            "probability": 0.5,
            "model": "home",
            "modelVersion": 2 if treated else 1,
        },
    }


def test_a_default_has_a_variant_and_a_reason_of_the_protocol() -> None:
    body = json.loads(ask(f"{ALL}/colour").body)
    assert (body["variant"], body["reason"], body["value"]) == (
        "default",
        "STATIC",
        "blue",
    )


@pytest.mark.parametrize("text", ["5.0", "5", "true", '"x"', '{"a": [1.0]}', "1e-7"])
def test_a_value_is_written_as_it_was(text: str) -> None:
    made = plans.plan(KEYS)
    number = PlacementPlan(key="number", value_type="number", default_payload=text)
    made = msgspec.structs.replace(made, placements={"number": number})
    assert f'"value":{text},'.encode() in ask(f"{ALL}/number", plan=made).body


def test_all_placements_answer_at_once() -> None:
    response = ask(ALL)
    body = json.loads(response.body)
    assert [flag["key"] for flag in body["flags"]] == ["home", "colour"]
    assert body["flags"][0] == json.loads(ask(f"{ALL}/home").body)
    assert dict(response.headers)["content-type"] == "application/json"


def test_nothing_is_sent_again_while_nothing_changed() -> None:
    made = plans.plan(KEYS)
    etag = dict(ask(ALL, plan=made).headers)["etag"]
    again = ask(ALL, plan=made, if_none_match=etag)
    assert (again.status, again.body) == (304, b"")
    assert dict(again.headers)["etag"] == etag
    other = {"context": {"targetingKey": "u2"}}
    assert ask(ALL, other, plan=made, if_none_match=etag).status == 200
    assert ask(ALL, plan=plans.plan(KEYS), if_none_match=etag).status == 200


def test_a_phase_that_starts_meanwhile_is_a_change() -> None:
    made = plans.plan(KEYS)
    later = plans.experiment(started_at=2e9)
    home = msgspec.structs.replace(made.placements["home"], experiments=(later,))
    made = msgspec.structs.replace(made, placements={"home": home})
    body = {**CONTEXT, "timestamp": "2026-01-01T00:00:00Z"}
    after = {**CONTEXT, "timestamp": "2040-01-01T00:00:00Z"}
    first = ask(ALL, body, KEYS.simulate, made)
    second = ask(ALL, after, KEYS.simulate, made)
    assert json.loads(first.body)["flags"][0]["reason"] == "STATIC"
    assert json.loads(second.body)["flags"][0]["reason"] == "SPLIT"
    assert dict(first.headers)["etag"] != dict(second.headers)["etag"]


@pytest.mark.parametrize("path", [ALL, f"{ALL}/home"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        ({"context": []}, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": 5}}, "INVALID_CONTEXT"),
        ({}, "TARGETING_KEY_MISSING"),
        ({"context": {}}, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": ""}}, "TARGETING_KEY_MISSING"),
    ],
)
def test_a_wrong_context_is_refused_in_the_protocols_form(
    path: str, body: Any, code: str
) -> None:
    response = ask(path, body)
    error = json.loads(response.body)
    assert (response.status, error["errorCode"]) == (400, code)
    assert error["errorDetails"]
    assert error.get("key") == ("home" if path.endswith("home") else None)


def test_an_unknown_placement_is_a_flag_not_found() -> None:
    response = ask(f"{ALL}/nowhere")
    assert response.status == 404
    assert json.loads(response.body)["errorCode"] == "FLAG_NOT_FOUND"


def test_a_placement_whose_model_has_no_version_fails_alone() -> None:
    made = plans.plan(KEYS)
    empty = PlacementPlan(key="empty", value_type="model")
    made = msgspec.structs.replace(
        made, placements={"empty": empty, "colour": made.placements["colour"]}
    )
    flags = json.loads(ask(ALL, plan=made).body)["flags"]
    assert [flag.get("errorCode") for flag in flags] == ["GENERAL", None]
    assert json.loads(ask(f"{ALL}/empty", plan=made).body)["errorCode"] == "GENERAL"


@pytest.mark.parametrize(
    ("key", "status"), [("", 401), (KEYS.catalogue, 403)], ids=["none", "scope"]
)
def test_a_wrong_key_is_refused_without_a_body(key: str, status: int) -> None:
    response = ask(ALL, key=key)
    assert (response.status, response.body) == (status, b"")
