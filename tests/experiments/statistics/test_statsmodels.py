"""statsmodels as a second opinion, wherever it agrees with the literature."""

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower, TTestIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.weightstats import ttost_ind

from experiments.statistics import multiplicity, proportions
from experiments.statistics.aggregates import Moments
from experiments.statistics.equivalence import equivalence
from experiments.statistics.power import Design, Metric, power, sample_size
from experiments.statistics.regression import fit_units, regression_difference

P_VALUES = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.3240, 1.0])


@pytest.mark.parametrize(
    ("ours", "name"),
    [
        (multiplicity.bonferroni, "bonferroni"),
        (multiplicity.holm, "holm"),
        (multiplicity.hochberg, "simes-hochberg"),
        (multiplicity.hommel, "hommel"),
        (multiplicity.benjamini_hochberg, "fdr_bh"),
        (multiplicity.benjamini_yekutieli, "fdr_by"),
    ],
)
def test_adjusted_p_values_are_theirs(ours: object, name: str) -> None:
    assert callable(ours)
    expected = multipletests(P_VALUES, method=name)[1]
    np.testing.assert_allclose(ours(P_VALUES), expected, rtol=1e-12)


@pytest.mark.parametrize(("events", "units"), [(81, 263), (0, 20), (1, 29), (20, 20)])
def test_wilsons_interval_is_theirs(events: int, units: int) -> None:
    expected = proportion_confint(events, units, method="wilson")
    low, high = proportions.wilson(events, units)
    np.testing.assert_allclose((low, high), expected, rtol=1e-10, atol=1e-12)


def test_newcombes_interval_is_theirs() -> None:
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb")
    low, high = proportions.newcombe(48, 80, 56, 70)
    np.testing.assert_allclose((low, high), expected, rtol=1e-10)


def test_the_score_interval_is_the_published_one_and_theirs_is_near() -> None:
    """Published (Newcombe 1998): .0528 to .3382; theirs gives .0526 to .3440."""
    ours = proportions.score_difference(48, 80, 56, 70)
    assert float(ours.lower) == pytest.approx(0.0528, abs=5e-5)
    assert float(ours.upper) == pytest.approx(0.3382, abs=5e-5)
    theirs = confint_proportions_2indep(56, 70, 48, 80, method="score")
    np.testing.assert_allclose((ours.lower, ours.upper), theirs, atol=6e-3)


def test_lins_estimator_has_the_errors_of_their_hc2() -> None:
    rng = np.random.default_rng(3)
    arms = []
    for units, effect, slope in ((420, 0.0, 0.5), (180, 0.4, 1.5)):
        x = rng.gamma(2.0, 1.0, units)
        y = 1.0 + effect + slope * x + rng.normal(0, 1 + x, units)
        arms.append(np.column_stack([y, x]))
    ours = regression_difference(fit_units(arms), covariate_means="known")
    rows = np.concatenate(arms)
    treated = np.repeat([0.0, 1.0], [len(arm) for arm in arms])
    centred = rows[:, 1] - rows[:, 1].mean()
    design = np.column_stack([np.ones(len(rows)), treated, centred, treated * centred])
    theirs = OLS(rows[:, 0], design).fit(cov_type="HC2")
    assert float(ours.estimate) == pytest.approx(theirs.params[1], rel=1e-10)
    assert float(ours.standard_error) == pytest.approx(theirs.bse[1], rel=1e-3)


@pytest.mark.parametrize(("ratio", "near"), [(1.0, 1e-3), (3.0, 0.03)])
def test_the_power_of_a_t_test_is_theirs(ratio: float, near: float) -> None:
    """With unequal arms ours asks for a few more units: Welch has fewer df."""
    metric = Metric(np.asarray(10.0), np.asarray(4.0))
    design = Design(shares=(1.0, ratio))
    theirs = TTestIndPower()
    units = theirs.solve_power(effect_size=0.5, alpha=0.05, power=0.8, ratio=ratio)
    ours = float(sample_size(metric, design, 1.0, scale="absolute"))
    assert ours == pytest.approx(units * (1 + ratio), rel=near)
    assert ours >= units * (1 + ratio) * (1 - 1e-3)
    found = power(metric, design, 60 * (1 + ratio), 1.0, scale="absolute")
    expected = theirs.power(0.5, 60, 0.05, ratio=ratio)
    assert float(found) == pytest.approx(expected, abs=near)


def test_the_power_of_many_units_is_their_normal_one() -> None:
    metric = Metric(np.asarray(1.0), np.asarray(1.0))
    units = NormalIndPower().solve_power(effect_size=0.01, alpha=0.05, power=0.9)
    ours = sample_size(metric, Design(), 0.01, power=0.9, scale="absolute")
    assert float(ours) == pytest.approx(2 * units, rel=1e-4)


def test_two_one_sided_tests_are_theirs() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(10.0, 2.0, 120), rng.normal(10.1, 3.0, 90)
    ours = equivalence(
        Moments.from_units(a), Moments.from_units(b), margin=1.0, scale="absolute"
    )
    expected, _, _ = ttost_ind(b, a, -1.0, 1.0, usevar="unequal")
    assert float(ours.p_value) == pytest.approx(expected, rel=1e-10)
