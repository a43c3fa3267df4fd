"""Quantiles watched at every moment, exact from the first row on, for any metric.

`quantiles` with an always-valid boundary needs many rows, a smooth metric and nothing
but sums. This module asks for the sorted rows and needs nothing else: how many rows lie
below the true quantile is a coin toss, so a mixture over coins gives two order
statistics that hold the quantile at all times with the stated probability. Ties are
allowed, so counts and prices work where `quantiles` answers `discrete`. Rows must be
independent (one a unit); two variants share the error between them, which is the price.

References:
    Howard, Ramdas (2022), "Sequential estimation of quantiles with applications to A/B
    testing and best-arm identification", Bernoulli 28(3), sections 3 and 5.
    Robbins (1970), "Statistical methods related to the law of the iterated logarithm",
    Annals of Mathematical Statistics 41(5) (beta mixture of coin tosses).
    Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric,
    nonasymptotic confidence sequences", Annals of Statistics 49(2), section 3.5
    (tuning).
"""

from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.always_valid import OPTIMISED_FOR
from experiments.statistics.comparison import Comparison, Status, statuses
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    as_floats,
    broadcast,
    check_at_least,
    check_open,
    quiet,
)


@quiet
def always_valid_ranks(
    rows: ArrayLike,
    *,
    level: ArrayLike,
    alpha: ArrayLike = 0.05,
    optimised_for: float = OPTIMISED_FOR,
) -> tuple[FloatArray, FloatArray]:
    """Return which order statistics (from 1) hold one quantile at every moment.

    A rank of 0 or of rows + 1 says that this side is still open.

    Args:
        rows: independent rows so far, one number or one a cell.
        level: which quantile, in (0, 1).
        alpha: error over all moments.
        optimised_for: rows at which the ranks are closest; fix it before the start.

    Raises:
        StatisticsError: rows < 0, level or alpha out of (0, 1), or optimised_for < 1.
    """
    count, share, error = broadcast(
        rows=check_at_least("rows", rows, 0),
        level=check_open("level", level),
        alpha=check_open("alpha", alpha),
    )
    prior = _prior(error, optimised_for)
    bound = -np.log(error)

    def beyond(below: FloatArray) -> BoolArray:
        return np.asarray(_evidence(below, count, share, prior) >= bound)

    middle = np.floor(share * count)
    upper = _first(beyond, middle + 1, count + 1)
    lower = middle - _first(lambda k: beyond(middle - k), 0 * middle, middle + 1)
    return lower + 1, upper


@quiet
def always_valid_quantile_difference(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    level: float,
    alpha: float = 0.05,
    optimised_for: float = OPTIMISED_FOR,
) -> Comparison:
    """Compare one quantile of two variants, valid at every moment.

    Each variant's quantile gets half of alpha. The running intersection of intervals
    and the running minimum of p-values are valid as well.

    Args:
        control: independent rows of the control, shape (..., row).
        treatment: rows of the treatment, shape (..., row), the same leading axes.
        level: which quantile, in (0, 1).
        alpha: error over all moments.
        optimised_for: rows of both variants at which the interval is narrowest.

    Raises:
        StatisticsError: level or alpha out of (0, 1), leading axes that differ, or
            optimised_for < 2.
    """
    share, error = check_open("level", level), check_open("alpha", alpha)
    each = float(check_at_least("optimised_for", optimised_for, 2)) / 2
    arms = [
        np.sort(as_floats(name, rows), axis=-1)
        for name, rows in (("control", control), ("treatment", treatment))
    ]
    if arms[0].shape[:-1] != arms[1].shape[:-1] or arms[0].ndim == 0:
        raise StatisticsError(
            f"control and treatment must share their leading axes, got shapes "
            f"{arms[0].shape} and {arms[1].shape}"
        )
    ends = []
    for rows in arms:
        count = rows.shape[-1]
        ranks = always_valid_ranks(
            count, level=share, alpha=error / 2, optimised_for=each
        )
        sides = (int(ranks[0]), int(ranks[1]), int(np.ceil(level * count)))
        ends.append([_at(rows, rank) for rank in sides])
    (low_a, high_a, value_a), (low_b, high_b, value_b) = ends
    lower, upper = low_b - high_a, high_b - low_a
    known = np.isfinite(lower) & np.isfinite(upper)
    prior = _prior(error / 2, each)
    # The p-value asks which value both quantiles could share best.
    shared = np.concatenate(arms, axis=-1)
    against = [_against(rows, shared, share, prior) for rows in arms]
    weakest = np.maximum(*against).min(axis=-1, initial=np.inf)
    estimate = value_b - value_a
    unknown = np.full(lower.shape, np.nan)
    return Comparison(
        estimate=np.where(np.isfinite(estimate), estimate, np.nan),
        standard_error=unknown,
        lower=lower,
        upper=upper,
        p_value=np.where(known, np.minimum(2 * np.exp(-weakest), 1.0), np.nan),
        degrees_of_freedom=unknown,
        status=statuses(lower.shape, (~known, Status.NOT_ENOUGH_DATA)),
        method="Quantile, exact confidence sequence",
        scale="absolute",
        alpha=error,
    )


