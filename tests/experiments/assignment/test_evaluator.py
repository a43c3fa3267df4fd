from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment import bucketing
from experiments.assignment.evaluator import Reason, Step, assign, explain
from experiments.assignment.plan import ExperimentPlan, PlacementPlan, VariantPlan

UNITS = st.text(min_size=1, max_size=20)


def experiment(
    coverage: float = 1.0, weights: tuple[float, ...] = (0.5, 0.5), **fields: Any
) -> ExperimentPlan:
    ranges = bucketing.bucket_ranges(len(weights), coverage, weights)
    variants = tuple(
        VariantPlan(key=key, start=start, end=end, weight=weight, version_id=number)
        for number, (key, (start, end), weight) in enumerate(
            zip("abcdef", ranges, weights, strict=False), start=1
        )
    )
    given: dict[str, Any] = {
        "id": 1,
        "key": "new-ranker",
        "status": "running",
        "phase": 2,
        "epoch": 3,
        "seed": "a-seed",
        "coverage": coverage,
        "control": "a",
        "variants": variants,
    }
    return ExperimentPlan(**given | fields)


def placement(*experiments: ExperimentPlan) -> PlacementPlan:
    return PlacementPlan(
        key="home", value_type="model", experiments=experiments, default_version_id=9
    )


@given(UNITS)
def test_a_shopper_gets_the_variant_whose_range_holds_the_bucket(unit: str) -> None:
    answer = assign(placement(experiment()), unit, {}, now=0)
    bucket = bucketing.bucket("a-seed", unit)
    assert bucket is not None
    assert answer.bucket == bucket
    assert answer.variant == ("a" if bucket < 0.5 else "b")
    assert (answer.reason, answer.experiment) == (Reason.SPLIT, "new-ranker")
    assert (answer.phase, answer.epoch, answer.probability) == (2, 3, 0.5)
    assert answer.version_id == (1 if answer.variant == "a" else 2)


@given(UNITS, st.floats(0, 1), st.floats(0, 1))
def test_a_shopper_keeps_the_variant_when_coverage_rises(
    unit: str, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    before = assign(placement(experiment(low)), unit, {}, now=0)
    after = assign(placement(experiment(high)), unit, {}, now=0)
    assert before.variant in {None, after.variant}


def test_a_shopper_outside_the_coverage_gets_the_default_and_is_told_why() -> None:
    answer = assign(placement(experiment(0.0)), "u1", {}, now=0)
    assert (answer.reason, answer.version_id) == (Reason.NOT_IN_COVERAGE, 9)
    assert (answer.experiment, answer.variant, answer.exposure) == (None, None, "")


def test_a_placement_without_rules_answers_its_default() -> None:
    answer = assign(placement(), "u1", {}, now=0)
    assert (answer.reason, answer.version_id) == (Reason.DEFAULT, 9)


def test_the_audience_decides_before_the_bucket() -> None:
    rule = experiment(condition='{"country": "nl"}')
    assert assign(placement(rule), "u1", {"country": "nl"}, 0).reason is Reason.SPLIT
    answer = assign(placement(rule), "u1", {"country": "be"}, 0)
    assert (answer.reason, answer.bucket) == (Reason.NOT_IN_AUDIENCE, None)


def test_the_unit_id_is_the_attribute_id() -> None:
    rule = experiment(condition='{"id": "u1"}')
    assert assign(placement(rule), "u1", {"id": "u2"}, 0).reason is Reason.SPLIT


def test_a_phase_that_starts_later_splits_nobody_yet() -> None:
    rule = experiment(started_at=100.0)
    assert assign(placement(rule), "u1", {}, 99.0).reason is Reason.NOT_STARTED
    assert assign(placement(rule), "u1", {}, 100.0).reason is Reason.SPLIT


@pytest.mark.parametrize("status", ["concluded", "shipped"])
def test_a_stopped_experiment_answers_its_outcome_without_exposure(status: str) -> None:
    rule = experiment(status=status, outcome="b")
    answer = assign(placement(rule), "u1", {}, now=0)
    assert (answer.reason, answer.variant) == (Reason.STOPPED, "b")
    assert (answer.probability, answer.exposure) == (1.0, "")


def test_a_stopped_experiment_without_outcome_lets_the_next_rule_decide() -> None:
    stopped, running = experiment(status="shipped"), experiment(key="next")
    answer = assign(placement(stopped, running), "u1", {}, now=0)
    assert (answer.experiment, answer.reason) == ("next", Reason.SPLIT)


def test_a_rule_that_is_wrong_is_passed_over() -> None:
    answer = assign(placement(experiment(condition="{")), "u1", {}, now=0)
    assert (answer.reason, answer.version_id) == (Reason.BROKEN_RULE, 9)


def test_nobody_without_an_id_is_in_an_experiment() -> None:
    assert assign(placement(experiment()), "", {}, now=0).reason is Reason.NO_UNIT


def test_the_explanation_walks_the_rules_to_the_one_that_decided() -> None:
    rules = (
        experiment(key="first", condition='{"country": "nl"}'),
        experiment(0.0, key="second"),
        experiment(key="third"),
        experiment(key="fourth"),
    )
    answer, steps = explain(placement(*rules), "u1", {}, now=0)
    at = bucketing.bucket("a-seed", "u1")
    assert steps == (
        Step("first", Reason.NOT_IN_AUDIENCE, None, None),
        Step("second", Reason.NOT_IN_COVERAGE, at, None),
        Step("third", Reason.SPLIT, at, answer.variant),
    )
    assert answer == assign(placement(*rules), "u1", {}, now=0)


def test_a_variant_without_a_value_serves_what_the_placement_serves_now() -> None:
    variants = tuple(
        VariantPlan(key=key, start=start, end=start + 0.5, weight=0.5)
        for key, start in (("a", 0.0), ("b", 0.5))
    )
    answer = assign(placement(experiment(variants=variants)), "u1", {}, now=0)
    assert answer.version_id == 9


def test_an_assignment_cannot_be_changed() -> None:
    answer = assign(placement(experiment()), "u1", {}, now=0)
    with pytest.raises(AttributeError):
        answer.variant = "b"  # type: ignore[misc] # that is the point
    assert msgspec.json.decode(msgspec.json.encode(answer))["placement"] == "home"
