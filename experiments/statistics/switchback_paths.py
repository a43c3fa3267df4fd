"""Switchbacks by Horvitz-Thompson over assignment paths.

Where `switchback.block_difference` drops every burn-in, this estimate keeps the periods
whose block before had the same arm, and needs no model of the outcomes at all: over the
draws of the schedule it is unbiased for "always treated less never treated". The price
is noise, so it is the option for designs whose blocks are no longer than the burn-in.

References:
    Bojinov, Simchi-Levi, Zhao (2023), "Design and analysis of switchback experiments",
    Management Science 69(7), sections 2 (estimator) and 5 (conservative variance:
    products of outcomes that no schedule shows together are bounded by
    2ab <= a^2 + b^2; here for blocks of any length and probability).
"""

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.comparison import Comparison, Status, statuses
from experiments.statistics.grouping import IntArray, group_sums
from experiments.statistics.numeric import (
    FloatArray,
    as_floats,
    check_open,
    divide,
    normal_quantile,
    normal_tail,
    quiet,
)
from experiments.statistics.switchback import Schedule, period_rows


@quiet
def path_difference(
    outcome: ArrayLike,
    schedule: Schedule,
    *,
    centre: ArrayLike | None = None,
    alpha: ArrayLike = 0.05,
) -> Comparison:
    """Compare always-treated with never-treated by Horvitz-Thompson over paths.

    A period counts when all blocks that act on it had one arm, weighted by one over the
    probability of that. The variance replaces what no schedule can reveal by an upper
    bound, so it is never too small in expectation.

    Args:
        outcome: value of the metric in each period, shape (..., period).
        schedule: the arms of the periods; the first ``burn_in`` of a region are left
            out.
        centre: constant taken from every outcome, which removes the noise of the level;
            the mean outcome by default. The paper's estimator has 0.
        alpha: two-sided error.

    Raises:
        StatisticsError: shapes that do not fit, or alpha out of (0, 1).
    """
    error = check_open("alpha", alpha)
    rows, _ = period_rows(outcome, 1.0, schedule)
    start = schedule.window_start
    kept = start >= 0
    pairs = np.stack([start, schedule.block])[:, kept]
    spans, place = np.unique(pairs, axis=1, return_inverse=True)
    periods = np.bincount(place.ravel(), minlength=spans.shape[1]).astype(np.float64)
    if centre is None:
        level = divide(rows[..., kept].sum(axis=-1), periods.sum())
    else:
        level = as_floats("centre", centre)
    total = group_sums(rows[..., kept], place.ravel(), spans.shape[1])
    total = total - level[..., None] * periods
    estimate, variance = _horvitz_thompson(total, spans, periods, schedule)
    spread = np.sqrt(np.maximum(variance, 0.0)) / periods.sum()
    estimate = estimate / periods.sum()
    half = normal_quantile(error / 2) * spread
    few = np.full(np.shape(estimate), schedule.blocks < 2 or not kept.any())
    return Comparison(
        estimate=estimate,
        standard_error=spread,
        lower=estimate - half,
        upper=estimate + half,
        p_value=2 * normal_tail(np.abs(divide(estimate, spread))),
        degrees_of_freedom=np.asarray(np.inf),
        status=statuses(
            np.shape(estimate),
            (few, Status.NOT_ENOUGH_DATA),
            (~(np.isfinite(half) & (half > 0)), Status.DEGENERATE),
        ),
        method="Horvitz-Thompson over paths, conservative variance",
        scale="absolute",
        alpha=error,
    )


def _horvitz_thompson(
    total: FloatArray, spans: IntArray, periods: FloatArray, schedule: Schedule
) -> tuple[FloatArray, FloatArray]:
    """Return the weighted sum over spans of blocks, and an upper bound of its variance.

    Args:
        total: summed outcome of the periods on which the same blocks act, (..., span).
        spans: first and last of those blocks, shape (2, span).
        periods: number of those periods, shape (span,).
        schedule: the arms.
    """
    first, last = spans
    meet = np.maximum.outer(first, first) <= np.minimum.outer(last, last)
    meet = meet & ~np.eye(first.size, dtype=bool)
    # What a span never shows: its outcome under the other arm. 2ab <= a^2 + b^2.
    hidden = divide(meet @ periods, periods)
    estimate, variance = np.zeros(total.shape[:-1]), np.zeros(total.shape[:-1])
    for arm, sign in ((True, 1.0), (False, -1.0)):
        chance = schedule.probability if arm else 1 - schedule.probability
        same = np.append(0, np.cumsum(schedule.arms == arm))
        whole = same[last + 1] - same[first] == last - first + 1
        weight = whole / chance ** (last - first + 1)
        estimate = estimate + sign * (total * weight).sum(axis=-1)
        single = weight / chance ** (last - first + 1) + weight * hidden
        variance = variance + (total**2 * single).sum(axis=-1)
        # Both spans wholly in this arm; their shared blocks make them depend.
        union = np.maximum.outer(last, last) - np.minimum.outer(first, first) + 1
        shared = np.add.outer(last - first, last - first) + 2 - union
        joint = np.where(meet, np.outer(whole, whole), 0.0) / chance**union
        joint = joint * (chance ** (-1.0 * shared) - 1)
        variance = variance + ((total @ joint) * total).sum(axis=-1)
    return estimate, variance
