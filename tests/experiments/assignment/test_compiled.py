import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment import bucketing
from experiments.assignment.compiled import (
    CompiledPlan,
    Reason,
    Step,
    UnitContext,
    UnknownPlacementError,
)
from experiments.assignment.plan import (
    ExperimentPlan,
    FilterPlan,
    PlacementPlan,
    Plan,
    PrerequisitePlan,
    VariantPlan,
)

UNITS = st.text(min_size=1, max_size=20)
EVEN = (0.5, 0.5)


def experiment(
    key: str = "test", weights: tuple[float, ...] = EVEN, **fields: Any
) -> ExperimentPlan:
    coverage = fields.pop("coverage", 1.0)
    ranges = bucketing.bucket_ranges(len(weights), coverage, weights)
    variants = tuple(
        VariantPlan(name, start, end, weight, payload=f'"{name}"')
        for name, weight, (start, end) in zip("abcdef", weights, ranges, strict=False)
    )
    given: dict[str, Any] = {
        "id": 1,
        "key": key,
        "status": "running",
        "phase": 1,
        "epoch": 1,
        "seed": key,
        "coverage": coverage,
        "control": "a",
        "variants": variants,
    }
    return ExperimentPlan(**given | fields)


def compiled(
    *rules: ExperimentPlan, others: dict[str, Any] | None = None, **more: Any
) -> CompiledPlan:
    """A plan of the placement ``home`` with rules, and of others by key."""
    placements = {"home": rules, **(others or {})}
    plan = Plan(
        revision="r",
        built_at=0.0,
        placements={
            key: PlacementPlan(
                key, "string", experiments=tuple(listed), default_payload='"default"'
            )
            for key, listed in placements.items()
        },
        saved_groups={"staff": ("u1", "u2")},
    )
    return CompiledPlan(plan, **more)


def who(unit: str = "u1", now: float = 0.0, **fields: Any) -> UnitContext:
    return UnitContext(unit, fields.pop("attributes", {}), now, **fields)


def reason(plan: CompiledPlan, context: UnitContext) -> Reason:
    answer = plan.assign("home", context)
    assert (answer.experiment is None) == (answer.payload == '"default"')
    return answer.reason


@given(UNITS, st.sampled_from([EVEN, (0.2, 0.3, 0.5)]), st.floats(0, 1))
def test_every_way_of_asking_gives_the_same_answer(
    unit: str, weights: tuple[float, ...], coverage: float
) -> None:
    plain = experiment("plain", weights, coverage=coverage)
    audience = experiment("audience", weights, condition='{"id": {"$ne": "x"}}')
    plan = compiled(plain, audience, others={"other": [audience, plain]})
    context = who(unit)
    one_by_one = [plan.assign("home", context), plan.assign("other", context)]
    assert plan.assign_all(context) == one_by_one
    assert plan.assign_all(context, ["other", "home"]) == one_by_one[::-1]
    assert plan.explain("home", context)[0] == one_by_one[0]


@given(UNITS)
def test_a_rule_that_looks_at_more_than_the_bucket_deals_alike(unit: str) -> None:
    plain = compiled(experiment()).assign("home", who(unit))
    looked = compiled(experiment(condition='{"id": {"$exists": true}}'))
    assert looked.assign("home", who(unit)) == plain
    assert plain.bucket == bucketing.bucket("test", unit)


def test_an_unknown_placement_is_named() -> None:
    plan = compiled()
    for ask in (
        lambda: plan.assign("away", who()),
        lambda: plan.assign_all(who(), ["home", "away"]),
        lambda: plan.explain("away", who()),
    ):
        with pytest.raises(UnknownPlacementError, match="away"):
            ask()


