"""Both protocols over Django's URLconf and over a real front: the same cases."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis

from experiments.assignment.plan import PlacementPlan
from tests.config.shops import Answer, DjangoShop, FrontShop, Shop, wait_for
from tests.experiments.assignment import plans
from tests.experiments.assignment.wire import logged

KEYS = plans.Keys()
NUMBER = PlacementPlan(key="number", value_type="number", default_payload="5.0")
MADE = plans.plan(KEYS)
PLAN = msgspec.structs.replace(
    MADE, versions={}, placements={**MADE.placements, "number": NUMBER}
)
BULK = "/ofrep/v1/evaluate/flags"
ONE = f"{BULK}/colour"
EVAL = f"/api/eval/{KEYS.browser}"
TRACK = f"/track?client_key={KEYS.browser}"
FEATURES = f"/api/features/{KEYS.browser}"
NATIVE = "/api/v1/assignments"
JSON = {"content-type": "application/json"}
ORIGIN = {"origin": plans.ORIGIN}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontShop]:
    shop = FrontShop(tmp_path_factory.mktemp("front"))
    shop.start()
    try:
        yield shop
    finally:
        shop.stop()


@pytest.fixture(params=["django", "front"])
def shop(request: pytest.FixtureRequest, redis_client: "redis.Redis") -> Shop:
    plans.publish(redis_client, PLAN)
    if request.param == "django":
        return DjangoShop()
    front: FrontShop = request.getfixturevalue("front")

    def current() -> bool:
        facts = json.loads(front.call("GET", "/readyz").body)["plan"]
        return bool(facts.get("revision") == PLAN.revision)

    wait_for(current)
    return front


def ofrep_form(answer: Answer) -> bool:
    error = json.loads(answer.body)
    return bool(error["errorCode"] and error["errorDetails"])


def growthbook_form(answer: Answer) -> bool:
    error = json.loads(answer.body)
    return bool(error["status"] == answer.status and error["error"])


def native_form(answer: Answer) -> bool:
    return bool(json.loads(answer.body)["error"]["message"])


ROUTES: dict[str, tuple[str, str, Callable[[Answer], bool]]] = {
    "bulk": (BULK, KEYS.browser, ofrep_form),
    "single": (ONE, KEYS.browser, ofrep_form),
    "remote": (EVAL, "", growthbook_form),
    "track": (TRACK, "", growthbook_form),
    "native": (NATIVE, KEYS.server, native_form),
}


def post(shop: Shop, name: str, body: bytes) -> Answer:
    path, key, _ = ROUTES[name]
    headers = JSON | ({"x-api-key": key} if key else {})
    return shop.call("POST", path, body, headers)


@pytest.mark.parametrize("name", ROUTES)
def test_a_body_over_the_limit_is_refused_in_the_protocols_own_form(
    shop: Shop, name: str
) -> None:
    limit = 5_000_000 if name == "native" else 262_144
    answer = post(shop, name, b'{"x":"' + b"y" * limit + b'"}')
    assert answer.status == 413
    assert ROUTES[name][2](answer)


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[" * 50_000, b"7"])
def test_no_body_is_a_fault_of_ours(shop: Shop, name: str, body: bytes) -> None:
    answer = post(shop, name, body)
    assert answer.status == 400
    assert ROUTES[name][2](answer)


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("bulk", '{"context":{"targetingKey":"u","a":%s}}'),
        ("single", '{"context":{"targetingKey":"u","a":%s}}'),
        ("remote", '{"attributes":{"id":"u","a":%s}}'),
        (
            "native",
            '{"placement":"colour","units":[{"unit_id":"u","attributes":{"a":%s}}]}',
        ),
    ],
)
def test_twenty_levels_are_evaluated_and_no_more(
    shop: Shop, name: str, template: str
) -> None:
    around = template.split("%s", maxsplit=1)[0]
    room = 20 - around.count("{") - around.count("[")
    assert post(shop, name, (template % deep(room)).encode()).status == 200
    answer = post(shop, name, (template % deep(room + 1)).encode())
    assert answer.status == 400
    assert ROUTES[name][2](answer)


@pytest.mark.parametrize("name", ["bulk", "single", "native"])
def test_a_thousand_attributes_are_too_many(shop: Shop, name: str) -> None:
    wide: dict[str, object] = {f"a{n}": n for n in range(1_000)}
    body: dict[str, object] = {"context": {"targetingKey": "u", **wide}}
    if name == "native":
        body = {
            "placement": "colour",
            "units": [{"unit_id": "u", "attributes": wide}],
        }
    answer = post(shop, name, json.dumps(body).encode())
    assert answer.status == 400
    assert ROUTES[name][2](answer)


def test_a_float_keeps_its_point_on_the_wire(shop: Shop) -> None:
    body = b'{"context":{"targetingKey":"u"}}'
    answer = shop.call("POST", f"{BULK}/number", body, {"x-api-key": KEYS.browser})
    assert b'"value":5.0' in answer.body
    assert b'"defaultValue":5.0' in shop.call("GET", FEATURES).body


def test_the_retry_is_told_in_whole_seconds(shop: Shop) -> None:
    body = b'{"context":{"targetingKey":"u"}}'
    headers = {"x-api-key": KEYS.limited}
    answers = [shop.call("POST", BULK, body, headers) for _ in range(8)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert refused[0].headers["retry-after"].isdecimal()
    assert ofrep_form(refused[0])


@pytest.mark.parametrize("key", ["", "sw_pk_x"])
def test_without_a_key_ofrep_answers_401_without_a_body(shop: Shop, key: str) -> None:
    answer = shop.call("POST", BULK, b"{}", {"x-api-key": key} if key else {})
    assert (answer.status, answer.body) == (401, b"")


def test_a_browser_may_call_and_read_what_it_needs(shop: Shop) -> None:
    asked = {"access-control-request-method": "POST"} | ORIGIN
    answer = shop.call("OPTIONS", BULK, headers=asked)
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "x-api-key", "if-none-match", "content-type"} <= {*allowed}
    body = b'{"context":{"targetingKey":"u"}}'
    answer = shop.call("POST", BULK, body, {"x-api-key": KEYS.browser} | ORIGIN)
    assert answer.headers["access-control-allow-origin"] == plans.ORIGIN
    assert "etag" in answer.headers["access-control-expose-headers"].split(", ")
    answer = shop.call("GET", FEATURES, headers=ORIGIN)
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert "x-sse-support" in exposed
    elsewhere = shop.call("GET", FEATURES, headers={"origin": "https://e.example"})
    assert elsewhere.status == 400


def test_a_cached_payload_serves_every_origin_its_own(shop: Shop) -> None:
    assert shop.call("GET", FEATURES).headers["vary"] == "origin"


def test_exposures_of_every_route_reach_the_stream_as_one(
    shop: Shop, redis_client: "redis.Redis"
) -> None:
    unit = f"u-{uuid.uuid4()}"
    context = json.dumps({"context": {"targetingKey": unit}}).encode()
    native: dict[str, Any] = {"placement": "home", "units": [{"unit_id": unit}]}
    post(shop, "native", json.dumps(native | {"dry_run": True}).encode())
    assert not logged(redis_client, "exposure")
    post(shop, "bulk", context)
    post(shop, "native", json.dumps(native).encode())
    post(shop, "remote", json.dumps({"attributes": {"id": unit}}).encode())
    wait_for(lambda: bool(logged(redis_client, "exposure")), seconds=2.0)
    rows = logged(redis_client, "exposure")
    assert len({row.event_id for row in rows}) == 1
    assert unit not in repr(rows)
