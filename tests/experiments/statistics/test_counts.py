"""Poisson rates: published and second opinions, laws, error rates, the warning."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.counts import (
    conditional_rate_ratio,
    dispersion,
    overdispersed,
    rate_difference,
    rate_ratio,
    unit_rate_difference,
    unit_rate_ratio,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError, normal_quantile
from experiments.statistics.sequential import Look

Counts: TypeAlias = tuple[int, float, int, float]
METHODS: list[Callable[..., Comparison]] = [
    rate_difference,
    rate_ratio,
    conditional_rate_ratio,
]


def agree(result: Comparison) -> bool:
    return bool((result.excludes_zero == (result.p_value < result.alpha)).all())


def test_the_conditional_interval_is_clopper_and_pearson_s_of_the_share() -> None:
    for x0, x1, alpha in ((3, 9, 0.05), (60, 30, 0.01), (0, 4, 0.05), (5, 0, 0.1)):
        got = conditional_rate_ratio(x0, 2.0, x1, 3.0, alpha=alpha)
        share = stats.binomtest(x1, x0 + x1).proportion_ci(1 - alpha)
        with np.errstate(divide="ignore"):
            low, high = (np.divide(s, 1 - s) * 2 / 3 - 1 for s in share)
        assert float(got.lower) == pytest.approx(low, rel=1e-9)
        assert float(got.upper) == pytest.approx(high, rel=1e-9)
        pi = 3 / 5
        tails = stats.binom.cdf(x1, x0 + x1, pi), stats.binom.sf(x1 - 1, x0 + x1, pi)
        assert float(got.p_value) == pytest.approx(min(1, 2 * min(tails)), rel=1e-9)


def test_no_event_in_one_arm_gives_garwood_s_bound() -> None:
    """With the control's rate all but known the bound is Garwood's, 3.689 for none."""
    got = conditional_rate_ratio(10**9, 10**9, 0, 1.0)
    assert float(got.upper) + 1 == pytest.approx(stats.chi2.ppf(0.975, 2) / 2, rel=1e-6)


def by_enumeration(x0: int, x1: int, share: float) -> float:
    """Twice the worst chance of a score at least as high, over Poisson means."""
    counts = np.arange(0, 400.0)
    a, b = np.meshgrid(counts, counts, indexing="ij")
    error = np.sqrt(np.maximum(a + b, 1e-9) * share * (1 - share))
    z = (b - (a + b) * share) / error
    seen = (x1 - (x0 + x1) * share) / np.sqrt((x0 + x1) * share * (1 - share))
    region = z >= seen - 1e-9 if seen > 0 else z <= seen + 1e-9
    means = np.linspace(0.05, 12, 600) ** 2
    first = stats.poisson.pmf(counts, means[:, None] * (1 - share))
    second = stats.poisson.pmf(counts, means[:, None] * share)
    return 2 * float(((first @ region) * second).sum(axis=1).max())


@pytest.mark.parametrize(
    ("x0", "x1", "exposure"), [(3, 9, 1.0), (20, 9, 1.0), (1, 8, 2.0), (0, 5, 0.5)]
)
def test_the_exact_p_value_is_the_worst_sum_over_poisson_tables(
    x0: int, x1: int, exposure: float
) -> None:
    got = rate_difference(x0, 100.0, x1, 100.0 * exposure)
    expected = by_enumeration(x0, x1, exposure / (1 + exposure))
    assert float(got.p_value) == pytest.approx(min(expected, 1.0), rel=2e-3)
    assert float(rate_ratio(x0, 100.0, x1, 100.0 * exposure).p_value) == got.p_value


def test_the_score_interval_is_where_the_score_equals_the_quantile() -> None:
    x0, e0, x1, e1 = 150, 1000.0, 190, 1100.0
    q = float(normal_quantile(0.025))
    ratio, points = rate_ratio(x0, e0, x1, e1), rate_difference(x0, e0, x1, e1)
    for bound, sign in ((ratio.lower, 1), (ratio.upper, -1)):
        r = float(bound) + 1
        base = (x0 + x1) / (e0 + r * e1)
        error = np.sqrt(r * base / e1 + r**2 * base / e0)
        assert (x1 / e1 - r * x0 / e0) / error == pytest.approx(sign * q, rel=1e-9)
    for bound, sign in ((points.lower, 1), (points.upper, -1)):
        d, e = float(bound), e0 + e1
        base = max(np.roots([e, e * d - x0 - x1, -x0 * d]))
        assert x0 / base - e0 + x1 / (base + d) - e1 == pytest.approx(0, abs=1e-6)
        error = np.sqrt(base / e0 + (base + d) / e1)
        assert (x1 / e1 - x0 / e0 - d) / error == pytest.approx(sign * q, rel=1e-8)
    assert float(ratio.p_value) == float(points.p_value)
    assert "score" in ratio.method


events = st.one_of(st.integers(0, 8), st.integers(0, 200))
exposures = st.sampled_from([0.5, 3.0, 1e3, 1e6, 1e10])


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=12)
@given(x0=events, e0=exposures, x1=events, e1=exposures, look=st.booleans())
def test_interval_and_p_value_never_contradict(
    method: Callable[..., Comparison],
    x0: int,
    e0: float,
    x1: int,
    e1: float,
    look: bool,
) -> None:
    result = method(x0, e0, x1, e1, quantile=Look((0.5,), 0.05) if look else None)
    assert agree(result)
    assert np.isfinite(result.p_value)
    assert result.lower < result.upper
    if result.status[()] == Status.OK:
        assert np.isfinite(result.lower)
        assert np.isfinite(result.upper)


@settings(deadline=None, max_examples=8)
@given(x0=events, e0=exposures, x1=events, e1=exposures)
def test_swapping_negates_and_a_new_unit_of_exposure_only_rescales(
    x0: int, e0: float, x1: int, e1: float
) -> None:
    there, back = rate_difference(x0, e0, x1, e1), rate_difference(x1, e1, x0, e0)
    size = abs(float(there.lower)) + abs(float(there.upper))
    assert float(there.lower) == pytest.approx(-float(back.upper), abs=1e-5 * size)
    assert float(there.p_value) == pytest.approx(float(back.p_value), rel=1e-6)
    hours = rate_difference(x0, e0 * 64, x1, e1 * 64)
    assert float(hours.p_value) == pytest.approx(float(there.p_value), rel=1e-6)
    assert float(hours.upper) * 64 == pytest.approx(float(there.upper), abs=1e-5 * size)


@pytest.mark.parametrize(("mean", "lifts"), [(3.0, (0.0,)), (400.0, (0.0, 0.2))])
def test_rates_never_err_too_often(mean: float, lifts: tuple[float, ...]) -> None:
    generator = np.random.default_rng(int(mean))
    x0 = generator.poisson(mean, 2000)
    for lift in lifts:
        x1 = generator.poisson(mean * (1 + lift) / 2, 2000)
        points = rate_difference(x0, 1.0, x1, 0.5)
        ratio = rate_ratio(x0, 1.0, x1, 0.5)
        for result, truth in ((points, lift * mean), (ratio, lift)):
            wrong = (result.lower > truth) | (result.upper < truth)
            assert wrong.mean() < 0.069
            assert agree(result)


def test_poisson_counts_pass_and_clustered_ones_are_sent_to_welch() -> None:
    generator = np.random.default_rng(5)
    shape = (500, 400)
    chance = [Moments.from_units(generator.poisson(0.7, shape)) for _ in range(2)]
    heavy = [
        Moments.from_units(generator.poisson(generator.gamma(0.5, 1.4, shape)))
        for _ in range(2)
    ]
    assert overdispersed(chance[0]).mean() < 0.01
    assert overdispersed(heavy[0]).mean() > 0.99
    assert float(dispersion(chance[0]).mean()) == pytest.approx(1.0, abs=0.02)
    for method in (unit_rate_difference, unit_rate_ratio):
        assert (method(*chance).status == Status.OK).mean() > 0.98
        assert (method(*heavy).status == Status.OVERDISPERSED).mean() > 0.99
    naive = unit_rate_difference(*heavy)
    assert float((naive.p_value < 0.05).mean()) > 0.1
    assert float((welch(*heavy).p_value < 0.05).mean()) < 0.08
    assert "Welch" in Status.OVERDISPERSED.sentence


def test_nothing_exposed_is_not_enough_data() -> None:
    got = rate_difference([3, 0], [10, 0], [5, 0], [0, 5])
    assert (got.status == Status.NOT_ENOUGH_DATA).all()
    assert np.isnan(got.p_value).all()


def test_no_events_anywhere_still_have_a_width() -> None:
    got = rate_difference(0, 50, 0, 60)
    assert float(got.p_value) == 1.0
    assert float(got.lower) < 0 < float(got.upper)


def test_a_negative_count_is_refused_by_name() -> None:
    with pytest.raises(StatisticsError, match=r"treatment must be .*>= 0, got -2"):
        rate_ratio(1, 5, -2, 5)
