"""Guardrails and equivalence: outcome, p-value and interval from one test."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.covariates import adjust, adjusted_difference, adjusted_lift
from experiments.statistics.equivalence import (
    effect_equivalence,
    equivalence,
    proportion_equivalence,
)
from experiments.statistics.guardrails import (
    Baseline,
    Direction,
    MarginScale,
    NonInferiority,
    Outcome,
    effect_non_inferiority,
    non_inferiority,
    proportion_non_inferiority,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError
from experiments.statistics.ratios import linearised, ratio_difference
from experiments.statistics.sequential import Look

DIRECTIONS: tuple[Direction, ...] = ("increase", "decrease")
SCALES: tuple[MarginScale, ...] = ("relative", "absolute")
RUNS = 2000


def arms(mean: float, *, seed: int, units: int = 400) -> tuple[Moments, Moments]:
    dice = np.random.default_rng(seed)
    return (
        Moments.from_units(dice.normal(2.0, 1.0, (RUNS, units))),
        Moments.from_units(dice.normal(mean, 1.2, (RUNS, units))),
    )


def clears(result: NonInferiority, direction: Direction) -> np.ndarray:
    toward = 1 if direction == "increase" else -1
    return np.asarray(toward * result.bound > -result.margin)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("look", [None, Look((0.5,), 0.1)])
def test_a_guardrail_passes_exactly_when_the_bound_clears_the_margin(
    direction: Direction, scale: MarginScale, look: Look | None
) -> None:
    control, treatment = arms(1.95, seed=1)
    dice = np.random.default_rng(2)
    events = dice.binomial(300, 0.1, (2, RUNS))
    for result in (
        non_inferiority(
            control,
            treatment,
            margin=0.08,
            scale=scale,
            direction=direction,
            look=look,
        ),
        proportion_non_inferiority(
            events[0],
            300,
            events[1],
            300,
            margin=0.5,
            absolute_margin=0.05,
            scale=scale,
            direction=direction,
            look=look,
        ),
    ):
        passed = result.outcome == Outcome.PASS
        assert (passed == clears(result, direction)).all()
        assert (passed == (result.p_value < 0.05)).all()
        assert 0 < passed.mean() < 1
        assert ((result.outcome == Outcome.FAIL) == (result.harm_p_value < 0.05)).all()


def test_the_other_end_of_the_interval_shows_harm() -> None:
    control, treatment = arms(1.75, seed=3)
    result = non_inferiority(control, treatment, margin=0.05)
    assert ((result.outcome == Outcome.FAIL) == (result.upper < -0.05)).all()
    assert 0.5 < (result.outcome == Outcome.FAIL).mean() < 1


def test_any_effect_gives_the_figures_of_the_test_of_means() -> None:
    control, treatment = arms(1.95, seed=4)
    absolute = welch(control, treatment, alpha=0.1)
    for scale, baseline in (
        ("absolute", None),
        (
            "relative",
            Baseline(control.mean, control.standard_error2, -control.standard_error2),
        ),
    ):
        one = non_inferiority(control, treatment, margin=0.05, scale=scale)  # type: ignore[arg-type]  # one of two
        two = effect_non_inferiority(absolute, margin=0.05, baseline=baseline)
        # Only the degrees of freedom differ: of the effect here, of the margin there.
        assert two.p_value == pytest.approx(one.p_value, abs=1e-5)
        assert two.bound == pytest.approx(one.bound, abs=1e-5)


def paired(seed: int) -> CrossMoments:
    dice = np.random.default_rng(seed)
    x = dice.gamma(4.0, 1.0, (RUNS, 2, 300))
    return CrossMoments.from_units(x + dice.normal(0, 1, x.shape), x)


def test_a_ratio_at_its_margin_passes_as_often_as_stated() -> None:
    """The treatment's numerator is 10 % smaller; 99.99 % band of 2,000 runs."""
    cross = paired(5)
    worse = CrossMoments(
        cross.count,
        0.9 * cross.mean_y,
        cross.mean_x,
        0.81 * cross.m2_y,
        cross.m2_x,
        0.9 * cross.cxy,
    )
    control, treatment = cross[:, 0], worse[:, 1]
    plain = linearised(control)
    result = effect_non_inferiority(
        ratio_difference(control, treatment, alpha=0.1),
        margin=0.1,
        baseline=Baseline(plain.mean, plain.standard_error2, -plain.standard_error2),
    )
    assert 0.0324 <= (result.outcome == Outcome.PASS).mean() <= 0.0711
    assert 0.0324 <= (result.outcome == Outcome.FAIL).mean() <= 0.0711
    assert ((result.p_value < 0.05) == clears(result, "increase")).all()


