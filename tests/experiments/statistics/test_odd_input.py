"""Infinities, NaN and impossible figures: a number or a status, never a warning."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.aggregates import JointMoments, Moments
from experiments.statistics.balance import State, covariate_balance
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.covariates import (
    adjust,
    adjust_ratio,
    adjusted_difference,
    adjusted_lift,
)
from experiments.statistics.dunnett import dunnett
from experiments.statistics.means import welch
from experiments.statistics.regression import (
    fit,
    fit_units,
    regression_difference,
    regression_lift,
)
from experiments.statistics.simultaneous import Adjustment, adjust_family
from experiments.statistics.stratification import (
    stratified_difference,
    stratified_lift,
    stratify,
)

ODD = np.array([0, 1, 2, 1e10, 1e-300, 1e300, np.inf, -np.inf, np.nan, 5, -3])


def moments(rng: np.random.Generator) -> Moments:
    return Moments(*rng.choice(ODD, (4, 4)))


def joint(rng: np.random.Generator) -> JointMoments:
    return JointMoments(
        *(rng.choice(ODD, shape) for shape in ((3,), (3, 3), (3, 3, 3)))
    )


def adjusted(rng: np.random.Generator) -> list[Comparison | Adjustment]:
    arms = joint(rng)
    ratio = adjust_ratio(arms, [(0, 1), (2, None)])
    return [
        adjusted_difference(adjust(arms)),
        adjusted_lift(adjust(arms, slope="total")),
        adjusted_lift(ratio),
    ]


def regressed(rng: np.random.Generator) -> list[Comparison | Adjustment]:
    rows = [rng.choice(ODD, (rng.integers(0, 6), 3)) for _ in range(2)]
    fits = [fit(joint(rng)), fit_units(rows)]
    return [f(x) for x in fits for f in (regression_difference, regression_lift)]


def stratified(rng: np.random.Generator) -> list[Comparison | Adjustment]:
    strata = stratify(moments(rng), moments(rng))
    return [stratified_difference(strata), stratified_lift(strata)]


def many(rng: np.random.Generator) -> list[Comparison | Adjustment]:
    arms = moments(rng)
    single = welch(arms, moments(rng))
    return [
        dunnett(arms),
        dunnett(arms, variances="pooled"),
        *adjust_family(single, method="holm"),
        *adjust_family(single, method="bonferroni"),
    ]


@pytest.mark.parametrize("method", [adjusted, regressed, stratified, many])
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_odd_figures_end_as_a_number_or_a_status(method: object, seed: int) -> None:
    assert callable(method)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = method(np.random.default_rng(seed))
    for result in results:
        figures = (result.estimate, result.lower, result.upper, result.p_value)
        finite = np.logical_and.reduce([np.isfinite(figure) for figure in figures])
        usable = np.isin(result.status.astype(str), [Status.OK, Status.SKEW_WARNING])
        assert (finite | ~usable).all()


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_odd_covariates_end_as_a_state(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = covariate_balance(joint(np.random.default_rng(seed)))
    assert (got.state == State.WARN) == bool(np.isnan(got.p_value))
