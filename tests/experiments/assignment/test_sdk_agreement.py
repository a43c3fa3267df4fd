"""GrowthBook's own Python SDK, fed what our routes answer, gives what we give."""

import json
from typing import Any

import growthbook
import msgspec
import pytest

from experiments.assignment.plan import (
    ExperimentPlan,
    FilterPlan,
    PlacementPlan,
    Plan,
    PrerequisitePlan,
    VariantPlan,
)
from tests.experiments.assignment import plans
from tests.experiments.assignment.wire import KEYS, Wire

UNITS = [*(f"shopper-{n}" for n in range(150)), "é", "日本", ""]
COUNTRIES = ("nl", "de", None)


def rule(key: str, **fields: Any) -> ExperimentPlan:
    """A test of texts, a third each, of nine tenths of its shoppers."""
    variants = tuple(
        VariantPlan(
            key=name,
            start=round(n / 3, 4),
            end=round(n / 3 + 0.3, 4),
            weight=1 / 3,
            payload=json.dumps(f"{key}:{name}"),
        )
        for n, name in enumerate("abc")
    )
    made = plans.experiment(key, variants=variants, coverage=0.9)
    return msgspec.structs.replace(made, **fields)


def placement(key: str, *rules: ExperimentPlan) -> PlacementPlan:
    return PlacementPlan(
        key=key, value_type="string", experiments=rules, default_payload=f'"{key}:none"'
    )


def plan() -> Plan:
    """Placements that use all that a rule can say."""
    layer = (FilterPlan("a-layer", ((0.0, 0.4), (0.7, 0.9))),)
    needs = (PrerequisitePlan("plain", '{"value": {"$regex": ":a$"}}'),)
    made = (
        placement("plain", rule("plain-test")),
        placement("old-hash", rule("old-test", hash_version=1)),
        placement("layered", rule("layered-test", filters=layer)),
        placement(
            "audience",
            rule("dutch", condition='{"country": {"$in": ["nl"]}}'),
            rule("rest", seed="another-seed"),
        ),
        placement("needing", rule("needing-test", prerequisites=needs)),
        placement("over", rule("over-test", status="concluded", outcome="b")),
        placement("empty"),
    )
    held = plans.plan(KEYS)
    return msgspec.structs.replace(held, placements={p.key: p for p in made})


def ours(wire: Wire, unit: str, country: str | None) -> dict[str, Any]:
    context = {"targetingKey": unit or "-", "country": country}
    answer = wire.ask("/ofrep/v1/evaluate/flags", {"context": context})
    return {f["key"]: f["value"] for f in json.loads(answer.body)["flags"]}


def theirs(payload: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    client = growthbook.GrowthBook(
        attributes=attributes,
        features=payload["features"],
        savedGroups=payload.get("savedGroups", {}),
    )
    return {key: client.eval_feature(key).value for key in payload["features"]}


@pytest.mark.parametrize("country", COUNTRIES)
def test_the_sdk_splits_by_our_payload_as_we_do(country: str | None) -> None:
    wire = Wire(plan())
    path = f"/api/features/{KEYS.browser}"
    payload = json.loads(wire.ask(path, b"", "", method="GET").body)
    differing = [
        unit
        for unit in UNITS
        if ours(wire, unit, country)
        != theirs(payload, {"id": unit or "-", "country": country})
    ]
    assert differing == []
    spread = {ours(wire, unit, country)["plain"] for unit in UNITS}
    assert spread == {"plain:none", *(f"plain-test:{name}" for name in "abc")}


def test_the_sdk_takes_remote_evaluation_as_it_is() -> None:
    wire = Wire(plan())
    for unit in UNITS[:40]:
        attributes = {"id": unit, "country": "nl"}
        answer = wire.ask(
            f"/api/eval/{KEYS.browser}", {"attributes": attributes, "url": ""}, ""
        )
        payload = json.loads(answer.body)
        expected = ours(wire, unit, "nl")
        assert theirs(payload, attributes) == expected
        tracked = [
            (track["experiment"]["key"], track["result"]["key"])
            for feature in payload["features"].values()
            for one in feature.get("rules", ())
            for track in one["tracks"]
        ]
        assert tracked == [
            (value.split(":")[0], value.split(":")[1])
            for key, value in expected.items()
            if value.split(":")[1] in "abc" and key != "over"
        ]
