"""Covariate adjustment (CUPED): less noise from what was known before exposure.

The part of the metric that pre-period behaviour predicts is taken out of every arm with
one slope for all, so arms stay comparable; the expected effect does not change. The
variance falls by the share R^2 that the covariates explain.

References:
    Deng, Xu, Kohavi, Walker (2013), "Improving the sensitivity of online controlled
    experiments by utilizing pre-experiment data", WSDM, equations 4 to 6.
    Frison and Pocock (1992), Statistics in Medicine 11 (analysis of covariance).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import CrossMoments, JointMoments, Moments
from experiments.statistics.comparison import Comparison, Quantile
from experiments.statistics.means import welch
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    divide,
    quiet,
)
from experiments.statistics.relative import fieller_dependent

_SINGULAR = 1e-10


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Arms after adjustment; the arm is the last axis of ``moments``.

    Attributes:
        moments: adjusted mean and spread of each arm.
        plain: the same before adjustment.
        covariance: of an arm's adjusted and its plain mean.
        theta: slope of each covariate, shape (..., covariate); 0 where dropped.
        used: covariates kept; a constant or repeated one is dropped.
        reduction: share of the variance taken away, R^2 within arms.
    """

    moments: Moments
    plain: Moments
    covariance: FloatArray
    theta: FloatArray
    used: BoolArray
    reduction: FloatArray


@quiet
def adjust(
    arms: JointMoments | CrossMoments,
    *,
    slope: Literal["within", "total"] = "within",
    total: JointMoments | None = None,
) -> Adjusted:
    """Take out of the metric what the covariates predict.

    Args:
        arms: shape (..., arm); column 0 (y) is the metric, the others are covariates
            measured before exposure. At least one covariate.
        slope: estimate it within arms (analysis of covariance; never adds variance in
            the sample) or over all units as one group (as most tools do).
        total: all units as one group, when it is not simply the arms merged (a ratio
            metric is linearised around the total's own ratio).

    Raises:
        StatisticsError: no covariate column, or no arm axis.
    """
    joint = arms.joint() if isinstance(arms, CrossMoments) else arms
    if joint.mean.ndim < 2 or joint.mean.shape[-1] < 2:
        raise StatisticsError(
            "arms must have shape (..., arm, column) with at least one covariate, "
            f"got {joint.mean.shape}"
        )
    everyone = _merged(joint) if total is None else total
    within = joint.m2.sum(axis=-3)
    theta, used = _slopes(within if slope == "within" else everyone.m2)
    shift = (joint.mean - everyone.mean[..., None, :])[..., 1:]
    plain = joint.column(0)
    slopes = theta[..., None, :]
    cross = (slopes * joint.m2[..., 0, 1:]).sum(axis=-1)
    spread = np.einsum("...i,...ij,...j->...", slopes, joint.m2[..., 1:, 1:], slopes)
    m2 = np.maximum(plain.m2 - 2 * cross + spread, 0.0)
    moments = Moments(
        plain.count, plain.mean - (slopes * shift).sum(axis=-1), m2, plain.m3
    )
    per_unit = divide(plain.m2 - cross, np.where(plain.count > 1, plain.count - 1, 0))
    return Adjusted(
        moments=moments,
        plain=plain,
        covariance=divide(per_unit, plain.count),
        theta=theta,
        used=used,
        reduction=1 - divide(m2.sum(axis=-1), plain.m2.sum(axis=-1)),
    )


def adjusted_difference(
    adjusted: Adjusted,
    control: int = 0,
    treatment: int = 1,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two adjusted arms by their difference (Welch).

    Args:
        adjusted: from `adjust`.
        control: index of the control arm.
        treatment: index of the treatment arm.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.
    """
    result = welch(
        adjusted.moments[..., control],
        adjusted.moments[..., treatment],
        alpha=alpha,
        quantile=quantile,
    )
    return replace(result, method="CUPED, " + result.method)


@quiet
def adjusted_lift(
    adjusted: Adjusted,
    control: int = 0,
    treatment: int = 1,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two adjusted arms relative to the plain mean of the control.

    Args:
        adjusted: from `adjust`.
        control: index of the control arm.
        treatment: index of the treatment arm.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.
    """
    baseline = adjusted.plain[..., control]
    return fieller_dependent(
        adjusted_difference(
            adjusted, control, treatment, alpha=alpha, quantile=quantile
        ),
        baseline=baseline.mean,
        variance_baseline=baseline.standard_error2,
        covariance=-adjusted.covariance[..., control],
        quantile=quantile,
    )


def _merged(joint: JointMoments) -> JointMoments:
    """Return all arms as one group."""
    total = joint[..., 0]
    for arm in range(1, joint.count.shape[-1]):
        total = total.merge(joint[..., arm])
    return total


def _slopes(m2: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Solve for the slopes of column 0 on the others, dropping what adds nothing.

    Covariates are swept in turn (Gauss-Jordan); one whose remaining variance is a
    1e-10 part of its own is constant or repeats the ones before it.
    """
    table = np.roll(np.roll(m2, -1, axis=-1), -1, axis=-2).copy()
    size = table.shape[-1] - 1
    own = np.diagonal(table, axis1=-2, axis2=-1)[..., :size].copy()
    used = np.zeros(own.shape, dtype=np.bool_)
    for k in range(size):
        pivot = table[..., k, k]
        keep = (pivot > _SINGULAR * own[..., k]) & np.isfinite(pivot)
        used[..., k] = keep
        row = divide(table[..., k, :], pivot[..., None])
        factor = table[..., :, k].copy()
        factor[..., k] = 0.0
        swept = table - factor[..., :, None] * row[..., None, :]
        swept[..., k, :] = row
        table = np.where(keep[..., None, None], swept, table)
    return np.where(used, table[..., :size, size], 0.0), used