def _prior(alpha: FloatArray, optimised_for: float) -> FloatArray:
    """Return how many rows the beta mixture is worth."""
    best = check_at_least("optimised_for", optimised_for, 1)
    log = -2 * np.log(alpha)
    return np.asarray(best / (log + np.log(1 + log)))


@quiet
def _evidence(
    below: FloatArray, rows: FloatArray, level: FloatArray, prior: FloatArray
) -> FloatArray:
    """Return the log of the mixture's likelihood over that of the true level.

    Args:
        below: rows at or below a candidate quantile.
        rows: all rows.
        level: which quantile.
        prior: rows the mixture is worth.
    """
    a, b = prior * level, prior * (1 - level)
    mixed = scipy.special.betaln(a + below, b + rows - below) - scipy.special.betaln(
        a, b
    )
    return np.asarray(mixed - below * np.log(level) - (rows - below) * np.log1p(-level))


def _first(
    holds: Callable[[FloatArray], BoolArray], start: FloatArray, stop: FloatArray
) -> FloatArray:
    """Return the first whole number from start on where a rising condition holds."""
    low, high = start, stop
    while (low < high).any():
        middle = np.floor((low + high) / 2)
        found = holds(middle) | (low >= high)
        low, high = np.where(found, low, middle + 1), np.where(found, middle, high)
    return high


def _at(order: FloatArray, rank: int) -> FloatArray:
    """Return an order statistic, infinite beyond the rows."""
    if 1 <= rank <= order.shape[-1]:
        return order[..., rank - 1]
    return np.full(order.shape[:-1], -np.inf if rank < 1 else np.inf)


def _against(
    order: FloatArray, candidates: FloatArray, level: FloatArray, prior: FloatArray
) -> FloatArray:
    """Return the evidence of one variant against each value being its quantile."""
    rows = np.asarray(float(order.shape[-1]))
    middle = np.floor(level * rows)
    most = _counts(order, candidates, ties=True)
    least = _counts(order, candidates, ties=False)
    low = np.where(most <= middle, _evidence(most, rows, level, prior), -np.inf)
    high = np.where(least > middle, _evidence(least, rows, level, prior), -np.inf)
    return np.maximum(low, high)


def _counts(order: FloatArray, candidates: FloatArray, *, ties: bool) -> FloatArray:
    """Return how many rows lie below each candidate, or at it if ties count."""
    size = order.shape[-1]
    pool = np.concatenate([order, candidates], axis=-1)
    mine = np.broadcast_to(np.arange(pool.shape[-1]) < size, pool.shape)
    # Equal values keep their order: rows stand before candidates only if ties count.
    if not ties:
        pool, mine = pool[..., ::-1], mine[..., ::-1]
    place = np.argsort(pool, axis=-1, kind="stable")
    before = np.cumsum(np.take_along_axis(mine, place, axis=-1), axis=-1)
    counts = np.empty(pool.shape)
    np.put_along_axis(counts, place, before.astype(np.float64), axis=-1)
    return counts[..., size:] if ties else counts[..., ::-1][..., size:]