def test_a_forced_variant_comes_before_everything() -> None:
    out = FilterPlan("holdout", (), holdout=True)
    rule = experiment(filters=(out,), forced=(("u1", "b"),))
    assert reason(compiled(rule), who("u2")) is Reason.HOLDOUT
    answer = compiled(rule).assign("home", who("u1"))
    assert (answer.reason, answer.variant, answer.exposure) == (Reason.FORCED, "b", "")
    linked = compiled(rule).assign("home", who("u2", forced={"test": "a"}))
    assert (linked.reason, linked.variant) == (Reason.FORCED, "a")
    assert reason(compiled(rule), who("u2", forced={"test": "z"})) is Reason.HOLDOUT


def test_a_forced_variant_of_a_later_rule_comes_before_an_earlier_rule() -> None:
    rules = experiment("first"), experiment("second", forced=(("u1", "b"),))
    answer = compiled(*rules).assign("home", who("u1"))
    assert (answer.experiment, answer.reason) == ("second", Reason.FORCED)
    quick = compiled(*(experiment(key) for key in ("first", "second")))
    linked = quick.assign("home", who("u1", forced={"second": "b"}))
    assert (linked.experiment, linked.variant) == ("second", "b")


@given(UNITS)
def test_experiments_of_a_layer_never_share_a_shopper(unit: str) -> None:
    slots = [(0.0, 0.4), (0.4, 0.7)]
    placements = {
        f"p{number}": [
            experiment(f"e{number}", filters=(FilterPlan("layer", (slot,)),))
        ]
        for number, slot in enumerate(slots)
    }
    answers = compiled(others=placements).assign_all(who(unit), ["p0", "p1"])
    inside = [answer for answer in answers if answer.experiment]
    assert len(inside) == sum(
        start <= bucketing.bucket("layer", unit) < end for start, end in slots
    )
    assert {a.reason for a in answers} <= {Reason.SPLIT, Reason.NOT_IN_LAYER}


def test_a_stored_variant_is_kept_when_the_audience_changes() -> None:
    rule = experiment(condition='{"country": "nl"}', disable_sticky=False)
    plan, kept = compiled(rule), {"test__0": "b"}
    assert reason(plan, who("u1")) is Reason.NOT_IN_AUDIENCE
    answer = plan.assign("home", who("u1", sticky=kept))
    assert (answer.reason, answer.variant) == (Reason.STICKY, "b")
    assert (answer.sticky, answer.probability, answer.exposure) == (
        "test__0",
        0.5,
        "server",
    )
    opted_out = compiled(experiment(condition='{"country": "nl"}'))
    assert reason(opted_out, who("u1", sticky=kept)) is Reason.NOT_IN_AUDIENCE


def test_a_new_bucket_version_deals_anew_and_may_shut_out_the_old() -> None:
    sticky = {"disable_sticky": False, "bucket_version": 2}
    kept = {"test__1": "b"}
    answer = compiled(experiment(**sticky)).assign("home", who("u1", sticky=kept))
    assert (answer.reason, answer.sticky) == (Reason.SPLIT, "test__2")
    shut = compiled(experiment(**sticky, min_bucket_version=2))
    assert reason(shut, who("u1", sticky=kept)) is Reason.STICKY_BLOCKED


def test_another_attribute_splits_where_the_first_is_missing() -> None:
    rule = experiment(
        hash_attribute="account", fallback_attribute="id", disable_sticky=False
    )
    answer = compiled(rule).assign("home", who("u1"))
    assert (answer.unit, answer.bucket) == ("id", bucketing.bucket("test", "u1"))
    known = compiled(rule).assign("home", who("u1", attributes={"account": "a"}))
    assert (known.unit, known.bucket) == ("account", bucketing.bucket("test", "a"))
    alone = experiment(hash_attribute="account")
    assert reason(compiled(alone), who("u1")) is Reason.NO_UNIT


def wants(placement: str, value: str, **fields: Any) -> PrerequisitePlan:
    return PrerequisitePlan(placement, f'{{"value": "{value}"}}', **fields)


