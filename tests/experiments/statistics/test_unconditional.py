"""Small counts: the exact test is exact, and its interval is its own."""

from fractions import Fraction
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics import proportions
from experiments.statistics.comparison import Comparison, Scale, Status
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.proportions.effects import DIFFERENCE, RATIO
from experiments.statistics.sequential import Look
from experiments.statistics.unconditional import (
    Effect,
    Table,
    barnard,
    boschloo,
    exact,
    fisher,
)
from experiments.statistics.unconditional.hypotheses import NEGLIGIBLE, Problem

Counts: TypeAlias = tuple[int, int, int, int]


@st.composite
def tables(draw: st.DrawFn, most: int) -> Counts:
    """Events and units of two arms (x0, n0, x1, n1)."""
    n0, n1 = draw(st.integers(1, most)), draw(st.integers(1, most))
    return draw(st.integers(0, n0)), n0, draw(st.integers(0, n1)), n1


def by_enumeration(table: Counts, value: float, effect: Effect) -> float:
    """The one-sided p-value by adding up every table at 20,000 nuisance rates."""
    x0, n0, x1, n1 = table
    every = np.meshgrid(np.arange(n0 + 1.0), np.arange(n1 + 1.0), indexing="ij")
    units = (np.full(every[0].shape, float(n)) for n in (n0, n1))
    with np.errstate(all="ignore"):
        n_a, n_b = units
        score = effect.score(every[0], n_a, every[1], n_b, np.asarray(value))
        slope, shift = (float(part) for part in effect.line(np.asarray(value)))
    region = score >= score[x0, x1] - 1e-9
    ends = max(0.0, -shift / slope), min(1.0, (1 - shift) / slope)
    rate = (
        ends[0] + (ends[1] - ends[0]) * np.sin(np.linspace(0, np.pi / 2, 20_000)) ** 2
    )
    # The default leaves out rates that either arm contradicts at 1e-8.
    for x, n, p in ((x0, n0, rate), (x1, n1, slope * rate + shift)):
        side = np.minimum(stats.binom.cdf(x, n, p), stats.binom.sf(x - 1, n, p))
        rate = np.where(side < 0.25e-8, np.nan, rate)
    rate = rate[np.isfinite(rate)][:, None]
    first = stats.binom.pmf(np.arange(n0 + 1), n0, rate)
    other = np.clip(slope * rate + shift, 0, 1)
    second = stats.binom.pmf(np.arange(n1 + 1), n1, other)
    return float(((first @ region) * second).sum(axis=1).max(initial=0.0))


def columns(table: Counts) -> Table:
    x0, n0, x1, n1 = (np.array([float(count)]) for count in table)
    return x0, n0, x1, n1


@settings(deadline=None, max_examples=25)
@example(table=(0, 5, 0, 7), value=-1e-9, ratio=1.0)
@example(table=(16, 36, 17, 17), value=0.0, ratio=1.0)
@example(table=(0, 1, 0, 1), value=-5e-324, ratio=1.0)
@given(table=tables(40), value=st.floats(-0.9, 0.9), ratio=st.floats(0.2, 5.0))
def test_the_p_value_is_the_sum_over_every_table_at_the_worst_rate(
    table: Counts, value: float, ratio: float
) -> None:
    x0, n0, x1, n1 = arrays = columns(table)
    for effect, asked in ((DIFFERENCE, value), (DIFFERENCE, 0.0), (RATIO, ratio)):
        near = abs(asked - effect.none) * max(n0[0], n1[0]) < NEGLIGIBLE
        tested = effect.none if near else asked
        with np.errstate(all="ignore"):
            statistic = effect.score(x0, n0, x1, n1, np.array([tested]))[0]
            problem = Problem.of(arrays, effect)
            got = problem.p_value(np.array([asked]), rounds=4)[0]
        if statistic <= 0:
            assert got == 1.0
            continue
        expected = by_enumeration(table, tested, effect)
        assert got == pytest.approx(expected, rel=3e-3, abs=2e-8)


def every_table(n0: int, n1: int) -> tuple[FloatArray, FloatArray]:
    x0, x1 = np.meshgrid(np.arange(n0 + 1.0), np.arange(n1 + 1.0), indexing="ij")
    return x0.ravel(), x1.ravel()


