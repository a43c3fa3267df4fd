"""The same cases against Django's URLconf and against a real front."""

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
import zstandard

from experiments.assignment.bucketing import bucket
from tests.config.shops import Answer, DjangoShop, FrontShop, Shop, wait_for
from tests.experiments.assignment import plans

KEYS = plans.Keys()
PLAN = plans.plan(KEYS)
PATH = "/api/v1/assignments"
NESTED = (
    b'{"placement":"home","units":[{"unit_id":"u","attributes":{"a":' + b"[" * 9_999
)
ONE = json.dumps({"placement": "home", "units": [{"unit_id": "u1"}]}).encode()


@contextmanager
def running(shop: FrontShop) -> Iterator[FrontShop]:
    shop.start()
    try:
        yield shop
    finally:
        shop.stop()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontShop]:
    with running(FrontShop(tmp_path_factory.mktemp("front"), workers=2)) as shop:
        yield shop


@pytest.fixture(params=["django", "front"])
def shop(request: pytest.FixtureRequest, redis_client: "redis.Redis") -> Shop:
    plans.publish(redis_client, PLAN)
    if request.param == "django":
        return DjangoShop()
    front: FrontShop = request.getfixturevalue("front")
    wait_for(lambda: revision(front) == PLAN.revision)
    return front


def revision(shop: Shop) -> str | None:
    found: str | None = json.loads(shop.call("GET", "/readyz").body)["plan"].get(
        "revision"
    )
    return found


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