def test_a_prerequisite_is_answered_by_another_placement() -> None:
    parent = [experiment("parent", forced=(("u1", "a"), ("u2", "b")))]
    rule = experiment(prerequisites=(wants("other", "b"),))
    plan = compiled(rule, experiment("next"), others={"other": parent})
    assert plan.assign("home", who("u2")).experiment == "test"
    assert plan.assign("home", who("u1")).experiment == "next"
    gate = experiment(prerequisites=(wants("other", "b", gate=True),))
    gated = compiled(gate, experiment("next"), others={"other": parent})
    assert reason(gated, who("u1")) is Reason.PREREQUISITE
    lone = compiled(experiment(prerequisites=(wants("nowhere", "b"),)))
    assert reason(lone, who("u1")) is Reason.PREREQUISITE


def test_prerequisites_that_lead_back_to_themselves_end_at_the_default() -> None:
    one = experiment("one", prerequisites=(wants("other", "a"),))
    other = experiment("other", prerequisites=(wants("home", "a"),))
    plan = compiled(one, experiment("next"), others={"other": [other]})
    assert reason(plan, who()) is Reason.CYCLIC_PREREQUISITE


def test_a_saved_group_is_known_to_audiences() -> None:
    plan = compiled(experiment(condition='{"id": {"$inGroup": "staff"}}'))
    assert reason(plan, who("u2")) is Reason.SPLIT
    assert reason(plan, who("u3")) is Reason.NOT_IN_AUDIENCE


def test_a_withdrawn_variant_is_refused_once_the_plan_is_old() -> None:
    old = False
    rule = experiment(weights=(1.0, 0.0))
    harmful = msgspec.structs.replace(rule.variants[0], withdrawn=True)
    rule = msgspec.structs.replace(rule, variants=(harmful, rule.variants[1]))
    plan = compiled(rule, experiment("next"), stale=lambda: old)
    assert reason(plan, who()) is Reason.SPLIT
    old = True
    assert reason(plan, who()) is Reason.WITHDRAWN
    assert reason(plan, who(forced={"test": "a"})) is Reason.WITHDRAWN
    stopped = msgspec.structs.replace(rule, status="shipped", outcome="a")
    assert reason(compiled(stopped), who()) is Reason.WITHDRAWN


@pytest.mark.parametrize(
    "broken",
    [
        {"condition": "{"},
        {"condition": "[]"},
        {"hash_version": 3},
        {"prerequisites": (PrerequisitePlan("home", "{"),)},
        {
            "variants": (
                VariantPlan("a", 0, 1, 1, payload="{"),
                VariantPlan("b", 1, 1, 0),
            )
        },
    ],
)
def test_a_wrong_rule_is_passed_over_counted_and_logged_once(
    broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        plan = compiled(experiment(**broken), experiment("next"))
        for _ in range(3):
            answer, steps = plan.explain("home", who())
            assert answer.experiment == "next"
            assert steps[0] == Step("test", Reason.BROKEN_RULE, None, None)
    assert plan.faults.counts == {("home", "test"): 3}
    assert len(caplog.records) == 1


def test_a_rule_that_fails_only_for_some_is_passed_over_for_them() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    rule = experiment(condition='{"deep": "x"}')
    plan = compiled(rule)
    assert reason(plan, who(attributes={"deep": deep})) is Reason.BROKEN_RULE
    assert plan.faults.total == 1
    assert reason(plan, who(attributes={"deep": "x"})) is Reason.SPLIT


def test_a_default_that_is_no_json_is_left_out() -> None:
    placement = PlacementPlan("home", "string", default_payload="{")
    plan = CompiledPlan(Plan("r", 0.0, placements={"home": placement}))
    assert plan.assign("home", who()).payload is None


SHARES = st.lists(st.integers(1, 9), min_size=2, max_size=4)


@given(SHARES, st.lists(st.floats(0, 1), min_size=2, max_size=5), UNITS)
def test_no_edit_of_the_coverage_moves_anybody_between_variants(
    shares: list[int], coverages: list[float], unit: str
) -> None:
    weights = tuple(share / sum(shares) for share in shares)
    met = set()
    for coverage in coverages:
        plan = compiled(experiment("test", weights, coverage=coverage))
        met.add(plan.assign("home", who(unit)).variant)
    assert len(met - {None}) <= 1