@pytest.mark.parametrize(("n0", "n1"), [(12, 12), (15, 7)])
def test_each_tail_errs_at_most_half_of_alpha_whatever_the_rates(
    n0: int, n1: int
) -> None:
    """No simulation: every table of both arms, at a grid of true rates."""
    x0, x1 = every_table(n0, n1)
    points = proportions.difference(x0, n0, x1, n1, alpha=0.1)
    lift = proportions.relative_difference(x0, n0, x1, n1, alpha=0.1)
    for p0 in np.linspace(0.02, 0.98, 20):
        for p1 in np.linspace(0.02, 0.98, 20):
            chance = stats.binom.pmf(x0, n0, p0) * stats.binom.pmf(x1, n1, p1)
            for result, truth in ((points, p1 - p0), (lift, p1 / p0 - 1)):
                assert chance[result.lower > truth + 1e-9].sum() <= 0.05 + 1e-6
                assert chance[result.upper < truth - 1e-9].sum() <= 0.05 + 1e-6


def agree(result: Comparison) -> bool:
    return bool((result.excludes_zero == (result.p_value < result.alpha)).all())


def test_interval_and_p_value_agree_on_every_small_table() -> None:
    x0, x1 = every_table(9, 14)
    for alpha in (0.001, 0.2):
        points = proportions.difference(x0, 9, x1, 14, alpha=alpha)
        lift = proportions.relative_difference(x0, 9, x1, 14, alpha=alpha)
        assert agree(points)
        assert agree(lift)
        np.testing.assert_array_equal(points.p_value, lift.p_value)


@settings(deadline=None, max_examples=8)
@given(table=tables(300), alpha=st.sampled_from([0.01, 0.05, 0.2]))
def test_interval_and_p_value_agree_at_a_look_too(table: Counts, alpha: float) -> None:
    for look in (None, Look((0.5,), alpha)):
        for method in (proportions.difference, proportions.relative_difference):
            result = method(*table, alpha=alpha, quantile=look)
            assert agree(result)
            assert np.isfinite(result.p_value)
            assert result.lower <= result.upper


def test_the_bound_is_where_the_test_starts_to_reject() -> None:
    table = columns((6, 600, 15, 600))
    start = np.array([-0.1]), np.array([0.1])
    _, lower, upper = exact(table, np.array([0.025]), start, DIFFERENCE)
    problem = Problem.of(table, DIFFERENCE)
    with np.errstate(all="ignore"):
        for step, rejects in ((-1e-6, True), (1e-6, False)):
            assert (problem.p_value(lower + step)[0] < 0.025) is np.bool_(rejects)
    assert lower[0] < 0 < upper[0]


def test_the_pairs_that_split_other_tools_have_one_answer() -> None:
    """Boschloo and Newcombe disagree on 0 of 200 v 5 of 200, pooled z on the other."""
    got = proportions.difference([0, 6], [200, 600], [5, 15], [200, 600])
    assert agree(got)
    assert got.p_value[0] == pytest.approx(0.0242395, abs=1e-6)
    assert got.lower[0] == pytest.approx(0.0043347, abs=1e-6)
    assert "exact unconditional where counts are small" in got.method
    assert "Exact unconditional" in proportions.difference(0, 200, 5, 200).method


def test_small_counts_are_exact_and_no_longer_marked() -> None:
    got = proportions.difference(
        [0, 3, 200], [50, 10**6, 2000], [0, 9, 230], [60, 10**6, 2000]
    )
    assert (got.status == Status.OK).all()
    assert (got.upper - got.lower > 0).all()
    scored = proportions.score_difference(200, 2000, 230, 2000)
    assert got.p_value[2] == scored.p_value
    assert got.lower[2] == scored.lower


@pytest.mark.parametrize("units", [10**6, 10**8, 10**10])
def test_rare_events_among_very_many_units_are_compared_like_poisson_counts(
    units: int,
) -> None:
    """Given 12 events, 9 or more in one of two equal arms: binomial(12, 1/2)."""
    got = proportions.difference(3, units, 9, units)
    lift = proportions.relative_difference(3, units, 9, units)
    conditional = 2 * float(stats.binom.sf(8, 12, 0.5))
    assert 0.083 < float(got.p_value) < conditional
    assert float(lift.p_value) == float(got.p_value)
    assert float(got.lower) * units == pytest.approx(-0.988, abs=2e-3)
    assert float(lift.upper) + 1 == pytest.approx(15.15, abs=0.01)


