"""SciPy as a second opinion, wherever it offers the same method."""

import numpy as np
import pytest
from scipy import stats

from experiments.statistics import multiplicity, proportions, srm
from experiments.statistics.aggregates import Moments
from experiments.statistics.means import welch
from experiments.statistics.numeric import student_quantile

RNG = np.random.default_rng(0)


def test_welch_equals_scipy_on_units() -> None:
    a, b = RNG.gamma(2.0, 1.0, 37), RNG.gamma(2.0, 1.5, 58)
    got = welch(Moments.from_units(a), Moments.from_units(b), alpha=0.1)
    other = stats.ttest_ind(b, a, equal_var=False)
    interval = other.confidence_interval(0.9)
    assert float(got.p_value) == pytest.approx(other.pvalue, rel=1e-12)
    assert float(got.degrees_of_freedom) == pytest.approx(other.df, rel=1e-12)
    assert (float(got.lower), float(got.upper)) == pytest.approx(
        (interval.low, interval.high), rel=1e-10
    )


def test_welch_equals_scipy_on_summaries() -> None:
    def arm(count: int, mean: float, variance: float) -> Moments:
        m2 = variance * (count - 1)
        return Moments(*map(np.asarray, (float(count), mean, m2, np.nan)))

    got = welch(arm(11, 12.0, 39.0), arm(13, 15.0, 87.5))
    other = stats.ttest_ind_from_stats(
        15.0, np.sqrt(87.5), 13, 12.0, np.sqrt(39.0), 11, equal_var=False
    )
    assert float(got.p_value) == pytest.approx(float(other.pvalue), rel=1e-12)


def test_moments_equal_numpy_and_scipy() -> None:
    units = RNG.lognormal(size=500)
    got = Moments.from_units(units)
    assert float(got.variance) == pytest.approx(np.var(units, ddof=1), rel=1e-12)
    assert float(got.skewness) == pytest.approx(float(stats.skew(units)), rel=1e-12)


def test_false_discovery_control_equals_scipy() -> None:
    p = RNG.uniform(size=40) ** 3
    bh = stats.false_discovery_control(p, method="bh")
    by = stats.false_discovery_control(p, method="by")
    assert multiplicity.benjamini_hochberg(p) == pytest.approx(bh, rel=1e-12)
    assert multiplicity.benjamini_yekutieli(p) == pytest.approx(by, rel=1e-12)


def test_sample_ratio_equals_scipy() -> None:
    got = srm.sample_ratio([480, 530, 1010], [1, 1, 2])
    other = stats.chisquare([480, 530, 1010], [505, 505, 1010])
    assert got.p_value == pytest.approx(float(other.pvalue), rel=1e-12)
    few = srm.sample_ratio([3, 9], [1, 4])
    exact = stats.binomtest(3, 12, 0.2)
    assert few.p_value == pytest.approx(float(exact.pvalue), rel=1e-9)


def test_wilson_equals_scipy() -> None:
    lower, upper = proportions.wilson(15, 148, alpha=0.1)
    other = stats.binomtest(15, 148).proportion_ci(0.9, method="wilson")
    assert (float(lower), float(upper)) == pytest.approx((other.low, other.high))


def test_the_score_p_value_is_the_pooled_chi_square_with_its_correction() -> None:
    table = np.array([[48, 32], [56, 14]])
    other = stats.chi2_contingency(table, correction=False)
    got = proportions.score_difference(48, 80, 56, 70)
    z2 = float(other.statistic) * (150 - 1) / 150
    assert float(got.p_value) == pytest.approx(float(stats.chi2.sf(z2, 1)), rel=1e-9)


def test_the_score_test_lies_between_the_exact_tests_on_a_small_table() -> None:
    """[[74, 31], [43, 32]]: Boschloo one-sided 0.035564 (SciPy documentation)."""
    table = np.array([[74, 31], [43, 32]])
    got = proportions.score_difference(43, 75, 74, 105)
    boschloo = stats.boschloo_exact(table, alternative="greater")
    assert boschloo.pvalue == pytest.approx(0.0355634, abs=1e-5)
    fisher = stats.fisher_exact(table, alternative="greater")
    assert float(got.p_value) / 2 < fisher.pvalue
    assert float(got.p_value) / 2 == pytest.approx(boschloo.pvalue, rel=0.1)


def test_quantiles_of_students_t_equal_scipys_for_few_and_for_many_degrees() -> None:
    df = 10 ** np.linspace(-0.5, 10, 400)[:, None]
    tail = stats.norm.sf(np.array([0.1, 0.5, 1.0, 1.96, 3.0, 5.0, 8.0]))
    assert student_quantile(tail, df) == pytest.approx(stats.t.isf(tail, df), rel=1e-12)
    assert student_quantile(0.75, 5e4) == -student_quantile(0.25, 5e4)
    assert student_quantile([0.0, 1.0], [5.0, 5e4]).tolist() == [np.inf, -np.inf]
