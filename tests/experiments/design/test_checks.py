from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.design.checks import ExperimentFacts, VariantFacts, preflight


def variant(key: str, *, control: bool = False, weight: float = 0.5) -> VariantFacts:
    return VariantFacts(
        key=key,
        is_control=control,
        weight=weight,
        has_version=True,
        has_payload=False,
        model="home",
    )


GOOD = ExperimentFacts(
    variants=(variant("a", control=True), variant("b")),
    primary_metrics=1,
    placement_is_model=True,
    placement_model="home",
    coverage=1.0,
    planned_days=14,
    looks=2,
)


def failing(facts: ExperimentFacts) -> set[str]:
    return {finding.code for finding in preflight(facts) if not finding.ok}


def test_a_complete_experiment_passes_every_check() -> None:
    assert failing(GOOD) == set()


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (replace(GOOD, variants=GOOD.variants[:1]), "variants"),
        (replace(GOOD, variants=(variant("a"), variant("b"))), "control"),
        (
            replace(
                GOOD, variants=(variant("a", control=True), variant("b", control=True))
            ),
            "control",
        ),
        (
            replace(
                GOOD, variants=(variant("a", control=True), variant("b", weight=0.4))
            ),
            "weights",
        ),
        (replace(GOOD, primary_metrics=0), "primary_metric"),
        (replace(GOOD, planned_days=13), "length"),
        (replace(GOOD, coverage=0.0), "coverage"),
        (replace(GOOD, placement_model="other"), "values"),
        (replace(GOOD, placement_is_model=False), "values"),
    ],
)
def test_each_gap_is_named(facts: ExperimentFacts, code: str) -> None:
    assert code in failing(facts)


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=8))
def test_weights_pass_exactly_when_they_add_up_to_one(weights: list[float]) -> None:
    total = sum(weights)
    shares = [w / total for w in weights]
    variants = tuple(
        variant(str(i), control=i == 0, weight=w) for i, w in enumerate(shares)
    )
    assert "weights" not in failing(replace(GOOD, variants=variants))
    lacking = tuple(
        variant(str(i), control=i == 0, weight=w * 0.9) for i, w in enumerate(shares)
    )
    assert "weights" in failing(replace(GOOD, variants=lacking))
