"""Post-stratification: compare like with like, then weigh by how many there are.

Units are compared within strata known before exposure (country, new or returning), and
the strata's effects are averaged with the share of units each holds. It takes out the
noise of an uneven mix between arms. The shares are estimates too; their noise is
counted. With strata as dummies this equals Lin's regression with exact HC2.

A stratum with fewer than two units in an arm cannot be compared by itself. Every
stratum no larger than the largest such one is merged into one, and where that is not
enough, the next larger with them. Merging only those that came out uneven would be
wrong: their unevenness is what makes the arms differ (9 % errors for 5 at 200 strata of
10 units; merged as here below 6, and 5 from 20 units a stratum). How many were merged
is reported; a stratum without any unit counts for nothing.

References:
    Miratrix, Sekhon, Yu (2013), "Adjusting treatment effect estimates by
    post-stratification in randomized experiments", JRSS B 75(2), sections 2 and 4.
    Holt and Smith (1979), "Post stratification", JRSS A 142(1).
    Imbens and Rubin (2015), "Causal Inference", 9.5 (estimated shares).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import (
    Comparison,
    Level,
    Quantile,
    Status,
    statuses,
)
from experiments.statistics.means import too_skewed
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    divide,
    quiet,
    student_quantile,
    student_tail,
)
from experiments.statistics.relative import fieller_dependent

_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Strata:
    """Two arms in strata that can be compared; the stratum is the last axis.

    Attributes:
        control: moments of the control in each stratum; count 0 where it was merged.
        treatment: the same of the treatment.
        weights: share of all units in each stratum.
        merged: strata merged into another one, of each cell.
        skewed: where an arm as a whole has too few units for its skewness.
    """

    control: Moments
    treatment: Moments
    weights: FloatArray
    merged: NDArray[np.int64]
    skewed: BoolArray


@quiet
def stratify(control: Moments, treatment: Moments) -> Strata:
    """Bring two arms into strata that can be compared.

    Args:
        control: moments of the control, shape (..., stratum).
        treatment: moments of the treatment, of the same shape.

    Raises:
        StatisticsError: shapes that differ, or no stratum axis.
    """
    shape = control.count.shape
    if not shape or shape != treatment.count.shape or not shape[-1]:
        raise StatisticsError(
            "control and treatment must have one shape (..., stratum), got "
            f"{shape} and {treatment.count.shape}"
        )
    units = control.count + treatment.count
    uneven = (control.count < _FEWEST) | (treatment.count < _FEWEST)
    largest = np.where(uneven, units, 0.0).max(axis=-1, keepdims=True)
    merged = (units > 0) & (units <= largest)
    rest = [_together(arm, merged) for arm in (control, treatment)]
    short = (rest[0].count < _FEWEST) | (rest[1].count < _FEWEST)
    others = np.where(merged | (units == 0), np.inf, units)
    following = np.arange(shape[-1]) == others.argmin(axis=-1)[..., None]
    merged |= following & (short & merged.any(axis=-1))[..., None] & (others < np.inf)
    joined = [
        _replaced(arm, merged, _together(arm, merged)) for arm in (control, treatment)
    ]
    count = joined[0].count + joined[1].count
    return Strata(
        control=joined[0],
        treatment=joined[1],
        weights=divide(count, count.sum(axis=-1, keepdims=True)),
        merged=np.maximum(merged.sum(axis=-1) - 1, 0),
        skewed=_skewed(control) | _skewed(treatment),
    )


@quiet
def stratified_difference(
    strata: Strata, *, alpha: ArrayLike = 0.05, quantile: Quantile = None
) -> Comparison:
    """Compare two arms by the weighted mean of the strata's differences.

    Args:
        strata: from `stratify`.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    level = Level.resolve(alpha, quantile)
    control, treatment = strata.control, strata.treatment
    held = strata.weights > 0
    gap = treatment.mean - control.mean
    estimate = _weighted(strata, gap)
    shares_noise = _shares_covariance(strata, gap, gap)
    noise = [
        np.where(held, strata.weights**2 * arm.standard_error2, 0.0)
        for arm in (control, treatment)
    ]
    variance = noise[0].sum(axis=-1) + noise[1].sum(axis=-1) + shares_noise
    lost = divide(divide(shares_noise, variance) ** 2, _units(strata) - 1)
    for part, arm in zip(noise, (control, treatment), strict=True):
        share = divide(part, variance[..., None])
        spent = np.where(held, divide(share**2, arm.count - 1), 0.0)
        lost = lost + spent.sum(axis=-1)
    df = divide(1.0, lost)
    error = np.sqrt(variance)
    p_value = 2 * student_tail(np.abs(divide(estimate, error)), df)
    half = student_quantile(level.nominal / 2, df) * error
    few = held & ((control.count < _FEWEST) | (treatment.count < _FEWEST))
    known = np.isfinite(estimate) & np.isfinite(half) & (half > 0)
    return Comparison(
        estimate=estimate,
        standard_error=error,
        lower=estimate - half,
        upper=estimate + half,
        p_value=level.p_of(np.where((error == 0) & (estimate == 0), 1.0, p_value)),
        degrees_of_freedom=df,
        status=statuses(
            known.shape,
            (np.asarray(few.any(axis=-1) | ~held.any(axis=-1)), Status.NOT_ENOUGH_DATA),
            (~known, Status.DEGENERATE),
            (strata.skewed, Status.SKEW_WARNING),
        ),
        method="Post-stratified t" + level.label,
        scale="absolute",
        alpha=level.alpha,
    )


