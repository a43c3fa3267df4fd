import json
from typing import Any

import msgspec
import pytest
import redis

from experiments.assignment.bucketing import bucket
from experiments.assignment.plan import (
    FilterPlan,
    PlacementPlan,
    PrerequisitePlan,
    VariantPlan,
)
from experiments.gateway.handlers import Response
from tests.experiments.assignment import plans
from tests.experiments.assignment.wire import HASHER, KEYS, NOW, Wire, logged

FEATURES = f"/api/features/{KEYS.browser}"
EVAL = f"/api/eval/{KEYS.browser}"


def get(wire: Wire, path: str = FEATURES, **headers: str) -> Response:
    return wire.ask(path, b"", "", method="GET", **headers)


def button(**more: object) -> PlacementPlan:
    """A placement of texts under a test with all that a rule can say."""
    variants = tuple(
        VariantPlan(key=key, start=start, end=end, weight=0.5, payload=f'"{key}"')
        for key, start, end in (("a", 0.0, 0.4), ("b", 0.5, 0.9))
    )
    rule = plans.experiment(
        "button-test",
        variants=variants,
        coverage=0.8,
        condition='{"country": "nl"}',
        **more,
    )
    return PlacementPlan(
        key="button", value_type="string", experiments=(rule,), default_payload='"off"'
    )


def wire(*placements: PlacementPlan, remote_only: bool = False) -> Wire:
    plan = plans.plan(KEYS)
    if placements:
        named = {placement.key: placement for placement in placements}
        plan = msgspec.structs.replace(plan, placements=named)
    if remote_only:
        closed = {
            digest: msgspec.structs.replace(key, remote_only=True)
            for digest, key in plan.keys.items()
        }
        plan = msgspec.structs.replace(plan, keys=closed)
    return Wire(plan)


def test_the_payload_says_all_that_an_sdk_needs_to_split_as_we_do() -> None:
    rule = button(
        filters=(FilterPlan(seed="layer", ranges=((0.0, 0.5),)),),
        prerequisites=(PrerequisitePlan("colour", '{"value": "blue"}', gate=True),),
    )
    response = get(wire(rule))
    body = json.loads(response.body)
    assert (response.status, body["status"]) == (200, 200)
    assert body["features"] == {
        "button": {
            "defaultValue": "off",
            "rules": [
                {
                    "key": "button-test",
                    "name": "button-test",
                    "phase": "1",
                    "seed": "button-test",
                    "hashVersion": 2,
                    "hashAttribute": "id",
                    "coverage": 0.8,
                    "weights": [0.5, 0.5],
                    "ranges": [[0.0, 0.4], [0.5, 0.9]],
                    "meta": [{"key": "a", "name": "a"}, {"key": "b", "name": "b"}],
                    "variations": ["a", "b"],
                    "condition": {"country": "nl"},
                    "filters": [
                        {
                            "seed": "layer",
                            "ranges": [[0.0, 0.5]],
                            "hashVersion": 2,
                            "attribute": "id",
                        }
                    ],
                    "parentConditions": [
                        {"id": "colour", "condition": {"value": "blue"}, "gate": True}
                    ],
                    "disableStickyBucketing": True,
                }
            ],
        }
    }


