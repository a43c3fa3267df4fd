"""Sums of rows by the unit they belong to: users, clusters, blocks of time.

References:
    Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance", The
    American Statistician 37(3) (what is summed by unit merges without loss).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.numeric import FloatArray, StatisticsError

IntArray = NDArray[np.int64]


def group_sums(rows: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Return sums along the last axis by group.

    Args:
        rows: shape (..., row).
        group: number of each row's group, 0 to groups - 1, shape (row,).
        groups: how many there are; those without rows sum to 0.

    Returns:
        Shape (..., group).
    """
    total = np.zeros((groups, *rows.shape[:-1]))
    np.add.at(total, group, np.moveaxis(rows, -1, 0))
    return np.moveaxis(total, 0, -1)


def numbered(name: str, ids: ArrayLike, rows: int) -> tuple[IntArray, int]:
    """Return the number of each row's group, in the order of the ids, and how many.

    Args:
        name: of the argument, for the message.
        ids: numbers or text, shape (row,).
        rows: rows expected.

    Raises:
        StatisticsError: not one id a row.
    """
    keys = np.asarray(ids)
    if keys.shape != (rows,):
        raise StatisticsError(f"{name} must have shape ({rows},), got {keys.shape}")
    known, place = np.unique(keys, return_inverse=True)
    return place.astype(np.int64), known.size
