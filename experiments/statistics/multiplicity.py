"""Many comparisons at once: adjusted p-values.

An adjusted p-value is compared with the overall alpha. Each function takes the p-values
of one family in any shape (metric x variant) and keeps the shape; a NaN stays NaN and
is not counted.

References:
    Holm (1979), Scandinavian Journal of Statistics 6.
    Hochberg (1988), Biometrika 75(4). Hommel (1988), Biometrika 75(2); algorithm of
    Wright (1992), "Adjusted p-values for simultaneous inference", Biometrics 48, A1.
    Benjamini and Hochberg (1995), JRSS B 57(1).
    Benjamini and Yekutieli (2001), Annals of Statistics 29(4), theorem 1.3.
    Wang and Ramdas (2022), "False discovery rate control with e-values", JRSS B 84(3),
    section 2 (e-BH). Bretz, Maurer, Brannath, Posch (2009), Statistics in Medicine 28
    (weighted Holm).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    check_at_least,
    divide,
    first,
)


def bonferroni(p_values: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    """Divide alpha between the tests; valid under any dependence.

    Args:
        p_values: one family.
        weights: share of alpha each test gets, in any unit; equal by default. A test of
            weight zero is never significant.

    Raises:
        StatisticsError: p-values out of [0, 1], negative weights, weights without a
            finite sum above 0, shapes that differ.
    """
    p = _checked(p_values)
    share = shares(p, weights)
    adjusted = np.where(share > 0, divide(p, share), 1.0)
    return np.where(np.isnan(p), np.nan, np.minimum(adjusted, 1.0))


def shares(p_values: FloatArray, weights: ArrayLike | None = None) -> FloatArray:
    """Return the share of alpha each known p-value gets; 0 where it is NaN.

    Args:
        p_values: one family.
        weights: as in `bonferroni`.

    Raises:
        StatisticsError: as in `bonferroni`.
    """
    counted = ~np.isnan(p_values)
    given = (
        np.ones_like(p_values)
        if weights is None
        else check_at_least("weights", weights, 0)
    )
    if given.shape != p_values.shape:
        raise StatisticsError(
            f"weights must have shape {p_values.shape}, got {given.shape}"
        )
    counting = np.where(counted, given, 0.0)
    total = float(counting.sum())
    if counted.any() and not 0 < total < np.inf:
        raise StatisticsError(
            f"weights of the known p-values must sum to > 0, got {total:g}"
        )
    return counting / total if total > 0 else counting


def holm(p_values: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    """Step down: as safe as Bonferroni and never less powerful.

    Args:
        p_values: one family.
        weights: as in `bonferroni`; what a rejected test held goes to the others.

    Raises:
        StatisticsError: as in `bonferroni`.
    """
    p = _checked(p_values)
    flat, share = p.ravel(), shares(p, weights).ravel()
    ratio = np.where(share > 0, divide(flat, share), np.inf)
    known = np.flatnonzero(~np.isnan(flat))
    order = known[np.argsort(ratio[known], kind="stable")]
    result = np.full(flat.shape, np.nan)
    if order.size:
        left = np.cumsum(share[order][::-1])[::-1]
        weighed = share[order] > 0
        stepped = np.where(weighed, ratio[order], 1.0) * np.where(weighed, left, 1.0)
        stepped = np.maximum(_step_down(stepped), flat[order])
        result[order] = np.minimum(stepped, 1.0)
    return result.reshape(p.shape)


def hochberg(p_values: ArrayLike) -> FloatArray:
    """Step up with Holm's factors; needs independence or positive dependence."""
    return _ordered(p_values, lambda p, m: _step_up(p * (m - np.arange(m))))


def hommel(p_values: ArrayLike) -> FloatArray:
    """Close the Simes tests; needs what Hochberg needs and is never less powerful."""
    return _ordered(p_values, _hommel)


def benjamini_hochberg(p_values: ArrayLike) -> FloatArray:
    """Control the false discovery rate under positive dependence."""
    return _ordered(
        p_values, lambda p, m: _step_up(np.asarray(p * m / np.arange(1, m + 1)))
    )


def benjamini_yekutieli(p_values: ArrayLike) -> FloatArray:
    """Control the false discovery rate under any dependence."""

    def adjust(p: FloatArray, m: int) -> FloatArray:
        ranks = np.arange(1, m + 1)
        return _step_up(np.asarray(p * m / ranks * (1 / ranks).sum()))

    return _ordered(p_values, adjust)


def e_benjamini_hochberg(log_e_values: ArrayLike) -> FloatArray:
    """Control the false discovery rate under any dependence, from e-values.

    Evidence watched at every look (`sequential.always_valid`) stays valid here, where
    running p-values would need the dependence to be known.

    Args:
        log_e_values: natural logarithms, for evidence beyond the largest float; a NaN
            is not counted.

    Returns:
        The smallest alpha at which each test is rejected, capped at 1.
    """
    log_e = as_floats("log_e_values", log_e_values)
    with np.errstate(under="ignore"):
        return benjamini_hochberg(np.exp(-np.maximum(log_e, 0.0)))


def _hommel(p: FloatArray, m: int) -> FloatArray:
    adjusted = np.full(m, (m * p / np.arange(1, m + 1)).min())
    best = adjusted.copy()
    for size in range(m - 1, 1, -1):
        low = np.arange(m - size + 1)
        high = np.arange(m - size + 1, m)
        least = (size * p[high] / np.arange(2, size + 1)).min()
        best[low] = np.minimum(size * p[low], least)
        best[high] = best[m - size]
        adjusted = np.maximum(adjusted, best)
    return np.asarray(np.maximum(adjusted, p))


def _step_down(p: FloatArray) -> FloatArray:
    return np.asarray(np.maximum.accumulate(p))


def _step_up(p: FloatArray) -> FloatArray:
    return np.asarray(np.minimum.accumulate(p[::-1])[::-1])


def _ordered(
    p_values: ArrayLike, adjust: Callable[[FloatArray, int], FloatArray]
) -> FloatArray:
    """Apply ``adjust`` to the sorted, known p-values and put them back."""
    p = _checked(p_values)
    flat = p.ravel()
    known = np.flatnonzero(~np.isnan(flat))
    result = np.full(flat.shape, np.nan)
    if known.size:
        order = known[np.argsort(flat[known], kind="stable")]
        # Rounding alone must not lower a p-value either.
        adjusted = np.maximum(adjust(flat[order], order.size), flat[order])
        result[order] = np.minimum(adjusted, 1.0)
    return result.reshape(p.shape)


def _checked(p_values: ArrayLike) -> FloatArray:
    p = as_floats("p_values", p_values)
    outside = (p < 0) | (p > 1)
    if outside.any():
        raise StatisticsError(f"p_values must lie in [0, 1], got {first(p, outside):g}")
    return p
