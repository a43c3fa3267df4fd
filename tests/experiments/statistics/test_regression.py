"""Lin's regression adjustment."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.aggregates import JointMoments, Moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.covariates import adjust, adjusted_difference
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.regression import (
    fit,
    fit_units,
    regression_difference,
    regression_lift,
)
from tests.experiments.statistics.wishart import joint_moments


def rows_by_formula() -> list[FloatArray]:
    """Heteroscedastic rows with two covariates, 420 and 180 units; no generator."""
    i = np.arange(600)
    first = np.sin(i * 0.7) * 2 + np.cos(i * i * 0.013)
    second = (i * 7919 % 13) / 3.0
    treated = i * 31 % 10 < 3
    noise = (1 + 0.5 * np.abs(first)) * np.sin(i * 1.31 + i * i * 0.37)
    y = 4 + 1.5 * first - 0.4 * second + treated * (0.3 + 0.8 * first) + noise
    table = np.stack([y, first, second], axis=-1)
    return [table[~treated], table[treated]]


def joint_of(rows: list[FloatArray]) -> JointMoments:
    parts = [JointMoments.from_units(arm) for arm in rows]
    return JointMoments(
        *(
            np.stack([getattr(p, name) for p in parts])
            for name in ("count", "mean", "m2")
        )
    )


def test_units_equal_the_statsmodels_reference() -> None:
    """statsmodels 0.15.0: OLS of y on 1, T, X - xbar, T (X - xbar), HC2."""
    fitted = fit_units(rows_by_formula())
    got = regression_difference(fitted, covariate_means="known")
    assert float(got.estimate) == pytest.approx(0.23562823474615635, rel=1e-10)
    assert float(got.standard_error) == pytest.approx(0.10745108638947339, rel=1e-10)
    assert float(fitted.mean[0]) == pytest.approx(3.253991589878849, rel=1e-10)
    assert float(fitted.variance[0]) ** 0.5 == pytest.approx(0.056285795040248936)


def test_sufficient_statistics_come_within_a_thousandth_of_hc2() -> None:
    """With noise of one size; what changes with x only the rows can tell."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 3000, 2))
    y = x @ [1.0, -2.0] + rng.standard_normal((2, 3000))
    rows = list(np.concatenate([y[..., None], x], axis=-1))
    exact, quick = fit_units(rows), fit(joint_of(rows))
    np.testing.assert_allclose(quick.mean, exact.mean, rtol=1e-12)
    np.testing.assert_allclose(
        np.sqrt(quick.variance), np.sqrt(exact.variance), rtol=1e-3
    )
    uneven = rows_by_formula()
    np.testing.assert_allclose(
        fit(joint_of(uneven)).variance, fit_units(uneven).variance, rtol=0.03
    )


def test_without_a_covariate_it_is_welch() -> None:
    rows = [arm[:, :1] for arm in rows_by_formula()]
    control, treatment = (Moments.from_units(arm[:, 0]) for arm in rows)
    plain = welch(control, treatment)
    for fitted in (fit_units(rows), fit(joint_of(rows))):
        got = regression_difference(fitted)
        for name in ("estimate", "standard_error", "lower", "p_value"):
            assert float(getattr(got, name)) == pytest.approx(
                float(getattr(plain, name)), rel=1e-10
            )


def test_the_noise_of_the_covariates_mean_is_counted() -> None:
    """(slope B - slope A)' Sxx (slope B - slope A) / N beside the known mean's."""
    rows = rows_by_formula()
    fitted = fit(joint_of(rows))
    known = regression_difference(fitted, covariate_means="known")
    sampled = regression_difference(fitted)
    shift = fitted.slopes[1] - fitted.slopes[0]
    covariance = np.cov(np.concatenate(rows)[:, 1:].T)
    term = float(shift @ covariance @ shift) / 600
    assert float(sampled.standard_error**2 - known.standard_error**2) == pytest.approx(
        term, rel=1e-9
    )


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_errors_and_coverage_hold_with_a_slope_of_its_own_for_each_arm(
    share: float,
) -> None:
    rng = np.random.default_rng(5)
    counts = np.array([1000 * (1 - share), 1000 * share])
    slopes, truth = np.array([0.5, 1.5]), np.array([10.0, 11.0])
    arms = joint_moments(rng, 4000, counts, truth, slopes)
    fitted = fit(arms)
    for result, effect in (
        (regression_difference(fitted), 1.0),
        (regression_lift(fitted), 0.1),
    ):
        missed = float(((result.lower > effect) | (result.upper < effect)).mean())
        assert 0.036 <= missed <= 0.064
    difference = regression_difference(fitted)
    claimed = float((difference.standard_error**2).mean() / np.var(difference.estimate))
    assert claimed == pytest.approx(1.0, abs=0.09)