def ask(shop: Shop, body: bytes = ONE, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return shop.call("POST", PATH, body, bearer(KEYS.server) | named)


def refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is the envelope, and give the error."""
    assert (answer.status, answer.headers["content-type"]) == (
        status,
        "application/json",
    )
    error: dict[str, Any] = json.loads(answer.body)["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["code"] == code
    assert error["message"]
    return error


def test_a_unit_is_assigned_with_the_reason(shop: Shop) -> None:
    answer = ask(shop)
    assert answer.status == 200
    body = json.loads(answer.body)
    treated = bucket("home-test", "u1") >= 0.5
    assert body == {
        "placement": "home",
        "plan_revision": PLAN.revision,
        "assignments": [
            {
                "unit_id": "u1",
                "experiment": "home-test",
                "phase": 1,
                "epoch": 1,
                "variant": "treatment" if treated else "control",
                "reason": "SPLIT",
                "probability": 0.5,
                "model": "home",
                "version": 2 if treated else 1,
                "value": None,
            }
        ],
    }


def test_answers_bear_an_id_and_are_not_cached(shop: Shop) -> None:
    answer = ask(shop)
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["x-plan-age"].isdecimal()


def test_a_value_placement_answers_its_value(shop: Shop) -> None:
    body = {"placement": "colour", "units": [{"unit_id": "u1"}]}
    [found] = json.loads(ask(shop, json.dumps(body).encode()).body)["assignments"]
    assert (found["value"], found["reason"]) == ("blue", "DEFAULT")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (NESTED, 400, "nested_too_deep"),
        (b"[]", 400, "invalid"),
        (b'{"placement": 1, "units": []}', 400, "invalid"),
        (b'{"placement": "home"}', 400, "invalid"),
        (b'{"placement": "home", "units": []}', 400, "invalid"),
        (b'{"placement": "home", "units": [{"unit_id": ""}]}', 400, "invalid"),
        (b'{"placement": "home", "units": [], "x": 1}', 400, "invalid"),
        (b'{"placement": "nowhere", "units": [{"unit_id": "u"}]}', 404, "not_found"),
    ],
    ids=range(11),
)
def test_a_wrong_body_is_refused_in_the_envelope(
    shop: Shop, body: bytes, status: int, code: str
) -> None:
    refused(ask(shop, body), status, code)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "key_missing"),
        ({"Authorization": "Basic eDp5"}, 401, "key_missing"),
        ({"Authorization": "Bearer sw_sk_short"}, 401, "key_malformed"),
        ({"X-API-Key": KEYS.server[:-1] + "!"}, 401, "key_malformed"),
        ({"X-API-Key": plans.Keys().server}, 401, "key_unknown"),
        ({"X-API-Key": KEYS.expired}, 401, "key_unknown"),
        ({"X-API-Key": KEYS.catalogue}, 403, "scope_missing"),
        ({"X-API-Key": KEYS.browser}, 403, "secret_key_needed"),
        (
            {"X-API-Key": KEYS.browser, "Origin": "https://elsewhere.example"},
            403,
            "origin_not_allowed",
        ),
    ],
)
def test_a_wrong_key_is_refused_in_the_envelope(
    shop: Shop, headers: dict[str, str], status: int, code: str
) -> None:
    answer = shop.call("POST", PATH, ONE, headers)
    error = refused(answer, status, code)
    assert KEYS.server[:-1] not in error["message"]
    assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)


def test_the_other_key_header_is_read_too(shop: Shop) -> None:
    assert shop.call("POST", PATH, ONE, {"X-API-Key": KEYS.server}).status == 200


@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/ofrep/v1/nowhere"])
def test_an_unknown_path_of_the_site_is_not_found(path: str) -> None:
    refused(DjangoShop().call("GET", path), 404, "not_found")


def test_an_unknown_path_without_a_site_is_a_bad_gateway(front: FrontShop) -> None:
    refused(front.call("GET", "/api/v1/nowhere"), 502, "site_unavailable")


def test_another_method_is_refused_with_the_ones_there_are(shop: Shop) -> None:
    answer = shop.call("GET", PATH, headers=bearer(KEYS.server))
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "OPTIONS, POST"


def test_head_answers_as_get_without_a_body(shop: Shop) -> None:
    answer = shop.call("HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")


def test_options_names_the_methods(shop: Shop) -> None:
    answer = shop.call("OPTIONS", PATH)
    assert (answer.status, answer.headers["allow"]) == (204, "OPTIONS, POST")


def test_a_preflight_admits_an_origin_that_a_key_lists(shop: Shop) -> None:
    asked = {"Origin": plans.ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = shop.call("OPTIONS", PATH, headers=asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == plans.ORIGIN
    assert "x-api-key" in answer.headers["access-control-allow-headers"]


def test_a_preflight_from_elsewhere_gets_no_permission(shop: Shop) -> None:
    asked = {"Origin": "https://e.example", "Access-Control-Request-Method": "POST"}
    answer = shop.call("OPTIONS", PATH, headers=asked)
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_may_read_why_it_was_refused(shop: Shop) -> None:
    headers = {"X-API-Key": KEYS.browser, "Origin": plans.ORIGIN}
    answer = shop.call("POST", PATH, ONE, headers)
    refused(answer, 403, "secret_key_needed")
    assert answer.headers["access-control-allow-origin"] == plans.ORIGIN


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("gzip", gzip.compress), ("zstd", zstandard.compress), ("identity", bytes)],
)
def test_a_compressed_body_is_read(shop: Shop, encoding: str, encode: Any) -> None:
    assert ask(shop, encode(ONE), content_encoding=encoding).status == 200


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", gzip.compress), ("zstd", zstandard.compress)]
)
def test_a_body_that_explodes_is_refused(
    shop: Shop, encoding: str, encode: Any
) -> None:
    bomb = encode(bytes(50_000_000))
    refused(ask(shop, bomb, content_encoding=encoding), 413, "body_too_large")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize(
    "body",
    [b"not compressed", b"", gzip.compress(ONE)[:-9]],
    ids=["other", "empty", "torn"],
)
def test_a_body_that_is_not_what_it_says_is_refused(
    shop: Shop, encoding: str, body: bytes
) -> None:
    answer = ask(shop, body, content_encoding=encoding)
    assert answer.status == 400
    assert refused(answer, 400, json.loads(answer.body)["error"]["code"])["code"] in {
        "body_undecodable",
        "malformed_json",
    }


def test_an_unknown_encoding_is_refused(shop: Shop) -> None:
    refused(ask(shop, content_encoding="br"), 415, "encoding_unknown")


def test_an_oversize_body_is_refused(shop: Shop) -> None:
    refused(ask(shop, bytes(5_000_001)), 413, "body_too_large")


def test_a_limited_key_is_told_how_long_to_wait(shop: Shop) -> None:
    headers = {"X-API-Key": KEYS.limited}
    answers = [shop.call("POST", PATH, ONE, headers) for _ in range(8)]
    refusals = [answer for answer in answers if answer.status == 429]
    # A minute may end in between, which gives three more.
    assert 2 <= len(refusals) <= 5
    refused(refusals[0], 429, "rate_limited")
    assert 1 <= int(refusals[0].headers["retry-after"]) <= 60


def test_a_shops_own_clock_needs_the_scope_for_it(shop: Shop) -> None:
    body = json.dumps(
        {
            "placement": "home",
            "units": [{"unit_id": "u1"}],
            "timestamp": "2011-01-01T00:00:00Z",
        }
    ).encode()
    refused(ask(shop, body), 403, "scope_missing")
    assert shop.call("POST", PATH, body, bearer(KEYS.simulate)).status == 200


def test_ten_thousand_units_are_assigned_at_once_and_no_more(shop: Shop) -> None:
    units = [{"unit_id": f"u{n}"} for n in range(10_001)]
    many = json.dumps({"placement": "home", "units": units[:-1]}).encode()
    found = json.loads(ask(shop, many).body)["assignments"]
    assert len(found) == 10_000
    share = sum(one["variant"] == "treatment" for one in found) / 10_000
    assert share == pytest.approx(0.5, abs=0.03)
    more = json.dumps({"placement": "home", "units": units}).encode()
    refused(ask(shop, more), 400, "invalid")


def test_readiness_tells_the_facts(shop: Shop, redis_client: "redis.Redis") -> None:
    drain = {"shard": "stream-0", "at": time.time() - 5, "waiting": 7}
    redis_client.hset("shipworthy:drains", "stream-0", json.dumps(drain))
    facts = json.loads(shop.call("GET", "/readyz").body)
    assert facts["plan"]["revision"] == PLAN.revision
    assert facts["redis"]["ok"]
    assert facts["redis"]["waiting_entries"] == 7
    assert 5 <= facts["redis"]["last_drain_seconds"] < 60
    assert set(facts) >= {"status", "postgres", "lake", "missing"}


def test_a_process_none_of_whose_models_can_be_loaded_is_not_ready(shop: Shop) -> None:
    answer = shop.call("GET", "/readyz")
    assert (answer.status, json.loads(answer.body)["missing"]) == (503, ["models"])


def test_a_front_starts_without_a_plan_and_then_without_redis(
    tmp_path: Path, redis_client: "redis.Redis"
) -> None:
    values = msgspec.structs.replace(plans.plan(KEYS), versions={})
    folder = {"SHIPWORTHY_DATA_DIR": str(tmp_path)}
    with running(FrontShop(tmp_path, folder)) as front:
        answer = front.call("GET", "/readyz")
        assert (answer.status, json.loads(answer.body)["missing"]) == (503, ["plan"])
        refused(ask(front), 503, "plan_unavailable")
        plans.publish(redis_client, values)
        wait_for(lambda: front.call("GET", "/readyz").status == 200, seconds=1.0)
    away = {**folder, "REDIS_URL": "redis://127.0.0.1:1/0"}
    with running(FrontShop(tmp_path, away)) as alone:
        assert ask(alone).status == 200
        assert not json.loads(alone.call("GET", "/readyz").body)["redis"]["ok"]


def test_the_front_loads_neither_torch_nor_djangos_apps() -> None:
    code = (
        "import sys, config.front; from django.apps import apps;"
        "print(apps.ready, 'torch' in sys.modules, 'django.db.models' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert done.stdout.split() == ["False", "False", "False"]