def test_a_huge_control_beside_a_tiny_treatment_is_known_exactly() -> None:
    """With the control's rate known the test is the binomial one of 2 in 20."""
    got = proportions.difference(5 * 10**8, 10**10, 2, 20)
    known = 2 * float(stats.binom.sf(1, 20, 0.05))
    assert float(got.p_value) == pytest.approx(known, rel=1e-3)


def test_a_contradicted_nuisance_shows_the_tail_of_the_score() -> None:
    got = proportions.difference(0, 5000, 300, 5000)
    assert 0 < float(got.p_value) < 1e-60
    assert float(got.lower) > 0.05


def test_other_cells_are_not_slowed_by_exact_ones() -> None:
    rng = np.random.default_rng(0)
    x = rng.binomial(4000, 0.05, (2, 10_000))
    x[0, :100] = 3
    got = proportions.difference(x[0], 4000, x[1], 4000)
    assert agree(got)
    assert (got.status == Status.OK).all()


@pytest.mark.parametrize("scale", ["absolute", "relative"])
def test_a_margin_is_passed_just_where_the_interval_clears_it(scale: Scale) -> None:
    x0, x1 = np.meshgrid([0, 2, 9, 30, 500], [0, 3, 12, 40, 560], indexing="ij")
    for units in (600, 3000):
        table = (x0, units, x1, units + 7)
        relative = scale == "relative"
        method = proportions.relative_difference if relative else proportions.difference
        lower = method(*table, alpha=0.1).lower
        for margin in (-0.2, -0.013, 0.0):
            p_value = proportions.p_above(*table, value=margin, scale=scale)
            known = (x0 > 0) | (not relative)
            assert ((p_value < 0.05) == (lower > margin))[known].all()


def test_barnard_equals_scipy_but_for_a_tie_that_rounding_breaks() -> None:
    """[[7, 12], [8, 3]]: SciPy prints 0.034077, the largest sum is 0.034109.

    3 of 15 against 8 of 15 has the same pooled z as 7 against 12, so it counts; in
    SciPy its z comes out 4e-16 smaller and it is left out.
    """

    def z2(a: int, b: int) -> Fraction:
        pooled = Fraction(a + b, 30)
        return Fraction(b - a, 15) ** 2 / (pooled * (1 - pooled) * Fraction(2, 15))

    assert z2(3, 8) == z2(7, 12)
    got = barnard(7, 15, 12, 15, alternative="greater")
    scipy = stats.barnard_exact([[7, 12], [8, 3]], alternative="less").pvalue
    assert scipy == pytest.approx(0.034077, abs=5e-7)
    assert got == pytest.approx(0.0341092, abs=5e-8)
    every = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    higher = np.array(
        [[a < b and z2(a, b) >= z2(7, 12) for b in range(16)] for a in range(16)]
    )
    chance = [stats.binom.pmf(axis, 15, 0.33655) for axis in every]
    assert got == pytest.approx((higher * chance[0] * chance[1]).sum(), abs=1e-8)


def test_boschloo_and_fisher_equal_the_scipy_documentation() -> None:
    assert boschloo(31, 63, 74, 117, alternative="greater") == pytest.approx(
        0.035564, abs=5e-7
    )
    assert fisher(7, 15, 12, 15, alternative="greater") == pytest.approx(
        0.064068, abs=5e-7
    )


@settings(deadline=None, max_examples=15)
@given(table=tables(16))
def test_the_textbook_tests_equal_scipy(table: Counts) -> None:
    x0, n0, x1, n1 = table
    square = np.array([[x1, x0], [n1 - x1, n0 - x0]])
    for side in ("greater", "less", "two-sided"):
        other = stats.fisher_exact(square, alternative=side).pvalue
        assert fisher(*table, alternative=side) == pytest.approx(other, rel=1e-9)
        if 0 < x0 + x1 < n0 + n1:
            other = stats.boschloo_exact(square, alternative=side).pvalue
            assert boschloo(*table, alternative=side) == pytest.approx(other, rel=1e-4)
            other = stats.barnard_exact(square, alternative=side).pvalue
            # SciPy misses ties of mirrored tables, so it can only be smaller.
            assert barnard(*table, alternative=side) >= other - 1e-4


def test_options_name_the_argument_out_of_bounds() -> None:
    with pytest.raises(StatisticsError, match=r"control must lie in \[0, 4\], got 5"):
        barnard(5, 4, 1, 4)
    with pytest.raises(StatisticsError, match=r"treatment_units must .*got 3000"):
        fisher(5, 40, 1, 3000)