def test_a_changed_slope_is_used_where_one_for_all_wastes_it() -> None:
    rng = np.random.default_rng(6)
    arms = joint_moments(
        rng, 2000, np.array([900.0, 100.0]), np.zeros(2), np.array([0.2, 2.0])
    )
    lin = regression_difference(fit(arms)).standard_error.mean()
    one = adjusted_difference(adjust(arms)).standard_error.mean()
    assert lin < 0.8 * one


values = st.floats(-1e3, 1e3).map(lambda v: round(v, 2))
tables = st.lists(st.tuples(values, values, values), min_size=0, max_size=8)


def agree(result: Comparison) -> bool:
    shown = result.status[()] == Status.OK
    near = np.minimum(np.abs(result.lower), np.abs(result.upper))
    tie = near <= 1e-9 * (np.abs(result.estimate) + result.upper - result.lower)
    same = result.excludes_zero == (result.p_value < result.alpha)
    return bool(same or tie or not shown)


@settings(deadline=None)
@given(tables, tables)
def test_any_rows_give_a_figure_or_a_status(
    control: list[tuple[float, float, float]],
    treatment: list[tuple[float, float, float]],
) -> None:
    rows = [np.array(arm).reshape(-1, 3) for arm in (control, treatment)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits = [fit_units(rows), fit(joint_of(rows))]
        results = [f(x) for x in fits for f in (regression_difference, regression_lift)]
    for result in results:
        known = np.isfinite([result.estimate, result.lower, result.p_value]).all()
        assert known or result.status[()] != Status.OK
        assert agree(result)
        if min(map(len, rows)) < 2:
            assert result.status[()] == Status.NOT_ENOUGH_DATA


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1e-3, 7.0]))
def test_swapping_negates_and_scaling_scales(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    rows = [rng.gamma(2.0, size=(n, 2)) for n in (12, 30)]
    there = regression_difference(fit_units(rows))
    back = regression_difference(fit_units(rows[::-1]))
    assert float(there.estimate) == pytest.approx(-float(back.estimate))
    assert float(there.p_value) == pytest.approx(float(back.p_value))
    scaled = regression_difference(fit_units([arm * [factor, 1.0] for arm in rows]))
    assert float(scaled.estimate) == pytest.approx(factor * float(there.estimate))
    assert float(scaled.p_value) == pytest.approx(float(there.p_value))
    moved = regression_difference(fit_units([arm * [1.0, factor] + 5 for arm in rows]))
    assert float(moved.estimate) == pytest.approx(float(there.estimate))


def test_a_unit_alone_in_its_column_falls_back_on_the_residual_variance() -> None:
    rows = rows_by_formula()
    alone = np.zeros(420)
    alone[7] = 1.0
    other = np.zeros(180)
    other[::3] = 1.0
    tables = [
        np.column_stack([rows[0][:, 0], alone]),
        np.column_stack([rows[1][:, 0], other]),
    ]
    exact, quick = fit_units(tables), fit(joint_of(tables))
    assert float(exact.variance[0]) == float(quick.variance[0])
    assert float(exact.variance[1]) != float(quick.variance[1])


def test_a_wrong_argument_is_named() -> None:
    rows = rows_by_formula()
    with pytest.raises(
        StatisticsError, match=r"arms must share one shape .*\(180, 2\)"
    ):
        fit_units([rows[0], rows[1][:, :2]])
    with pytest.raises(StatisticsError, match=r"covariate_means must be .*got 'fixed'"):
        regression_difference(fit_units(rows), covariate_means="fixed")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(StatisticsError, match=r"arms must have shape \(..., arm\)"):
        fit(JointMoments.from_units(rows[0]))
