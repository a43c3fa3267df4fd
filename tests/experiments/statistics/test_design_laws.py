"""What holds for every comparison of a special design: scale, sides, far tails."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.aggregates import JointMoments, Moments
from experiments.statistics.clusters import cluster_difference, cluster_moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.epochs import (
    batched_difference,
    epoch_difference,
    ipw_difference,
)
from experiments.statistics.novelty import contrast
from experiments.statistics.numeric import FloatArray
from experiments.statistics.off_policy import LoggedRounds, policy_lead
from experiments.statistics.preferences import Preferences, credit_test, sign_test
from experiments.statistics.switchback import (
    Schedule,
    block_difference,
    randomisation_test,
)
from experiments.statistics.switchback_paths import path_difference

Rows = FloatArray
Design = Callable[[Rows, Rows], Comparison]
CLUSTER = np.repeat(range(6), [2, 4, 6, 8, 10, 10])
PLAN = Schedule.of(np.repeat(range(8), 10), np.arange(80) // 10 % 2, burn_in=2)
FLIPPED = replace(PLAN, treated=~PLAN.treated)


def clusters(weighting: str) -> Design:
    return lambda a, b: cluster_difference(
        cluster_moments(CLUSTER, a),
        cluster_moments(CLUSTER, b),
        weighting=weighting,  # type: ignore[arg-type]  # one of two words
    )


def epochs(method: Callable[..., Comparison], *more: object) -> Design:
    return lambda a, b: method(
        *(Moments.from_units(rows.reshape(4, 10)) for rows in (a, b)), *more
    )


def days(a: Rows, b: Rows) -> Comparison:
    first, second = (JointMoments.from_units(rows.reshape(10, 4)) for rows in (a, b))
    return contrast(first, second, [-1.0, -1.0, 1.0, 1.0])


def alternating(a: Rows, b: Rows) -> FloatArray:
    """Periods of eight blocks, control and treatment in turns."""
    return np.stack([a.reshape(4, 10), b.reshape(4, 10)], axis=1).ravel()


DESIGNS: dict[str, Design] = {
    "clusters, by unit": clusters("unit"),
    "clusters, by cluster": clusters("cluster"),
    "epochs": epochs(epoch_difference),
    "epochs, batched": epochs(batched_difference),
    "epochs, weighted": epochs(ipw_difference, (0.5, 0.5)),
    "days": days,
    "blocks": lambda a, b: block_difference(alternating(a, b), PLAN),
    "paths": lambda a, b: path_difference(alternating(a, b), PLAN),
}


def arms(seed: int) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 1.0, 40), rng.normal(1.5, 2.0, 40)


SHOWN = {Status.OK, Status.FEW_CLUSTERS}


@pytest.mark.parametrize("design", DESIGNS)
@given(st.integers(0, 10**6), st.sampled_from([1e-9, 0.01, 3.0, 1e9]))
def test_another_unit_scales_the_effect_and_leaves_p_alone(
    design: str, seed: int, factor: float
) -> None:
    a, b = arms(seed)
    plain, scaled = DESIGNS[design](a, b), DESIGNS[design](factor * a, factor * b)
    assert scaled.status == plain.status
    assert plain.status[()] in SHOWN
    for name in ("estimate", "standard_error", "lower", "upper"):
        wanted = factor * float(getattr(plain, name))
        assert float(getattr(scaled, name)) == pytest.approx(wanted, rel=1e-6)
    assert float(scaled.p_value) == pytest.approx(float(plain.p_value), rel=1e-6)


@pytest.mark.parametrize("design", DESIGNS)
@given(st.integers(0, 10**6))
def test_swapping_the_variants_negates_the_effect(design: str, seed: int) -> None:
    a, b = arms(seed)
    plain = DESIGNS[design](a, b)
    if design in ("blocks", "paths"):
        method = block_difference if design == "blocks" else path_difference
        swapped = method(alternating(a, b), FLIPPED)
    else:
        swapped = DESIGNS[design](b, a)
    assert float(swapped.estimate) == pytest.approx(-float(plain.estimate))
    assert float(swapped.lower) == pytest.approx(-float(plain.upper))
    assert float(swapped.p_value) == pytest.approx(float(plain.p_value))


@pytest.mark.parametrize("design", DESIGNS)
def test_single_precision_is_accepted(design: str) -> None:
    a, b = (rows.astype(np.float32) for rows in arms(0))
    found = DESIGNS[design](a, b)  # type: ignore[arg-type]  # float32 on purpose
    assert found.estimate.dtype == np.float64
    assert found.status[()] in SHOWN


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_end_in_a_status(design: str, bad: float) -> None:
    a, b = arms(0)
    a[25] = bad
    found = DESIGNS[design](a, b)
    finite = np.isfinite([found.estimate, found.lower, found.upper, found.p_value])
    assert bool(finite.all()) == (found.status[()] in SHOWN)


def test_redrawn_schedules_ignore_the_level_and_the_unit() -> None:
    rows = alternating(*arms(1))
    plain, moved = (
        randomisation_test(outcome, PLAN, rng=np.random.default_rng(0), draws=499)
        for outcome in (rows, 1e8 + 1000 * rows)
    )
    assert float(moved.p_value) == float(plain.p_value)
    assert float(moved.upper) == pytest.approx(1000 * float(plain.upper), rel=1e-6)


def test_p_values_reach_the_far_tail() -> None:
    votes = Preferences.from_scores(np.ones(990))
    assert float(sign_test(votes).p_value) == pytest.approx(2.0**-989)
    scores = np.random.default_rng(0).normal(1.0, 0.35, 300)
    assert 0 < float(credit_test(Preferences.from_scores(scores)).p_value) < 1e-120
    rewards = np.random.default_rng(1).normal(1.0, 0.05, 4000)
    weights = np.where(np.arange(4000) % 2, 0.6, 0.4)
    rounds = LoggedRounds.from_propensities(rewards + 0.1 * weights, weights, 0.5)
    assert 0 < float(policy_lead(rounds).p_value) < 1e-20
