"""Skewness removed: nominal where Welch is not, and Welch where nothing is skewed."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.relative import fieller
from experiments.statistics.sequential import Look
from experiments.statistics.skewed import (
    bent,
    common_skewness,
    skew_corrected,
    skew_corrected_lift,
    unbent,
)

SIMULATIONS = 4000
BAND = 0.0367, 0.0633  # 99.99 % binomial band of 5 % at 4,000 simulations
METHODS: list[Callable[..., Comparison]] = [skew_corrected, skew_corrected_lift]


def revenue(
    generator: np.random.Generator, units: int, lift: float = 0.0, sigma: float = 1.0
) -> Moments:
    """Moments of revenue a shopper: 5 % buy, log-normally much; no row is kept."""
    buyers = generator.binomial(units, 0.05, SIMULATIONS)
    paid = (1 + lift) * generator.lognormal(0.0, sigma, buyers.sum())
    who = np.repeat(np.arange(SIMULATIONS), buyers)
    one, two, three = (
        np.bincount(who, paid**power, SIMULATIONS) for power in (1, 2, 3)
    )
    return Moments.from_power_sums(np.full(SIMULATIONS, units * 1.0), one, two, three)


def tails(result: Comparison, truth: float) -> tuple[float, float]:
    return float((result.upper < truth).mean()), float((result.lower > truth).mean())


@pytest.mark.parametrize("lift", [0.0, 0.2])
def test_a_ninety_ten_split_of_revenue_errs_as_often_as_it_says(lift: float) -> None:
    generator = np.random.default_rng(0)
    control, treatment = revenue(generator, 9000), revenue(generator, 1000, lift)
    truth = lift * 0.05 * np.exp(0.5)
    naive = tails(welch(control, treatment), truth)
    assert sum(naive) > BAND[1]
    assert naive[0] > 5 * naive[1]
    for got, effect in ((skew_corrected, truth), (skew_corrected_lift, lift)):
        low, high = tails(got(control, treatment), effect)
        assert BAND[0] < low + high < BAND[1]
        assert 0.01 < min(low, high) < max(low, high) < 0.04


def test_an_exponential_metric_in_an_uneven_split_errs_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    control = Moments.from_units(generator.exponential(1.0, (SIMULATIONS, 180)))
    treatment = Moments.from_units(generator.exponential(1.0, (SIMULATIONS, 20)))
    assert sum(tails(welch(control, treatment), 0.0)) > BAND[1]
    low, high = tails(skew_corrected(control, treatment), 0.0)
    assert BAND[0] < low + high < BAND[1]


def test_where_a_few_units_decide_the_status_says_so_and_the_error_stays_below() -> (
    None
):
    generator = np.random.default_rng(2)
    wild = (revenue(generator, 9000, sigma=2.0), revenue(generator, 1000, sigma=2.0))
    got = skew_corrected(*wild)
    assert sum(tails(welch(*wild), 0.0)) > 0.12
    assert sum(tails(got, 0.0)) < BAND[1]
    assert (got.status == Status.SKEW_WARNING).mean() > 0.9
    tame = revenue(generator, 9000), revenue(generator, 1000)
    assert (skew_corrected(*tame).status == Status.OK).mean() > 0.8


def test_equal_arms_are_compared_by_welch_and_fieller_to_the_last_digit() -> None:
    generator = np.random.default_rng(3)
    control, treatment = revenue(generator, 2000), revenue(generator, 2000, 0.1)
    for corrected, plain in ((skew_corrected, welch), (skew_corrected_lift, fieller)):
        got, other = corrected(control, treatment), plain(control, treatment)
        bounded = got.status != Status.UNBOUNDED
        np.testing.assert_allclose(got.p_value, other.p_value, rtol=1e-12)
        for name in ("lower", "upper"):
            mine, theirs = getattr(got, name), getattr(other, name)
            np.testing.assert_allclose(mine[bounded], theirs[bounded], rtol=1e-9)


def test_the_statistic_is_bent_as_hall_printed_it() -> None:
    """g(t) = t + a c t^2 + (a c)^2 t^3 / 3 + b c with a = 1/3 and b = 1/6."""
    t = np.linspace(-6, 6, 49)
    for c in (-0.8, -1e-9, 0.0, 0.3):
        a, b = 1 / 3, 1 / 6
        printed = t + a * c * t**2 + (a * c) ** 2 * t**3 / 3 + b * c
        got = bent(t, np.asarray(c))
        np.testing.assert_allclose(got, printed, rtol=1e-12)
        np.testing.assert_allclose(unbent(got, np.asarray(c)), t, atol=1e-4)
        johnson = t + c * (2 * t**2 + 1) / 6
        np.testing.assert_allclose(
            got, johnson, atol=9 * abs(c) ** 2 + 0.35 * abs(c) * 36
        )


def test_the_common_skewness_is_that_of_all_units_about_their_own_mean() -> None:
    generator = np.random.default_rng(4)
    a, b = generator.gamma(2.0, 1.0, 4000), generator.gamma(2.0, 1.0, 900) + 7
    got = common_skewness(Moments.from_units(a), Moments.from_units(b))
    together = np.concatenate([a - a.mean(), b - b.mean()])
    assert float(got) == pytest.approx(
        float(stats.skew(together, bias=False)), rel=2e-3
    )


@st.composite
def arms(draw: st.DrawFn) -> Moments:
    count = draw(st.sampled_from([0, 1, 2, 3, 5, 100, 10_000, 10**10]))
    mean, variance = draw(st.floats(-1e6, 1e6)), draw(st.floats(0, 1e8))
    m2 = variance * max(count - 1, 0)
    m3 = draw(st.floats(-5, 5)) * m2**1.5 / max(count, 1) ** 0.5
    return Moments(*(np.asarray(float(v)) for v in (count, mean, m2, m3)))


def agree(result: Comparison) -> bool:
    shown = np.isin(result.status.astype(str), [Status.OK, Status.SKEW_WARNING])
    near = np.minimum(np.abs(result.lower), np.abs(result.upper))
    tie = near <= 1e-9 * (result.upper - result.lower + np.abs(result.estimate))
    same = result.excludes_zero == (result.p_value < result.alpha)
    return bool((same | tie | ~shown).all())


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None)
@given(
    a=arms(), b=arms(), alpha=st.sampled_from([0.001, 0.05, 0.2]), look=st.booleans()
)
def test_interval_and_p_value_never_contradict(
    method: Callable[..., Comparison], a: Moments, b: Moments, alpha: float, look: bool
) -> None:
    result = method(a, b, alpha=alpha, quantile=Look((0.5,), alpha) if look else None)
    assert agree(result)
    shown = np.isin(result.status.astype(str), [Status.OK, Status.SKEW_WARNING])
    for figure in (result.estimate, result.lower, result.upper, result.p_value):
        assert (np.isfinite(figure) | ~shown).all()


@settings(deadline=None)
@given(arms(), arms())
def test_swapping_the_variants_negates_the_difference(a: Moments, b: Moments) -> None:
    there, back = skew_corrected(a, b), skew_corrected(b, a)
    np.testing.assert_allclose(there.lower, -back.upper, rtol=1e-9)
    np.testing.assert_allclose(there.p_value, back.p_value, rtol=1e-9)


@settings(deadline=None)
@given(arms(), arms(), st.sampled_from([0.5, 4.0, -2.0]))
def test_scaling_the_metric_scales_the_difference_and_leaves_p_alone(
    a: Moments, b: Moments, factor: float
) -> None:
    def scaled(arm: Moments) -> Moments:
        return Moments(
            arm.count, arm.mean * factor, arm.m2 * factor**2, arm.m3 * factor**3
        )

    plain = skew_corrected(a, b)
    got = skew_corrected(scaled(a), scaled(b))
    ends = (plain.lower, plain.upper) if factor > 0 else (plain.upper, plain.lower)
    np.testing.assert_allclose(got.p_value, plain.p_value, rtol=1e-6)
    for mine, theirs in zip((got.lower, got.upper), ends, strict=True):
        np.testing.assert_allclose(mine, theirs * factor, rtol=1e-6)


def test_moments_without_the_third_are_refused_by_name() -> None:
    known = Moments.from_power_sums([10, 10], [5, 6], [5, 6], [5, 6])
    unknown = Moments.from_power_sums([10, 10], [5, 6], [5, 6])
    with pytest.raises(StatisticsError, match=r"treatment must hold third moments"):
        skew_corrected(known, unknown)


def test_p_values_reach_the_far_tail() -> None:
    def arm(mean: float, count: float) -> Moments:
        values: list[FloatArray] = [np.asarray(v) for v in (count, mean, count, count)]
        return Moments(*values)

    got = skew_corrected(arm(0.0, 1e5), arm(0.1, 2e5))
    assert 0 < float(got.p_value) < 1e-140
