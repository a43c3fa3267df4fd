"""Intervals of one proportion, and an optional one of two.

References:
    Wilson (1927), "Probable inference, the law of succession, and statistical
    inference", JASA 22.
    Newcombe (1998), "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17, method 10.
"""

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    FloatArray,
    check_open,
    divide,
    normal_quantile,
    quiet,
)
from experiments.statistics.proportions.score import counts


@quiet
def wilson(
    events: ArrayLike, units: ArrayLike, *, alpha: ArrayLike = 0.05
) -> tuple[FloatArray, FloatArray]:
    """Return the Wilson interval (lower, upper) of one proportion; NaN without units.

    Args:
        events: units with the event.
        units: all units.
        alpha: two-sided error.

    Raises:
        StatisticsError: counts negative or above the units, or alpha out of (0, 1).
    """
    x, n, _, _ = counts(events, units, 0, 0)
    q = normal_quantile(check_open("alpha", alpha) / 2)
    centre = divide(x + q * q / 2, n + q * q)
    half = divide(q, n + q * q) * np.sqrt(divide(x * (n - x), n) + q * q / 4)
    lower = np.where(x == 0, 0.0, np.maximum(centre - half, 0.0))
    upper = np.where(x == n, 1.0, np.minimum(centre + half, 1.0))
    known = n > 0
    return np.where(known, lower, np.nan), np.where(known, upper, np.nan)


@quiet
def newcombe(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
) -> tuple[FloatArray, FloatArray]:
    """Return Newcombe's interval (lower, upper) of a difference, an option.

    It brings no p-value of its own and may disagree with the score test.

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        alpha: two-sided error.

    Raises:
        StatisticsError: counts negative or above the units, or alpha out of (0, 1).
    """
    x0, n0, x1, n1 = counts(control, control_units, treatment, treatment_units)
    low0, high0 = wilson(x0, n0, alpha=alpha)
    low1, high1 = wilson(x1, n1, alpha=alpha)
    p0, p1 = divide(x0, n0), divide(x1, n1)
    lower = p1 - p0 - np.hypot(p1 - low1, high0 - p0)
    upper = p1 - p0 + np.hypot(high1 - p1, p0 - low0)
    return lower, upper