def test_the_payload_may_be_cached_and_told_apart() -> None:
    shop = wire()
    response = get(shop)
    headers = dict(response.headers)
    assert headers["cache-control"].startswith("public, max-age=30")
    assert headers["x-sse-support"] == "enabled"
    again = get(shop, if_none_match=headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert get(shop, if_none_match='"other"').status == 200
    assert get(shop).body is response.body  # rendered once


def test_a_stopped_experiment_forces_its_outcome() -> None:
    stopped = button(status="shipped", outcome="b")
    rules = json.loads(get(wire(stopped)).body)["features"]["button"]["rules"]
    assert rules == [{"force": "b"}]


@pytest.mark.parametrize(
    "more", [{"condition": "{"}, {"started_at": NOW + 1}], ids=["broken", "later"]
)
def test_a_rule_that_decides_for_nobody_is_left_out(more: dict[str, object]) -> None:
    rule = msgspec.structs.replace(button().experiments[0], **more)
    place = msgspec.structs.replace(button(), experiments=(rule,))
    shop = wire(place)
    assert "rules" not in json.loads(get(shop).body)["features"]["button"]
    etag = dict(get(shop).headers)["etag"]
    shop.clock.moment = NOW + 2
    later = json.loads(get(shop).body)
    assert ("rules" in later["features"]["button"]) == ("started_at" in more)
    assert (dict(get(shop).headers)["etag"] != etag) == ("started_at" in more)


@pytest.mark.parametrize(
    "path",
    ["/api/features/sw_pk_x", f"/api/features/{plans.Keys().browser}", "/api/eval/x"],
    ids=["malformed", "unknown", "remote evaluation"],
)
def test_a_wrong_key_is_refused_for_good(path: str) -> None:
    method = "POST" if "eval" in path else "GET"
    response = wire().ask(path, {}, "", method=method)
    assert response.status == 400
    assert dict(response.headers)["x-unrecoverable"] == "1"
    error = json.loads(response.body)
    assert error["status"] == 400
    assert error["error"]


def test_private_targeting_is_only_evaluated_remotely() -> None:
    shop = wire(button(), remote_only=True)
    refused = get(shop)
    assert refused.status == 400
    assert b"country" not in refused.body
    answer = evaluate(shop, {"attributes": {"id": "u1", "country": "nl"}})
    assert answer.status == 200
    assert b"country" not in answer.body


def evaluate(shop: Wire, body: Any, **headers: str) -> Response:
    return shop.ask(EVAL, body, "", **headers)


def unit_of(variant: str) -> str:
    low, high = {"a": (0.0, 0.4), "b": (0.5, 0.9)}[variant]
    return next(
        f"u{n}" for n in range(99) if low <= bucket("button-test", f"u{n}") < high
    )


def test_remote_evaluation_answers_a_value_and_what_to_track(
    redis_client: "redis.Redis",
) -> None:
    unit = unit_of("b")
    response = evaluate(wire(button()), {"attributes": {"id": unit, "country": "nl"}})
    assert dict(response.headers)["cache-control"] == "private, no-store"
    feature = json.loads(response.body)["features"]["button"]
    assert feature["defaultValue"] == "b"
    [rule] = feature["rules"]
    [track] = rule["tracks"]
    assert rule["force"] == "b"
    assert track["experiment"]["variations"] == [{}, "b"]
    assert "condition" not in track["experiment"]
    assert track["result"] == {
        "key": "b",
        "name": "b",
        "featureId": "button",
        "inExperiment": True,
        "hashUsed": True,
        "variationId": 1,
        "value": "b",
        "hashAttribute": "id",
        "hashValue": unit,
        "stickyBucketUsed": False,
        "bucket": bucket("button-test", unit),
    }
    [row] = logged(redis_client, "exposure")
    assert row.unit_key == HASHER.hash(unit)
    assert '"endpoint":"remote_evaluation"' in (row.properties or "")


def test_remote_evaluation_outside_the_audience_tracks_nothing() -> None:
    response = evaluate(wire(button()), {"attributes": {"id": unit_of("b")}})
    features = json.loads(response.body)["features"]
    assert features == {"button": {"defaultValue": "off"}}


def test_forced_features_and_an_empty_context_are_answered() -> None:
    body = {"forcedFeatures": [["button", {"a": 1.0}]], "attributes": {}, "url": "x"}
    response = evaluate(wire(button()), body)
    assert b'{"defaultValue":{"a": 1.0}}' in response.body


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        {"attributes": []},
        {"attributes": {f"a{n}": n for n in range(1_001)}},
        {"forcedVariations": {f"a{n}": n for n in range(1_001)}},
        {"forcedFeatures": [["a", 1]] * 1_001},
        {"forcedFeatures": {"a": 1}},
        b'{"attributes":{"a":' + b"[" * 30 + b"]" * 30 + b"}}",
        b'{"attributes":{"a":' + b"[" * 9_000,
    ],
    ids=range(9),
)
def test_a_wrong_body_is_refused_in_growthbooks_form(body: Any) -> None:
    response = evaluate(wire(button()), body)
    error = json.loads(response.body)
    assert (response.status, error["status"]) == (400, 400)
    assert error["error"]
    assert "x-unrecoverable" not in dict(response.headers)


def test_the_widest_body_allowed_is_evaluated() -> None:
    wide = {f"a{n}": n for n in range(1_000)}
    body = {"attributes": wide, "forcedVariations": wide}
    assert evaluate(wire(button()), body).status == 200
