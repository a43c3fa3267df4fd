import json
import uuid
from typing import Any

import pytest
import redis

from experiments.assignment.bucketing import bucket
from tests.experiments.assignment.wire import HASHER, KEYS, NOW, Wire, logged

QUERY = f"client_key={KEYS.browser}"


def viewed(unit: str, variant: str, **more: Any) -> dict[str, Any]:
    """What the plugin sends when a test is seen."""
    properties = {
        "experimentId": "home-test",
        "variationId": variant,
        "hashAttribute": "id",
        "hashValue": unit,
    }
    return {
        "event_name": "Experiment Viewed",
        "properties_json": properties | more.pop("properties", {}),
        "user_id": None,
        "device_id": unit,
        "page_id": "p1",
        "session_id": "s1",
        "sdk_language": "js",
        "sdk_version": "1.8.0",
        "url": "https://shop.example/",
        "context_json": {"country": "nl", "deep": {"a": 1}},
    } | more


def send(*events: Any, wire: Wire | None = None, key: str = "") -> dict[str, Any]:
    response = (wire or Wire()).ask(
        "/track", list(events), key, query=QUERY, content_type="text/plain"
    )
    assert response.status == 200, response.body
    body: dict[str, Any] = json.loads(response.body)
    return body


def true_variant(unit: str) -> str:
    return "treatment" if bucket("home-test", unit) >= 0.5 else "control"


def false_variant(unit: str) -> str:
    return "control" if true_variant(unit) == "treatment" else "treatment"


def test_an_experiment_viewed_is_our_exposure(redis_client: "redis.Redis") -> None:
    assert send(viewed("u1", true_variant("u1")))["accepted"] == 1
    [row] = logged(redis_client)
    assert (row.name, row.experiment, row.variant) == (
        "exposure",
        "home-test",
        true_variant("u1"),
    )
    assert (row.phase, row.epoch, row.assignment_probability) == (1, 1, 0.5)
    assert (row.placement, row.reason, row.source) == ("home", "SPLIT", "web")
    assert row.unit_key == HASHER.hash("u1")
    assert row.attributes == '{"country":"nl"}'
    assert (row.session_id, row.page_view_id) == ("s1", "p1")
    assert json.loads(row.properties or "")["sdk"] == "growthbook-js"


def test_an_exposure_of_client_and_server_is_kept_once(
    redis_client: "redis.Redis",
) -> None:
    wire = Wire()
    send(viewed("u1", true_variant("u1")), wire=wire)
    wire.ask("/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "u1"}})
    rows = logged(redis_client, "exposure")
    assert len(rows) == 2
    assert rows[0].event_id == rows[1].event_id


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (viewed("u1", false_variant("u1")), "SPLIT"),
        (viewed("u1", "nothing"), "SPLIT"),
        (
            viewed("u1", "a", properties={"experimentId": "unheard"}),
            "UNKNOWN_EXPERIMENT",
        ),
    ],
    ids=["other variant", "no variant", "no experiment"],
)
def test_what_the_plan_would_not_give_is_kept_apart(
    event: dict[str, Any], reason: str, redis_client: "redis.Redis"
) -> None:
    send(event, viewed("u1", true_variant("u1")))
    wrong, right = logged(redis_client)
    assert (wrong.name, wrong.reason) == ("variant_mismatch", reason)
    assert right.name == "exposure"
    assert wrong.event_id != right.event_id


def test_an_exposure_of_the_events_route_is_checked_too(
    redis_client: "redis.Redis",
) -> None:
    event = {
        "name": "exposure",
        "unit_id": "u1",
        "timestamp": "2025-11-24T16:00:00Z",
        "experiment": "home-test",
    }
    events = [
        event | {"event_id": str(uuid.uuid4()), "variant": variant}
        for variant in (true_variant("u1"), false_variant("u1"))
    ]
    earlier = event | {"event_id": str(uuid.uuid4()), "variant": "x", "phase": 9}
    Wire().ask("/api/v1/events", {"events": [*events, earlier]}, KEYS.server)
    rows = logged(redis_client)
    assert [row.name for row in rows] == ["exposure", "variant_mismatch", "exposure"]
    assert [row.phase for row in rows] == [1, 1, 9]


def test_other_events_keep_their_name_in_our_spelling(
    redis_client: "redis.Redis",
) -> None:
    own = {
        "event_name": "Sign Up!",
        "device_id": "u1",
        "properties_json": {"plan": "free", "deep": {}, "n": 1.5},
    }
    answer = send(own, {"event_name": "Feature Evaluated", "device_id": "u1"})
    assert (answer["accepted"], answer["ignored"]) == (1, 1)
    [row] = logged(redis_client)
    assert row.name == "sign_up"
    properties = json.loads(row.properties or "")
    assert (properties["plan"], properties["n"]) == ("free", 1.5)


def test_what_the_key_may_not_send_is_rejected_alone() -> None:
    purchase = {"event_name": "Purchase", "device_id": "u1"}
    answer = send(purchase, viewed("u1", true_variant("u1")))
    assert answer["accepted"] == 1
    assert [one["code"] for one in answer["rejected"]] == ["name_not_allowed"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'[{"event_name": 5}]'])
def test_a_wrong_body_is_refused(body: bytes) -> None:
    response = Wire().ask("/track", body, "", query=QUERY)
    assert (response.status, json.loads(response.body)["status"]) == (400, 400)


@pytest.mark.parametrize(
    "query",
    ["", "client_key=sw_pk_x", f"client_key={KEYS.server}"],
    ids=["none", "malformed", "secret"],
)
def test_a_key_must_stand_in_the_address_and_be_publishable(query: str) -> None:
    assert Wire().ask("/track", [], "", query=query).status == 400


def test_the_time_is_ours(redis_client: "redis.Redis") -> None:
    send(viewed("u1", true_variant("u1")))
    [row] = logged(redis_client)
    assert row.timestamp.timestamp() == NOW
