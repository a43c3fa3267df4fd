"""Other tools as a second opinion, asked in their own environment.

``make bench BENCH=statistics`` installs them; without it these tests are skipped and
counted. Where we differ the test says why.
"""

from functools import lru_cache

import numpy as np
import pytest

from benchmarks.peers import Answers, Question, Tool, ask
from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.always_valid import always_valid
from experiments.statistics.bayesian import NormalPrior, posterior
from experiments.statistics.comparison import Comparison
from experiments.statistics.covariates import adjust, adjusted_difference
from experiments.statistics.means import welch
from experiments.statistics.quantiles import (
    QuantileStatistics,
    quantile_difference,
    window,
)
from experiments.statistics.ratios import ratio_difference
from experiments.statistics.relative import delta, log_delta

pytestmark = pytest.mark.peers

# Sums of the published cases: n, sum, sum of squares (and of the second value).
MEANS = (3407, 1396.87, 52377.9767), (3461, 2422.7, 134698.29)
RATIO = (
    (2023, 1073, 2073, 4038, 10098, 2648),
    (1977, 1133, 2121, 3920, 9698, 2730),
)
PRE_PERIOD = (3001, 300, 600, 210, 415, -20), (3000, 222, 555, 120, 405, -10)
GBSTATS = (
    Question("mean", *MEANS),
    Question("mean", *MEANS, scale="relative"),
    Question("ratio", *RATIO),
    Question("cuped", *PRE_PERIOD),
    Question("mean", *MEANS, extra=(("tuning", 5_000.0),)),
    Question("proportion", (28, 14), (30, 16), scale="relative"),
    Question(
        "mean",
        (100, 1002.25, 10055.0),
        (105, 1111.5, 11779.0),
        scale="relative",
        extra=(("prior_mean", 0.1), ("prior_variance", 0.1)),
    ),
    Question(
        "quantile",
        (11054, 7.157987489967789, 7.098780136176828, 7.217194843758751),
        (10861, 7.694499927525767, 7.64180598628119, 7.747193868770344),
        extra=(("level", 0.9),),
    ),
)
TEA_TASTING = (
    Question("mean", *MEANS),
    Question("mean", *MEANS, scale="relative"),
    Question("ratio", *RATIO),
    Question("cuped", *PRE_PERIOD),
)


@lru_cache
def answered(tool: Tool) -> Answers:
    """Ask once for the whole module: starting the other interpreter takes seconds."""
    return ask(tool, GBSTATS if tool == "gbstats" else TEA_TASTING)


def moments() -> list[Moments]:
    return [Moments.from_power_sums(*sums) for sums in MEANS]


def pairs(
    sums: tuple[tuple[int, float, float, float, float, float], ...],
) -> list[CrossMoments]:
    return [
        CrossMoments.from_power_sums(n, y, x, yy, xx, xy)
        for n, y, yy, x, xx, xy in sums
    ]


def agree(ours: Comparison, theirs: Answers, place: int, *, rel: float) -> None:
    for name in ("estimate", "lower", "upper", "p_value"):
        expected = getattr(theirs, name)[place]
        assert float(getattr(ours, name)) == pytest.approx(expected, rel=rel), name


@pytest.mark.parametrize("tool", ["gbstats", "tea_tasting"])
def test_the_difference_of_means_is_theirs(tool: Tool) -> None:
    agree(welch(*moments()), answered(tool), 0, rel=1e-9)


def test_the_linear_delta_lift_is_that_of_gbstats() -> None:
    agree(delta(*moments()), answered("gbstats"), 1, rel=1e-9)


def test_the_log_delta_lift_is_that_of_tea_tasting() -> None:
    """Its p-value is of the difference, ours of the log ratio: they may disagree."""
    theirs, ours = answered("tea_tasting"), log_delta(*moments())
    assert float(ours.lower) == pytest.approx(theirs.lower[1], rel=1e-9)
    assert float(ours.upper) == pytest.approx(theirs.upper[1], rel=1e-9)
    assert theirs.p_value[1] == pytest.approx(theirs.p_value[0])


