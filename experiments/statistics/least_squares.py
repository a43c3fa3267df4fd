"""Least squares for many cells at once, from their sums of products.

Columns are the leading axes here, so the cells of one column lie side by side in memory
and every step is one operation over all cells. Covariates that add nothing (constant,
or repeating others) are dropped, never divided by.

References:
    Golub and Van Loan (2013), "Matrix Computations", 4.1 (elimination of a symmetric
    system).
    Chan, Golub, LeVeque (1983), The American Statistician 37(3) (means and products of
    groups taken together).
"""

import numpy as np

from experiments.statistics.aggregates import CrossMoments, JointMoments
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    divide,
)

_SINGULAR = 1e-10


def columns_first(
    arms: JointMoments | CrossMoments,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return count (..., arm), means (column, ..., arm) and sums of products.

    Raises:
        StatisticsError: there is no arm axis.
    """
    if arms.count.ndim < 1:
        raise StatisticsError("arms must have shape (..., arm), got ()")
    if isinstance(arms, JointMoments):
        m2 = np.moveaxis(arms.m2, (-2, -1), (0, 1))
        return arms.count, np.moveaxis(arms.mean, -1, 0), m2
    m2 = np.stack([arms.m2_y, arms.cxy, arms.cxy, arms.m2_x])
    mean = np.stack([arms.mean_y, arms.mean_x])
    return arms.count, mean, m2.reshape(2, *mean.shape)


def over_arms(values: FloatArray) -> FloatArray:
    """Return the sums over the last axis; a product is ten times as fast as a sum."""
    return np.asarray(values @ np.ones(values.shape[-1]))


def pooled_mean(count: FloatArray, mean: FloatArray) -> FloatArray:
    """Return the mean of all arms as one group.

    Deviations from the first arm are averaged: a mean of 1e8 keeps its digits.

    Args:
        count: units, shape (..., arm).
        mean: means, shape (column, ..., arm).
    """
    away = over_arms(count * (mean - mean[..., :1]))
    step = np.where(away == 0, 0.0, divide(away, over_arms(count)))
    return np.asarray(mean[..., 0] + step)


def between(count: FloatArray, gap: FloatArray) -> FloatArray:
    """Return the sums of products between arms, shape (column, column, ...).

    Args:
        count: units, shape (..., arm).
        gap: distance of each arm's mean from the pooled one, (column, ..., arm).
    """
    return over_arms(count * gap[:, None] * gap[None, :])


def solve(left: FloatArray, right: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Solve a symmetric, positive semi-definite system, dropping what adds nothing.

    Unknowns are eliminated in turn; one whose remaining variance is a 1e-10 part of its
    own is constant or repeats the ones before it, and is dropped.

    Args:
        left: shape (covariate, covariate, ...).
        right: shape (covariate, ...); the cells of both are broadcast.

    Returns:
        The solution, 0 where dropped, and which unknowns were kept.
    """
    size = len(right)
    cells = np.broadcast_shapes(left.shape[2:], right.shape[1:])
    left = np.broadcast_to(left, (size, size, *cells)).copy()
    right = np.broadcast_to(right, (size, *cells)).copy()
    own = [left[k, k].copy() for k in range(size)]
    used = np.zeros(right.shape, dtype=np.bool_)
    for k in range(size):
        pivot = left[k, k]
        used[k] = (pivot > _SINGULAR * own[k]) & np.isfinite(pivot)
        share = np.where(used[k], divide(left[k + 1 :, k], pivot), 0.0)
        left[k + 1 :] -= share[:, None] * left[k]
        right[k + 1 :] -= share * right[k]
    solution = np.zeros_like(right)
    for k in reversed(range(size)):
        rest = right[k] - (left[k, k + 1 :] * solution[k + 1 :]).sum(axis=0)
        solution[k] = np.where(used[k], divide(rest, left[k, k]), 0.0)
    return solution, used


def inverse(left: FloatArray) -> FloatArray:
    """Return the inverse over the unknowns that `solve` keeps, 0 for the others.

    Args:
        left: shape (covariate, covariate, ...).
    """
    size = len(left)
    if not size:
        return left.copy()
    units = np.eye(size).reshape(size, size, *(1 for _ in left.shape[2:]))
    return np.stack([solve(left, unit)[0] for unit in units])
