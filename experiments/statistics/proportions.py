"""Proportions: score interval and the p-value of the same score statistic.

The score statistic of Miettinen and Nurminen tests any difference or any ratio of two
proportions with the variance estimated under that hypothesis. Inverted it gives the
interval; at no effect the difference form and the ratio form are one number, so the
absolute interval, the relative interval and the p-value never contradict.

References:
    Miettinen and Nurminen (1985), "Comparative analysis of two rates", Statistics in
    Medicine 4, equations 8, 9 (difference), 10 (ratio) and appendix.
    Wilson (1927), JASA 22; Newcombe (1998), "Interval estimation for the difference
    between independent proportions", Statistics in Medicine 17, method 10.
"""

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.comparison import (
    Comparison,
    Level,
    Quantile,
    Scale,
    Status,
    statuses,
)
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    bisect,
    broadcast,
    check_at_least,
    check_open,
    divide,
    first,
    normal_quantile,
    normal_tail,
    quiet,
)

FEWEST_EVENTS = 5


@quiet
def difference(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two proportions by their difference (0.01 is one percentage point).

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: counts negative or above the units, or alpha out of (0, 1).
    """
    x0, n0, x1, n1 = counts(control, control_units, treatment, treatment_units)
    level = Level.resolve(alpha, quantile)
    q = normal_quantile(level.nominal / 2)
    p0, p1 = divide(x0, n0), divide(x1, n1)
    estimate = p1 - p0

    def score(delta: FloatArray) -> FloatArray:
        return difference_score(x0, n0, x1, n1, delta)

    start = np.where(np.isnan(estimate), 0.0, estimate)
    lower = bisect(lambda at: score(at) - q, np.full_like(start, -1.0), start)
    upper = bisect(lambda at: score(at) + q, start, np.full_like(start, 1.0))
    error = np.sqrt(divide(p0 * (1 - p0), n0) + divide(p1 * (1 - p1), n1))
    return _comparison(
        level, (x0, n0, x1, n1), estimate, error, lower, upper, scale="absolute"
    )


@quiet
def relative_difference(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two proportions by their ratio minus one (0.05 is +5 %).

    With no event in the control the upper end is infinite and the status unbounded.

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: counts negative or above the units, or alpha out of (0, 1).
    """
    x0, n0, x1, n1 = counts(control, control_units, treatment, treatment_units)
    level = Level.resolve(alpha, quantile)
    q = normal_quantile(level.nominal / 2)
    p0, p1 = divide(x0, n0), divide(x1, n1)
    ratio = divide(p1, p0)

    # Ratios run over (0, inf): search u = ratio / (1 + ratio) instead.
    def score(u: FloatArray) -> FloatArray:
        return ratio_score(x0, n0, x1, n1, u / np.maximum(1 - u, 1e-300))

    start = np.where(p1 + p0 > 0, divide(p1, p1 + p0), 0.5)
    start = np.where(np.isnan(start), 0.5, start)
    least = bisect(lambda at: score(at) - q, np.zeros_like(start), start)
    most = bisect(lambda at: score(at) + q, start, np.ones_like(start))
    never = np.asarray(x0 == 0)
    lower = np.where(x1 == 0, 0.0, divide(least, 1 - least)) - 1
    upper = np.where(never, np.inf, divide(most, 1 - most)) - 1
    lower = np.where(never & (x1 == 0), -1.0, lower)
    error = ratio * np.sqrt(divide(1 - p0, x0) + divide(1 - p1, x1))
    return _comparison(
        level, (x0, n0, x1, n1), ratio - 1, error, lower, upper, scale="relative"
    )


@quiet
def difference_score(
    x0: FloatArray, n0: FloatArray, x1: FloatArray, n1: FloatArray, delta: ArrayLike
) -> FloatArray:
    """Return the score statistic of "p1 - p0 = delta"; it falls as delta rises.

    Args:
        x0: control units with the event.
        n0: all control units.
        x1: treatment units with the event.
        n1: all treatment units.
        delta: tested difference in [-1, 1].
    """
    # Rare is exact, common is not: count what happens to the fewer.
    flip = x0 + x1 > (n0 + n1) / 2
    sign = np.where(flip, -1.0, 1.0)
    a, b = np.where(flip, n0 - x0, x0), np.where(flip, n1 - x1, x1)
    d = sign * np.asarray(delta, dtype=np.float64)
    p0 = _restricted(a, n0, b, n1, d)
    p1 = np.clip(p0 + d, 0.0, 1.0)
    gap = divide(b, n1) - divide(a, n0) - d
    variance = divide(p0 * (1 - p0), n0) + divide(p1 * (1 - p1), n1)
    return sign * _standardised(gap, variance, n0 + n1)


def _restricted(
    x0: FloatArray, n0: FloatArray, x1: FloatArray, n1: FloatArray, d: FloatArray
) -> FloatArray:
    """Return the likeliest p0 given p1 = p0 + d: a root of a cubic (appendix I)."""
    n = n0 + n1
    a2 = (n1 + 2 * n0) * d - n - (x0 + x1)
    a1 = (n0 * d - n - 2 * x0) * d + x0 + x1
    a0 = x0 * d * (1 - d)
    shift = divide(a2, 3 * n)
    v = shift**3 - divide(a1 * a2, 6 * n * n) + divide(a0, 2 * n)
    root = np.sqrt(np.maximum(shift**2 - divide(a1, 3 * n), 0.0))
    u = np.where(v >= 0, root, -root)
    cosine = np.clip(divide(v, u**3), -1.0, 1.0)
    angle = np.where(u == 0, 0.0, (np.pi + np.arccos(np.nan_to_num(cosine))) / 3)
    p0 = 2 * u * np.cos(angle) - shift
    # The closed form loses digits of a rare p0; Newton steps bring them back.
    for _ in range(3):
        value = a0 + p0 * (a1 + p0 * (a2 + p0 * n))
        step = divide(value, a1 + p0 * (2 * a2 + 3 * n * p0))
        p0 = np.where(np.abs(step) < 1e-6, p0 - step, p0)
    p0 = np.where(d == 0, divide(x0 + x1, n), p0)
    return np.clip(p0, np.maximum(-d, 0.0), np.minimum(1 - d, 1.0))


@quiet
def ratio_score(
    x0: FloatArray, n0: FloatArray, x1: FloatArray, n1: FloatArray, ratio: ArrayLike
) -> FloatArray:
    """Return the score statistic of "p1 / p0 = ratio"; it falls as the ratio rises.

    Args:
        x0: control units with the event.
        n0: all control units.
        x1: treatment units with the event.
        n1: all treatment units.
        ratio: tested ratio, >= 0.
    """
    r = np.asarray(ratio, dtype=np.float64)
    n = n0 + n1
    # Smaller root of a p0^2 + b p0 + c = 0, in the form without cancellation.
    a, b, c = n * r, -(n1 * r + x1 + n0 + x0 * r), x0 + x1
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
    p0 = np.clip(divide(2 * c, root - b), 0.0, 1.0)
    p1 = np.clip(p0 * r, 0.0, 1.0)
    variance = divide(p1 * (1 - p1), n1) + r * r * divide(p0 * (1 - p0), n0)
    return _standardised(divide(x1, n1) - r * divide(x0, n0), variance, n)


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


def counts(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the four counts as float64 arrays of one shape.

    Raises:
        StatisticsError: a count is negative or above its units.
    """
    x0, n0, x1, n1 = broadcast(
        control=check_at_least("control", control, 0),
        control_units=check_at_least("control_units", control_units, 0),
        treatment=check_at_least("treatment", treatment, 0),
        treatment_units=check_at_least("treatment_units", treatment_units, 0),
    )
    for name, x, n in (("control", x0, n0), ("treatment", x1, n1)):
        over = np.asarray(x > n)
        if over.any():
            raise StatisticsError(
                f"{name} must be <= {name}_units ({first(n, over):g}), "
                f"got {first(x, over):g}"
            )
    return x0, n0, x1, n1


def _standardised(gap: FloatArray, variance: FloatArray, n: FloatArray) -> FloatArray:
    """Return gap over its standard error with the factor N / (N - 1)."""
    error = np.sqrt(variance * divide(n, n - 1))
    flat = np.where(gap == 0, 0.0, np.copysign(np.inf, gap))
    return np.where(error > 0, divide(gap, error), flat)


def few_events(
    x0: FloatArray, n0: FloatArray, x1: FloatArray, n1: FloatArray
) -> BoolArray:
    """Where a cell of the two-by-two table is too small for a normal approximation."""
    smallest = np.minimum(np.minimum(x0, n0 - x0), np.minimum(x1, n1 - x1))
    return np.asarray(smallest < FEWEST_EVENTS)


def _comparison(
    level: Level,
    table: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    estimate: FloatArray,
    error: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    *,
    scale: Scale,
) -> Comparison:
    x0, n0, _, n1 = table
    empty = np.asarray((n0 < 1) | (n1 < 1) | (n0 + n1 < 2))
    p_value = 2 * normal_tail(np.abs(difference_score(*table, np.zeros_like(x0))))
    p_value = np.where(empty, np.nan, np.minimum(p_value, 1.0))
    unbounded = np.asarray((x0 == 0) & (scale == "relative"))
    return Comparison(
        estimate=np.where(empty, np.nan, estimate),
        standard_error=error,
        lower=np.where(empty, np.nan, lower),
        upper=np.where(empty, np.nan, upper),
        p_value=level.p_of(p_value),
        degrees_of_freedom=np.where(empty, np.nan, np.inf),
        status=statuses(
            estimate.shape,
            (empty, Status.NOT_ENOUGH_DATA),
            (unbounded, Status.UNBOUNDED),
            (few_events(*table), Status.SKEW_WARNING),
        ),
        method="Miettinen-Nurminen score" + level.label,
        scale=scale,
        alpha=level.alpha,
    )
