"""Several treatments against one control."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from experiments.statistics import dunnett
from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison
from experiments.statistics.means import welch
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    normal_tail,
    student_quantile,
)
from experiments.statistics.relative import fieller
from experiments.statistics.simultaneous import adjust_family


def together(*arms: Moments) -> Moments:
    return Moments(
        *(np.stack([getattr(a, name) for a in arms]) for name in Moments.__slots__)
    )


@pytest.mark.parametrize(
    ("treatments", "df", "critical"),
    [(2, 5, 3.03), (3, 10, 2.76), (3, 20, 2.54), (5, 60, 2.58), (2, np.inf, 2.21)],
)
def test_critical_values_equal_dunnetts_table(
    treatments: int, df: float, critical: float
) -> None:
    """Dunnett (1964), "New tables for multiple comparisons", two-sided 5 %."""
    level = dunnett.levels(0.05, np.full(treatments, 0.5), np.full(treatments, df))
    got = student_quantile(level / 2, df)
    np.testing.assert_allclose(got, critical, atol=0.005)


@pytest.mark.parametrize("df", [1.0, 2.0, 7.5, 40.0, 1e4, 1e10, np.inf])
@pytest.mark.parametrize("critical", [0.0, 0.5, 2.0, 6.0, 37.0])
def test_one_comparison_is_students_t(df: float, critical: float) -> None:
    got = dunnett.largest_tail(critical, [0.3], df)
    wanted = 2 * (
        special.stdtr(df, -critical) if df < np.inf else special.ndtr(-critical)
    )
    assert float(got) == pytest.approx(float(wanted), rel=1e-6)


def test_two_independent_comparisons_multiply() -> None:
    single = 2 * float(normal_tail(1.5))
    got = float(dunnett.largest_tail(1.5, [0.0, 0.0], np.inf))
    assert got == pytest.approx(1 - (1 - single) ** 2, rel=1e-9)


def test_unequal_arms_equal_scipys_bivariate_normal() -> None:
    share = np.array([0.2, 0.7])
    rho = float(np.sqrt(share.prod()))
    box = stats.multivariate_normal(cov=[[1, rho], [rho, 1]])
    inside = float(box.cdf([2.1, 2.1], lower_limit=[-2.1, -2.1]))
    got = float(dunnett.largest_tail(2.1, share, np.inf))
    assert got == pytest.approx(1 - inside, abs=1e-5)


def test_a_pooled_variance_equals_scipys_dunnett() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(m, 1, n) for m, n in ((0, 12), (0.8, 9), (1.2, 15), (0.1, 10))]
    other = stats.dunnett(*groups[1:], control=groups[0], rng=rng)
    interval = other.confidence_interval(0.95)
    arms = together(*(Moments.from_units(units) for units in groups))
    got = dunnett.dunnett(arms, variances="pooled")
    np.testing.assert_allclose(got.p_value, other.pvalue, atol=5e-4)
    np.testing.assert_allclose(got.lower, interval.low, atol=2e-3)
    np.testing.assert_allclose(got.upper, interval.high, atol=2e-3)


def arms_of(means: list[float], counts: list[int], variances: list[float]) -> Moments:
    n, spread = np.array(counts, dtype=np.float64), np.array(variances)
    return Moments(n, np.array(means), spread * (n - 1), np.zeros(n.shape))


@settings(deadline=None, max_examples=30)
@given(
    means=st.lists(st.floats(-1, 1), min_size=4, max_size=4),
    counts=st.lists(st.sampled_from([0, 1, 2, 9, 400, 10**9]), min_size=4, max_size=4),
    variances=st.lists(st.sampled_from([0.0, 1e-6, 1.0, 40.0]), min_size=4, max_size=4),
    pooled=st.booleans(),
)
def test_p_and_interval_agree_between_the_single_and_bonferroni(
    means: list[float], counts: list[int], variances: list[float], pooled: bool
) -> None:
    arms = arms_of(means, counts, variances)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = dunnett.dunnett(arms, variances="pooled" if pooled else "separate")
    shown = got.status == "ok"
    tie = np.isclose(got.p_value, 0.05, rtol=1e-6)
    assert ((got.excludes_zero == (got.p_value < 0.05)) | tie | ~shown).all()
    if not pooled:
        single = welch(arms[..., :1], arms[..., 1:]).p_value
        known = ~np.isnan(single)
        least = single[known] * (1 - 1e-9)
        assert (got.p_value[known] >= least).all()
        most = np.minimum(single[known] * known.sum(), 1.0)
        assert (got.p_value[known] <= most * (1 + 1e-9)).all()


def test_p_values_reach_1e_300() -> None:
    arms = arms_of([0.0, 37.0, 37.0], [10**9] * 3, [5e8] * 3)
    got = dunnett.dunnett(arms).p_value
    single = float(normal_tail(37.0))
    assert got.tolist() == pytest.approx([4 * single] * 2, rel=1e-3)


def test_the_family_wise_error_is_kept_with_unequal_sizes_and_variances() -> None:
    rng = np.random.default_rng(11)
    counts, spreads = (
        np.array([60.0, 20.0, 40.0, 200.0]),
        np.array([1.0, 3.0, 0.5, 2.0]),
    )
    shape = (1200, 4)
    mean = rng.standard_normal(shape) * np.sqrt(spreads / counts)
    m2 = spreads * rng.chisquare(counts - 1, shape)
    arms = Moments(np.broadcast_to(counts, shape), mean, m2, np.zeros(shape))
    single = welch(arms[..., :1], arms[..., 1:])
    noise = arms.standard_error2
    share = noise[:, :1] / (noise[:, :1] + noise[:, 1:])
    p = dunnett.many_to_one_p(single.p_value, share, single.degrees_of_freedom)
    assert 0.026 <= float((p < 0.05).any(axis=-1).mean()) <= 0.074
    assert float(single.excludes_zero.any(axis=-1).mean()) > 0.1


def test_the_family_takes_any_procedure_and_shares_alpha_between_metrics() -> None:
    arms = arms_of([5.0, 5.2, 5.5], [900, 800, 700], [9.0, 9.0, 12.0])
    two = Moments(
        *(np.stack([x, x]) for x in (arms.count, arms.mean, arms.m2, arms.m3))
    )
    noise = arms.standard_error2
    share = noise[:1] / (noise[:1] + noise[1:])

    def lift(alpha: FloatArray) -> Comparison:
        return fieller(two[..., :1], two[..., 1:], alpha=alpha)

    (got,) = adjust_family(lift, method="dunnett", shared=np.stack([share, share]))
    assert got.compatible.all()
    one = dunnett.dunnett(arms)
    np.testing.assert_allclose(
        got.p_value, np.minimum(2 * one.p_value, 1)[None, :] * [[1], [1]]
    )
    (absolute,) = adjust_family(
        welch(arms[..., :1], arms[..., 1:]), method="dunnett", shared=share
    )
    np.testing.assert_allclose(absolute.lower, one.lower, rtol=1e-9)


def test_a_wrong_argument_is_named() -> None:
    arms = arms_of([1.0, 2.0], [10, 10], [1.0, 1.0])
    with pytest.raises(StatisticsError, match=r"variances must be .*got 'equal'"):
        dunnett.dunnett(arms, variances="equal")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(StatisticsError, match=r"arms must have shape .*got \(1,\)"):
        dunnett.dunnett(arms[..., :1])
    with pytest.raises(StatisticsError, match="alpha must lie in"):
        dunnett.dunnett(arms, alpha=1.5)