@quiet
def stratified_lift(
    strata: Strata, *, alpha: ArrayLike = 0.05, quantile: Quantile = None
) -> Comparison:
    """Compare two arms relative to the control's post-stratified mean (Fieller).

    Args:
        strata: from `stratify`.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    control = strata.control
    gap = strata.treatment.mean - control.mean
    squared = np.where(
        strata.weights > 0, strata.weights**2 * control.standard_error2, 0.0
    ).sum(axis=-1)
    return fieller_dependent(
        stratified_difference(strata, alpha=alpha, quantile=quantile),
        baseline=_weighted(strata, control.mean),
        variance_baseline=squared
        + _shares_covariance(strata, control.mean, control.mean),
        covariance=_shares_covariance(strata, gap, control.mean) - squared,
        quantile=quantile,
    )


def _weighted(strata: Strata, values: FloatArray) -> FloatArray:
    """Return the mean over strata."""
    return np.asarray(
        np.where(strata.weights > 0, strata.weights * values, 0.0).sum(axis=-1)
    )


def _units(strata: Strata) -> FloatArray:
    return np.asarray((strata.control.count + strata.treatment.count).sum(axis=-1))


def _shares_covariance(strata: Strata, a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the covariance of two weighted means, from the noise of the weights."""
    away_a = a - _weighted(strata, a)[..., None]
    away_b = b - _weighted(strata, b)[..., None]
    return divide(_weighted(strata, away_a * away_b), _units(strata))


def _together(arm: Moments, chosen: BoolArray) -> Moments:
    """Return the moments of the chosen strata as one group, shape (...)."""
    count = np.where(chosen, arm.count, 0.0)
    total = count.sum(axis=-1)
    mean = np.where(total > 0, divide((count * arm.mean).sum(axis=-1), total), 0.0)
    away = np.where(count > 0, arm.mean - mean[..., None], 0.0)
    m2 = np.where(count > 0, arm.m2, 0.0)
    m3 = np.where(count > 0, arm.m3, 0.0)
    return Moments(
        total,
        mean,
        (m2 + count * away**2).sum(axis=-1),
        (m3 + 3 * away * m2 + count * away**3).sum(axis=-1),
    )


def _replaced(arm: Moments, merged: BoolArray, whole: Moments) -> Moments:
    """Return the strata with the merged ones emptied into the first of them."""
    home = merged & (np.cumsum(merged, axis=-1) == 1)
    return Moments(
        *(
            np.where(home, new[..., None], np.where(merged, 0.0, old))
            for old, new in (
                (arm.count, whole.count),
                (arm.mean, whole.mean),
                (arm.m2, whole.m2),
                (arm.m3, whole.m3),
            )
        )
    )


def _skewed(arm: Moments) -> BoolArray:
    return too_skewed(_together(arm, np.ones(arm.count.shape, dtype=np.bool_)))