def test_an_adjusted_mean_carries_the_noise_of_the_plain_margin() -> None:
    adjusted = adjust(paired(6))
    baseline = adjusted.plain[..., 0]
    result = effect_non_inferiority(
        adjusted_difference(adjusted, alpha=0.1),
        margin=0.02,
        baseline=Baseline(
            baseline.mean, baseline.standard_error2, -adjusted.covariance[..., 0]
        ),
    )
    lift = adjusted_lift(adjusted, alpha=0.1)
    assert result.bound == pytest.approx(lift.lower, rel=1e-9)
    assert ((result.p_value < 0.05) == clears(result, "increase")).all()
    plain = non_inferiority(baseline, adjusted.plain[..., 1], margin=0.02)
    passed, without = (r.outcome == Outcome.PASS for r in (result, plain))
    assert passed.mean() > without.mean() + 0.1


@pytest.mark.parametrize("scale", SCALES)
def test_equivalence_passes_exactly_when_the_interval_lies_inside(
    scale: MarginScale,
) -> None:
    control, treatment = arms(2.0, seed=7)
    margin = 0.15 if scale == "absolute" else 0.07
    dice = np.random.default_rng(8)
    events = dice.binomial(3000, 0.1, (2, RUNS))
    for result in (
        equivalence(control, treatment, margin=margin, scale=scale),
        proportion_equivalence(
            events[0],
            3000,
            events[1],
            3000,
            margin=0.15,
            absolute_margin=0.015,
            scale=scale,
        ),
        effect_equivalence(welch(control, treatment, alpha=0.1), margin=0.15),
    ):
        inside = (result.lower > -result.lower_margin) & (
            result.upper < result.upper_margin
        )
        assert ((result.outcome == Outcome.PASS) == inside).all()
        assert ((result.p_value < 0.05) == inside).all()
        assert 0 < inside.mean() < 1
        assert "equivalence" in result.method


@pytest.mark.parametrize("shift", [-0.2, 0.2])
def test_a_difference_at_the_margin_is_called_equivalent_at_most_as_stated(
    shift: float,
) -> None:
    control, treatment = arms(2.0 + shift, seed=9)
    result = equivalence(control, treatment, margin=0.1)
    assert 0.0324 <= (result.outcome == Outcome.PASS).mean() <= 0.0711
    assert (result.outcome == Outcome.FAIL).mean() <= 0.0711


def test_margins_may_differ_by_side() -> None:
    control, treatment = arms(2.0, seed=10, units=100)
    both = equivalence(control, treatment, margin=0.3)
    narrow = equivalence(control, treatment, margin=0.3, upper_margin=0.02)
    assert (narrow.p_value >= both.p_value).all()
    assert (narrow.upper_margin == 0.02).all()


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 40),
    st.integers(0, 40),
    st.floats(0.05, 0.9),
    st.sampled_from(DIRECTIONS),
)
def test_a_wider_margin_never_makes_a_guardrail_harder(
    control: int, treatment: int, margin: float, direction: Direction
) -> None:
    narrow, wide = (
        proportion_non_inferiority(
            control,
            40,
            treatment,
            40,
            margin=size,
            absolute_margin=size,
            direction=direction,
        )
        for size in (margin, min(margin * 1.2, 0.95))
    )
    assert float(wide.p_value) <= float(narrow.p_value) + 1e-12


@settings(deadline=None)
@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(0.01, 5))
def test_mirroring_the_metric_mirrors_the_guardrail(
    control: float, treatment: float, spread: float
) -> None:
    def arm(mean: float) -> Moments:
        return Moments(*map(np.asarray, (50.0, mean, 49.0 * spread, 0.0)))

    up = non_inferiority(arm(control), arm(treatment), margin=0.1, scale="absolute")
    down = non_inferiority(
        arm(-control),
        arm(-treatment),
        margin=0.1,
        scale="absolute",
        direction="decrease",
    )
    assert float(up.p_value) == pytest.approx(float(down.p_value))
    assert float(up.bound) == pytest.approx(-float(down.bound))


def test_no_data_is_inconclusive_and_says_why() -> None:
    empty = Moments.from_units(np.zeros((2, 0)))
    result = equivalence(empty, empty, margin=0.1)
    assert (result.outcome == Outcome.INCONCLUSIVE).all()
    assert (result.status == "not_enough_data").all()


def test_wrong_arguments_name_themselves() -> None:
    control, treatment = (arm[0] for arm in arms(2.0, seed=11, units=20))
    lift = effect_non_inferiority
    with pytest.raises(StatisticsError, match=r"alpha must lie in \(0, 0.5\), got 0.5"):
        non_inferiority(control, treatment, margin=0.1, alpha=0.5)
    with pytest.raises(StatisticsError, match="alpha must be the look's own"):
        non_inferiority(control, treatment, margin=0.1, look=Look((0.5,), 0.05))
    with pytest.raises(StatisticsError, match="give the baseline"):
        lift(adjusted_lift(adjust(paired(12)[:2])), margin=0.1)
    with pytest.raises(StatisticsError, match="margin must be above 0"):
        lift(welch(control, treatment), margin=-1)
