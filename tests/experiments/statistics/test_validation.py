"""Error rates and coverage by simulation: 2,000 experiments a cell, seed = cell number.

The band is the 99.99 % binomial one for 5 % and 2,000 draws: [3.1, 6.9] %.
``pytest -o log_cli=true --log-cli-level=INFO`` shows every rate.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from experiments.statistics import proportions
from experiments.statistics.aggregates import CrossMoments, JointMoments, Moments
from experiments.statistics.always_valid import always_valid
from experiments.statistics.comparison import Comparison
from experiments.statistics.covariates import (
    adjust,
    adjusted_difference,
    adjusted_lift,
)
from experiments.statistics.guardrails import Outcome, non_inferiority
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.ratios import ratio_difference, ratio_lift
from experiments.statistics.relative import fieller
from experiments.statistics.sequential import Look

logger = logging.getLogger(__name__)
SIMULATIONS = 2000
LOW, HIGH = 0.031, 0.069
LIFTS = (0.0, 0.02, 0.2)


@dataclass(frozen=True)
class Cell:
    """A metric: draws of shape (simulation, unit) with mean 1 + lift times its own."""

    name: str
    units: int
    mean: float
    draw: Callable[[np.random.Generator, tuple[int, int], float], FloatArray]


CELLS = (
    Cell("normal", 200, 1.0, lambda g, s, m: g.normal(m, 1.0, s)),
    Cell("Poisson", 300, 1.0, lambda g, s, m: g.poisson(m, s).astype(np.float64)),
    Cell("gamma", 1000, 1.0, lambda g, s, m: g.gamma(2.0, m / 2, s)),
)


def rate(result: Comparison, truth: float = 0.0) -> float:
    """Share of simulations whose interval leaves the truth out."""
    share = float(((result.lower > truth) | (result.upper < truth)).mean())
    logger.info(
        "%s, %s effect %+.4g: %.2f %%", result.method, result.scale, truth, 100 * share
    )
    return share


def arms(
    cell: Cell, seed: int, lift: float, shares: tuple[float, float] = (1, 1)
) -> tuple[Moments, Moments]:
    generator = np.random.default_rng(seed)
    return tuple(  # type: ignore[return-value]  # two arms
        Moments.from_units(
            cell.draw(generator, (SIMULATIONS, int(cell.units * share)), mean)
        )
        for share, mean in zip(shares, (cell.mean, cell.mean * (1 + lift)), strict=True)
    )


@pytest.mark.parametrize("seed", range(len(CELLS)))
@pytest.mark.parametrize("lift", LIFTS)
def test_means_cover_the_truth_absolutely_and_relatively(
    seed: int, lift: float
) -> None:
    cell = CELLS[seed]
    control, treatment = arms(cell, seed, lift)
    assert LOW <= rate(welch(control, treatment), lift * cell.mean) <= HIGH
    assert LOW <= rate(fieller(control, treatment), lift) <= HIGH


def test_a_ninety_ten_split_of_a_symmetric_metric_keeps_its_error() -> None:
    control, treatment = arms(CELLS[0], 3, 0.0, shares=(1.8, 0.2))
    result = welch(control, treatment)
    assert LOW <= rate(result) <= HIGH
    assert LOW <= float((result.p_value < 0.05).mean()) <= HIGH


def test_p_values_without_an_effect_are_uniform() -> None:
    control, treatment = arms(CELLS[0], 4, 0.0)
    p = np.sort(welch(control, treatment).p_value)
    ranks = np.arange(1, p.size + 1) / p.size
    distance = max(np.abs(p - ranks).max(), np.abs(p - ranks + 1 / p.size).max())
    assert distance * np.sqrt(p.size) < 1.95  # Kolmogorov-Smirnov p > 0.001


@pytest.mark.parametrize(("seed", "base", "units"), [(5, 0.05, 2000), (6, 0.005, 2000)])
@pytest.mark.parametrize("lift", LIFTS)
def test_proportions_never_err_too_often(
    seed: int, base: float, units: int, lift: float
) -> None:
    generator = np.random.default_rng(seed)
    control = generator.binomial(units, base, SIMULATIONS)
    treatment = generator.binomial(units, base * (1 + lift), SIMULATIONS)
    table = (control, units, treatment, units)
    assert rate(proportions.difference(*table), lift * base) <= HIGH
    assert rate(proportions.relative_difference(*table), lift) <= HIGH


def test_clicks_per_view_keep_their_error_where_naive_counting_does_not() -> None:
    generator = np.random.default_rng(7)
    shape = (SIMULATIONS, 400)

    def arm() -> CrossMoments:
        views = generator.poisson(10, shape) + 1
        rates = generator.beta(1, 9, shape)
        return CrossMoments.from_units(generator.binomial(views, rates), views)

    control, treatment = arm(), arm()
    assert LOW <= rate(ratio_difference(control, treatment)) <= HIGH
    assert LOW <= rate(ratio_lift(control, treatment)) <= HIGH
    naive = proportions.difference(
        np.rint(control.mean_y * 400),
        np.rint(control.mean_x * 400),
        np.rint(treatment.mean_y * 400),
        np.rint(treatment.mean_x * 400),
    )
    assert rate(naive) > 0.12


def test_covariate_adjustment_keeps_its_error_and_halves_the_variance() -> None:
    generator = np.random.default_rng(8)
    x = generator.standard_normal((SIMULATIONS, 2, 500))
    y = 1 + 0.7 * x + np.sqrt(0.51) * generator.standard_normal(x.shape)
    adjusted = adjust(JointMoments.from_units(np.stack([y, x], axis=-1)))
    result = adjusted_difference(adjusted)
    assert LOW <= rate(result) <= HIGH
    assert LOW <= rate(adjusted_lift(adjusted)) <= HIGH
    plain = welch(adjusted.plain[..., 0], adjusted.plain[..., 1])
    ratio = float(np.var(result.estimate) / np.var(plain.estimate))
    assert ratio == pytest.approx(0.51, abs=0.05)
    claimed = float((result.standard_error**2).mean() / np.var(result.estimate))
    assert claimed == pytest.approx(1.0, abs=0.13)


def test_a_useless_covariate_costs_nothing() -> None:
    generator = np.random.default_rng(9)
    rows = generator.standard_normal((SIMULATIONS, 2, 500, 2))
    result = adjusted_difference(adjust(JointMoments.from_units(rows)))
    plain = welch(*(Moments.from_units(rows[:, arm, :, 0]) for arm in (0, 1)))
    assert np.var(result.estimate) <= 1.02 * np.var(plain.estimate)


def daily(generator: np.random.Generator, days: int) -> FloatArray:
    """Cumulative events of 1,000 units a day at 5 %, shape (simulation, day)."""
    return np.cumsum(generator.binomial(1000, 0.05, (SIMULATIONS, days)), axis=1)


def test_planned_looks_keep_the_error_that_peeking_loses() -> None:
    generator = np.random.default_rng(10)
    control, treatment = daily(generator, 5), daily(generator, 5)
    ever = np.zeros(SIMULATIONS, dtype=bool)
    by_p = np.zeros(SIMULATIONS, dtype=bool)
    peeked = np.zeros(SIMULATIONS, dtype=bool)
    for day in range(5):
        units = 1000 * (day + 1)
        table = (control[:, day], units, treatment[:, day], units)
        look = Look(tuple((k + 1) / 5 for k in range(day + 1)), 0.05)
        result = proportions.difference(*table, alpha=0.05, quantile=look)
        ever |= result.excludes_zero
        by_p |= result.p_value < 0.05
        peeked |= proportions.difference(*table, alpha=0.05).excludes_zero
    assert (ever == by_p).all()
    assert LOW <= ever.mean() <= HIGH
    assert peeked.mean() > 0.10


def test_always_valid_intervals_hold_at_every_look() -> None:
    generator = np.random.default_rng(11)
    days, units = 200, 100
    sums = generator.standard_normal((2, SIMULATIONS, days)).cumsum(axis=-1)
    n = units * np.arange(1, days + 1)
    difference = (sums[1] - sums[0]) * np.sqrt(units) / n
    error = np.broadcast_to(np.sqrt(2 / n), difference.shape)
    for one_sided in (False, True):
        got = always_valid(
            difference, error, 2 * n, alpha=0.05, n_opt=5000, one_sided=one_sided
        )
        wrong = (got.p_value < 0.05).any(axis=1).mean()
        assert wrong <= 0.05
        assert wrong > 0.005


def test_a_guardrail_at_its_margin_passes_by_mistake_at_most_as_often_as_stated() -> (
    None
):
    control, treatment = arms(CELLS[2], 12, -0.05)
    got = non_inferiority(control, treatment, margin=0.05, alpha=0.05)
    assert LOW <= (got.outcome == Outcome.PASS).mean() <= HIGH
    assert LOW <= (got.outcome == Outcome.FAIL).mean() <= HIGH
