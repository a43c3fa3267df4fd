"""Regression adjustment with a slope for every arm (Lin), and errors that allow for it.

Each arm gets its own regression on the covariates and is read at the mean covariates of
all units: what the metric would be had everyone been in that arm. It needs no model to
be true, is never less precise than the plain difference in large samples, and beats one
common slope (`covariates`) when arms are of unequal size or the treatment changes the
slope. Units' own noise enters by HC2, the form that is exact without covariates.

`fit_units` computes exact HC2 from rows. `fit` takes sufficient statistics: without a
covariate it is exact (Welch); with covariates HC2 would need fourth moments, and the
residual variance of each arm stands in, which differs by a share of about 1 / units.
For strata, `stratification` is the exact HC2 from sufficient statistics.

The covariates' mean over all units is an estimate too; its noise is counted unless the
units at hand are all there is.

References:
    Lin (2013), "Agnostic notes on regression adjustments to experimental data", Annals
    of Applied Statistics 7(1), sections 4 and 5.
    MacKinnon and White (1985), Journal of Econometrics 29 (HC2).
    Imbens and Rubin (2015), "Causal Inference", 7.5 to 7.7 (random covariates).
    Negi and Wooldridge (2021), Econometric Reviews 40(5), theorem 5.2 (the term for the
    estimated mean).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import CrossMoments, JointMoments
from experiments.statistics.comparison import (
    Comparison,
    Level,
    Quantile,
    Status,
    statuses,
)
from experiments.statistics.least_squares import (
    between,
    columns_first,
    inverse,
    over_arms,
    pooled_mean,
    solve,
)
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    as_floats,
    divide,
    quiet,
    student_quantile,
    student_tail,
)
from experiments.statistics.relative import fieller_dependent

CovariateMeans: TypeAlias = Literal["estimated", "known"]
"""Whether all units are a sample of more to come, or all there is."""

_ALONE = 1e-9


@dataclass(frozen=True, slots=True)
class Regression:
    """Arms, each read off its own regression at everyone's mean covariates.

    Attributes:
        count: units, shape (..., arm).
        mean: adjusted means.
        variance: squared standard errors of the adjusted means, the covariates' mean
            taken as known.
        degrees_of_freedom: of each variance: units less covariates used less 1.
        slopes: shape (..., arm, covariate); 0 where dropped.
        used: covariates kept in each arm.
        centre_variance: covariance matrix of the covariates' mean over all units, shape
            (..., covariate, covariate).
        reduction: share of the variance within arms taken away, R^2.
        errors: how the variances were found.
    """

    count: FloatArray
    mean: FloatArray
    variance: FloatArray
    degrees_of_freedom: FloatArray
    slopes: FloatArray
    used: BoolArray
    centre_variance: FloatArray
    reduction: FloatArray
    errors: str


@quiet
def fit(arms: JointMoments | CrossMoments) -> Regression:
    """Fit every arm from sufficient statistics.

    Args:
        arms: shape (..., arm); column 0 is the metric, the others are covariates
            measured before exposure. Without a covariate this is Welch.

    Raises:
        StatisticsError: no arm axis.
    """
    count, mean, m2 = columns_first(arms)
    x2 = m2[1:, 1:]
    slopes, used = solve(x2, m2[1:, 0])
    centre = pooled_mean(count, mean)
    gap = mean - centre[..., None]
    away = solve(x2, gap[1:])[0]
    weights = np.concatenate([np.ones_like(mean[:1]), -slopes])
    with_metric = (weights * m2).sum(axis=1)
    residual = np.maximum((weights * with_metric).sum(axis=0), 0.0)
    df = count - 1 - used.sum(axis=0)
    # A unit's weight in the adjusted mean is even but for the arm's distance from all.
    spread = divide(1.0, count) + (gap[1:] * away).sum(axis=0)
    units = over_arms(count)
    total = (over_arms(m2) + between(count, gap))[1:, 1:]
    return Regression(
        count=count,
        mean=mean[0] - (slopes * gap[1:]).sum(axis=0),
        variance=divide(residual, np.where(df > 0, df, np.nan)) * spread,
        degrees_of_freedom=df,
        slopes=np.moveaxis(slopes, 0, -1),
        used=np.moveaxis(used, 0, -1),
        centre_variance=np.moveaxis(
            divide(total, units * (units - 1)), (0, 1), (-2, -1)
        ),
        reduction=1 - divide(over_arms(residual), over_arms(m2[0, 0])),
        errors="residual variance of each arm" if len(slopes) else "Welch",
    )


@quiet
def fit_units(arms: Sequence[ArrayLike]) -> Regression:
    """Fit every arm from rows, with exact HC2 errors.

    A unit that alone decides a slope is fitted exactly and shows no noise; where there
    is one, the arm's residual variance is used as in `fit`.

    Args:
        arms: rows of each arm, shape (..., unit, column); column 0 is the metric.

    Raises:
        StatisticsError: no arm, no column, or shapes that differ but for the units.
    """
    rows = [as_floats("arms", arm) for arm in arms]
    shapes = {(arm.shape[:-2], arm.shape[-1:]) for arm in rows if arm.ndim >= 2}
    if len(shapes) != 1 or any(arm.ndim < 2 or arm.shape[-1] < 1 for arm in rows):
        raise StatisticsError(
            "arms must share one shape (..., unit, column) but for the units, got "
            + ", ".join(str(arm.shape) for arm in rows)
        )
    parts = [JointMoments.from_units(arm) for arm in rows]
    joint = JointMoments(
        np.stack([part.count for part in parts], -1),
        np.stack([part.mean for part in parts], -2),
        np.stack([part.m2 for part in parts], -3),
    )
    plain = fit(joint)
    count, mean, m2 = columns_first(joint)
    gap = mean - pooled_mean(count, mean)[..., None]
    exact = [
        _hc2(arm, joint[..., i], plain.slopes[..., i, :], gap[1:, ..., i], m2[..., i])
        for i, arm in enumerate(rows)
    ]
    variance = np.stack(exact, axis=-1)
    return replace(
        plain,
        variance=np.where(np.isnan(variance), plain.variance, variance),
        errors="HC2",
    )


def _hc2(
    rows: FloatArray,
    arm: JointMoments,
    slopes: FloatArray,
    gap: FloatArray,
    m2: FloatArray,
) -> FloatArray:
    """Return HC2's variance of one adjusted mean; NaN where a unit decides a slope."""
    deviation = rows - arm.mean[..., None, :]
    x = deviation[..., 1:]
    residual = deviation[..., 0] - (x * slopes[..., None, :]).sum(axis=-1)
    inverted = np.moveaxis(inverse(m2[1:, 1:]), (0, 1), (-2, -1))
    solved = x @ inverted
    even = divide(1.0, arm.count)[..., None]
    free = 1 - even - (x * solved).sum(axis=-1)
    weight = even - (solved * np.moveaxis(gap, 0, -1)[..., None, :]).sum(axis=-1)
    free = np.where(free > _ALONE, free, np.nan)
    return np.asarray((weight**2 * divide(residual**2, free)).sum(axis=-1))