@pytest.mark.parametrize("tool", ["gbstats", "tea_tasting"])
def test_the_difference_of_ratios_is_theirs(tool: Tool) -> None:
    agree(ratio_difference(*pairs(RATIO)), answered(tool), 2, rel=1e-9)


@pytest.mark.parametrize("tool", ["gbstats", "tea_tasting"])
def test_the_adjusted_difference_is_theirs_with_one_slope_for_all_units(
    tool: Tool,
) -> None:
    """Our default slope is that within variants, which never adds variance."""
    both = pairs(PRE_PERIOD)
    arms = CrossMoments(
        *(
            np.stack([getattr(arm, name) for arm in both], axis=-1)
            for name in ("count", "mean_y", "mean_x", "m2_y", "m2_x", "cxy")
        )
    )
    ours = adjusted_difference(adjust(arms, slope="total"))
    agree(ours, answered(tool), 3, rel=1e-6)


def test_the_always_valid_interval_is_that_of_gbstats() -> None:
    """Its p-value is the running e-value's inverse, as ours is."""
    theirs, plain = answered("gbstats"), welch(*moments())
    got = always_valid(plain.estimate, plain.standard_error, 3407 + 3461, n_opt=5_000)
    assert float(plain.estimate - got.half_width) == pytest.approx(theirs.lower[4])
    assert float(plain.estimate + got.half_width) == pytest.approx(theirs.upper[4])
    assert float(got.p_value) == pytest.approx(theirs.p_value[4])


def test_the_lift_of_proportions_is_that_of_gbstats_but_for_the_n_minus_one() -> None:
    """It takes p (1 - p) as the variance and n - 1 for the degrees of freedom."""

    def arm(units: int, events: int) -> Moments:
        share = events / units
        m2 = share * (1 - share) * (units - 1)
        return Moments(*map(np.asarray, (float(units), share, m2, np.nan)))

    agree(delta(arm(28, 14), arm(30, 16)), answered("gbstats"), 5, rel=1e-9)


def test_the_posterior_is_that_of_gbstats() -> None:
    sums = (100, 1002.25, 10055.0), (105, 1111.5, 11779.0)
    effect = delta(*(Moments.from_power_sums(*arm) for arm in sums))
    got = posterior(effect, NormalPrior(0.1, 0.1**0.5))
    theirs = answered("gbstats")
    for ours, name in (
        (got.estimate, "estimate"),
        (got.lower, "lower"),
        (got.upper, "upper"),
        (got.probability_better, "p_value"),
    ):
        assert float(ours) == pytest.approx(getattr(theirs, name)[6], rel=1e-9), name


def test_the_difference_of_quantiles_is_that_of_gbstats() -> None:
    """Rows are units here: their noise is binomial, n p (1 - p).

    Ours is a little wider: it allows for the noise of the density.
    """

    def arm(n: int, value: float, low: float, high: float) -> QuantileStatistics:
        count = float(n)
        m2 = 0.09 * (count - 1)
        below = CrossMoments(*map(np.asarray, (count, 0.9, 1.0, m2, 0.0, 0.0)))
        value_, low_, high_, level = map(np.asarray, (value, low, high, 0.9))
        return QuantileStatistics(value_, low_, high_, level, window(below), below)

    question = GBSTATS[7]
    control, treatment = (
        arm(int(n), *rest) for n, *rest in (question.control, question.treatment)
    )
    ours, theirs = quantile_difference(control, treatment), answered("gbstats")
    assert float(ours.estimate) == pytest.approx(theirs.estimate[7], rel=1e-9)
    assert float(ours.lower) == pytest.approx(theirs.lower[7], rel=1e-3)
    assert float(ours.upper) == pytest.approx(theirs.upper[7], rel=1e-3)
    assert ours.lower < theirs.lower[7] < theirs.upper[7] < ours.upper
