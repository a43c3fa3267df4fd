"""Does the effect last? The effect by days since a user's first exposure.

A new thing is tried because it is new (novelty: the effect fades) or resisted because
the old one was known (primacy: it grows). Counting days from each user's own first
exposure, and not by the calendar, keeps users of all start dates comparable. Only users
whose whole window has been seen may enter (`mature`): otherwise late days hold early
users alone. The days of one user are not independent; every contrast of days is
therefore taken within users first, and then tested by Welch between arms.

The contrast of the first week with the days after is the default alarm: a week holds
each weekday once. The straight-line trend is the more sensitive one for a slow change.

References:
    Hohnhold, O'Brien, Tang (2015), "Focusing on the long-term: it's good for users and
    business", KDD, section 3 (learning effects by exposure).
    Kohavi, Tang, Xu (2020), "Trustworthy Online Controlled Experiments", chapter 23.
    Fitzmaurice, Laird, Ware (2011), "Applied Longitudinal Analysis", 5.4 (contrasts of
    response profiles).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import JointMoments, Moments
from experiments.statistics.comparison import Comparison, Quantile
from experiments.statistics.means import welch
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    as_floats,
    check_at_least,
    quiet,
)

FIRST_DAYS = 7


@dataclass(frozen=True, slots=True)
class EffectByDay:
    """How an effect moves with the days since exposure.

    Attributes:
        daily: effect on each day, shape (..., day).
        trend: slope of the effect a day, shape (...).
        later: mean effect after the first days less that on them, shape (...); negative
            for a positive effect that fades.
    """

    daily: Comparison
    trend: Comparison
    later: Comparison


def mature(exposed: ArrayLike, *, window: int, last_day: int) -> BoolArray:
    """Return which users' windows have been seen whole.

    Args:
        exposed: day of each user's first exposure, a whole number on the calendar.
        window: days of the window, the day of exposure included; at least 1.
        last_day: last day that was seen whole.

    Raises:
        StatisticsError: a window below 1, or days that are not numbers.
    """
    if window < 1:
        raise StatisticsError(f"window must be >= 1, got {window}")
    days = as_floats("exposed", exposed)
    return np.asarray(days + window - 1 <= last_day)


def mature_shares(
    exposed: ArrayLike, *, days: int, last_day: int, counts: ArrayLike = 1.0
) -> FloatArray:
    """Return the share of users whose window of 1, 2, ... days has been seen whole.

    Args:
        exposed: day of first exposure of each user or group of users, shape (group,).
        days: longest window wanted, at least 1.
        last_day: last day that was seen whole.
        counts: users in each group.

    Returns:
        Shares of shape (day,), falling; NaN without users.

    Raises:
        StatisticsError: days below 1, or counts that are negative or do not fit.
    """
    if days < 1:
        raise StatisticsError(f"days must be >= 1, got {days}")
    start = np.atleast_1d(as_floats("exposed", exposed))
    users = check_at_least("counts", counts, 0) * np.ones_like(start)
    windows = np.arange(1, days + 1)
    seen = start + windows[:, None] - 1 <= last_day
    everyone = users.sum()
    return np.asarray((seen * users).sum(axis=-1) / (everyone or np.nan))


@quiet
def contrast(
    control: JointMoments,
    treatment: JointMoments,
    weights: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare arms by a weighted sum of each user's days.

    Args:
        control: moments of the users' days, one column a day.
        treatment: the same of the treatment.
        weights: of each day, shape (day,) or (..., day).
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: not one weight a day, or alpha out of (0, 1).
    """
    row = as_floats("weights", weights)
    arms = [_weighted(arm, row) for arm in (control, treatment)]
    result = welch(*arms, alpha=alpha, quantile=quantile)
    return replace(result, method=f"Contrast of days, {result.method}")


def effect_by_day(
    control: JointMoments,
    treatment: JointMoments,
    *,
    first_days: int = FIRST_DAYS,
    alpha: ArrayLike = 0.05,
) -> EffectByDay:
    """Return the effect on each day since exposure, its trend, and later v first days.

    Args:
        control: moments of the users' days, columns in order from day 0 of exposure;
            mature users alone.
        treatment: the same of the treatment.
        first_days: days in the first part of the contrast.
        alpha: two-sided error of each interval, one by one.

    Raises:
        StatisticsError: fewer than two days, first_days not within them, arms of
            different days, or alpha out of (0, 1).
    """
    days = control.mean.shape[-1]
    if days < 2 or days != treatment.mean.shape[-1]:
        raise StatisticsError(
            "control and treatment must have the same days, at least 2, "
            f"got {days} and {treatment.mean.shape[-1]}"
        )
    if not 0 < first_days < days:
        raise StatisticsError(
            f"first_days must lie in [1, {days - 1}] for {days} days, got {first_days}"
        )
    day = np.arange(days) - (days - 1) / 2
    later = np.arange(days) >= first_days
    halves = np.where(later, 1 / later.sum(), -1 / first_days)
    return EffectByDay(
        daily=welch(_days(control), _days(treatment), alpha=alpha),
        trend=contrast(control, treatment, day / (day**2).sum(), alpha=alpha),
        later=contrast(control, treatment, halves, alpha=alpha),
    )


def _days(arm: JointMoments) -> Moments:
    """Return the moments of every day, shape (..., day)."""
    return Moments(
        arm.count[..., None],
        arm.mean,
        np.diagonal(arm.m2, axis1=-2, axis2=-1),
        np.asarray(np.nan),
    )


def _weighted(arm: JointMoments, weights: FloatArray) -> Moments:
    """Return moments of each user's weighted sum of days."""
    if weights.ndim == 0 or weights.shape[-1] != arm.mean.shape[-1]:
        raise StatisticsError(
            f"weights must have shape (..., {arm.mean.shape[-1]}), got {weights.shape}"
        )
    spread = np.einsum("...i,...ij,...j->...", weights, arm.m2, weights)
    return Moments(
        arm.count,
        (arm.mean * weights).sum(axis=-1),
        np.maximum(spread, 0.0),
        np.asarray(np.nan),
    )