@quiet
def regression_difference(
    fitted: Regression,
    control: int = 0,
    treatment: int = 1,
    *,
    covariate_means: CovariateMeans = "estimated",
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two adjusted arms by their difference.

    Args:
        fitted: from `fit` or `fit_units`.
        control: index of the control arm.
        treatment: index of the treatment arm.
        covariate_means: "estimated" counts the noise of the covariates' mean, as for
            any future user; "known" speaks of the units at hand alone.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    level = Level.resolve(alpha, quantile)
    centre = _centre(fitted, covariate_means)
    shift = fitted.slopes[..., treatment, :] - fitted.slopes[..., control, :]
    noise = [
        fitted.variance[..., control],
        fitted.variance[..., treatment],
        _form(shift, centre, shift),
    ]
    units = over_arms(fitted.count) - 1
    freedom = [
        fitted.degrees_of_freedom[..., control],
        fitted.degrees_of_freedom[..., treatment],
        units,
    ]
    total = noise[0] + noise[1] + noise[2]
    lost = [
        divide(divide(v, total) ** 2, df) for v, df in zip(noise, freedom, strict=True)
    ]
    df = divide(1.0, lost[0] + lost[1] + lost[2])
    estimate = fitted.mean[..., treatment] - fitted.mean[..., control]
    error = np.sqrt(total)
    p_value = 2 * student_tail(np.abs(divide(estimate, error)), df)
    half = student_quantile(level.nominal / 2, df) * error
    few = (freedom[0] < 1) | (freedom[1] < 1)
    known = np.isfinite(estimate) & np.isfinite(half) & (half > 0)
    return Comparison(
        estimate=estimate,
        standard_error=error,
        lower=estimate - half,
        upper=estimate + half,
        p_value=level.p_of(np.where((error == 0) & (estimate == 0), 1.0, p_value)),
        degrees_of_freedom=df,
        status=statuses(
            known.shape, (few, Status.NOT_ENOUGH_DATA), (~known, Status.DEGENERATE)
        ),
        method=f"Regression (Lin), {fitted.errors}" + level.label,
        scale="absolute",
        alpha=level.alpha,
    )


@quiet
def regression_lift(
    fitted: Regression,
    control: int = 0,
    treatment: int = 1,
    *,
    covariate_means: CovariateMeans = "estimated",
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two adjusted arms relative to the control's adjusted mean (Fieller).

    The adjusted mean is the better estimate of what all units would give in the
    control, and what the difference is a difference from.

    Args:
        fitted: from `fit` or `fit_units`.
        control: index of the control arm.
        treatment: index of the treatment arm.
        covariate_means: as in `regression_difference`.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    absolute = regression_difference(
        fitted,
        control,
        treatment,
        covariate_means=covariate_means,
        alpha=alpha,
        quantile=quantile,
    )
    centre = _centre(fitted, covariate_means)
    own, other = fitted.slopes[..., control, :], fitted.slopes[..., treatment, :]
    variance = fitted.variance[..., control]
    return fieller_dependent(
        absolute,
        baseline=fitted.mean[..., control],
        variance_baseline=variance + _form(own, centre, own),
        covariance=_form(other - own, centre, own) - variance,
        quantile=quantile,
    )


def _centre(fitted: Regression, covariate_means: CovariateMeans) -> FloatArray:
    """Return the covariance of the covariates' mean, 0 when it is known."""
    if covariate_means not in ("estimated", "known"):
        raise StatisticsError(
            f"covariate_means must be 'estimated' or 'known', got {covariate_means!r}"
        )
    centre = fitted.centre_variance
    return centre if covariate_means == "estimated" else np.zeros_like(centre)


def _form(left: FloatArray, middle: FloatArray, right: FloatArray) -> FloatArray:
    """Return left' middle right, cell by cell."""
    return np.asarray((left * (middle @ right[..., None])[..., 0]).sum(axis=-1))
