"""The score statistic of two proportions, for any difference and any ratio.

References:
    Miettinen and Nurminen (1985), "Comparative analysis of two rates", Statistics in
    Medicine 4, equations 8, 9 (difference), 10 (ratio) and appendix.
"""

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    broadcast,
    check_at_least,
    divide,
    first,
    quiet,
    rising_root,
)


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
    # The closed form loses the digits of a rare p0: there the cube is nothing, and
    # the quadratic's larger root is a better start. Newton steps do the rest.
    far = np.sqrt(np.maximum(a1 * a1 - 4 * a2 * a0, 0.0))
    start = np.where(a1 > 0, divide(a1 + far, -2 * a2), divide(2 * a0, far - a1))
    p0 = np.where((np.abs(d) < 1e-5) & (start < 1e-5), start, p0)
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
    n, y0, y1 = n0 + n1, n0 - x0, n1 - x1
    # Two forms of one quadratic, for p0 and for 1 - p0: the rarer of the two keeps its
    # digits, also where the roots meet.
    a, b, c = n * r, -(n1 * r + x1 + n0 + x0 * r), x0 + x1
    p0 = np.clip(divide(2 * c, _root(b, a, c) - b), 0.0, 1.0)
    b, c = (r - 1) * (n + y0) + (y0 + y1), y0 * (r - 1)
    root = _root(b, a, c)
    q0 = np.where(b > 0, divide(b + root, 2 * a), divide(2 * c, b - root))
    common = y0 + y1 < x0 + x1
    q0 = np.where(common, np.clip(np.nan_to_num(q0), 0.0, 1.0), 1 - p0)
    p0 = np.where(common, 1 - q0, p0)
    p1, q1 = np.clip(p0 * r, 0.0, 1.0), np.clip((1 - r) + r * q0, 0.0, 1.0)
    variance = divide(p1 * q1, n1) + r * r * divide(p0 * q0, n0)
    rare = divide(x1, n1) - r * divide(x0, n0)
    gap = np.where(common, (1 - r) - divide(y1, n1) + r * divide(y0, n0), rare)
    return _standardised(gap, variance, n)


def _root(b: FloatArray, a: FloatArray, c: FloatArray) -> FloatArray:
    return np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))


@quiet
def lowest_difference(
    x0: FloatArray, n0: FloatArray, x1: FloatArray, n1: FloatArray, q: FloatArray
) -> FloatArray:
    """Return the difference below the estimate whose score is ``q``.

    At that bound the likelihood equation and the score fix everything but the
    restricted rate of one arm, so that rate is searched, without a cubic.

    Args:
        x0: control units with the event.
        n0: all control units.
        x1: treatment units with the event.
        n1: all treatment units.
        q: critical value, > 0.
    """
    # The same bound in terms of non-events swaps the arms: search the noisier one.
    t2 = q * q * (n0 + n1) / (n0 + n1 - 1)
    turn = _reach(x0, n0, t2) < _reach(n1 - x1, n1, t2)
    events, units = np.where(turn, n1 - x1, x0), np.where(turn, n1, n0)
    others, rest = np.where(turn, n0 - x0, x1), np.where(turn, n0, n1)
    rate, partner, width = events / units, others / rest, _reach(events, units, t2)

    def at(share: FloatArray) -> tuple[FloatArray, FloatArray]:
        gap = share * width
        variance = (rate + gap) * (1 - rate - gap) / units
        surplus = t2 * variance / gap**2 - 1
        return partner - gap * surplus, variance * surplus

    def excess(share: FloatArray) -> FloatArray:
        second, variance = at(share)
        return second * (1 - second) / rest - variance

    share = rising_root(excess, np.zeros_like(width), np.ones_like(width))
    second = np.clip(at(share)[0], 0.0, 1.0)
    return np.where(width > 0, second - rate - share * width, partner - rate)


@quiet
def lowest_ratio(
    x0: FloatArray, n0: FloatArray, x1: FloatArray, n1: FloatArray, q: FloatArray
) -> FloatArray:
    """Return the ratio below the estimate whose score is ``q``; 0 without events.

    Args:
        x0: control units with the event.
        n0: all control units.
        x1: treatment units with the event.
        n1: all treatment units.
        q: critical value, > 0.
    """
    t2 = q * q * (n0 + n1) / (n0 + n1 - 1)
    rate, other, width = x0 / n0, x1 / n1, _reach(x0, n0, t2)

    def at(share: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        gap = share * width
        base = rate + gap
        variance = base * (1 - base) / n0
        surplus = t2 * variance / gap**2 - 1
        return other / (base + gap * surplus), base, variance * surplus

    def excess(share: FloatArray) -> FloatArray:
        ratio, base, variance = at(share)
        return base * (1 - ratio * base) / n1 - ratio * variance

    share = rising_root(excess, np.zeros_like(width), np.ones_like(width))
    certain = other - _reach(n1 - x1, n1, t2)
    ratio = np.where(x0 == n0, certain, at(share)[0])
    return np.where(x1 == 0, 0.0, ratio)


def _reach(x: FloatArray, n: FloatArray, t2: FloatArray) -> FloatArray:
    """Return how far Wilson's upper bound at t^2 lies above the rate."""
    rate = x / n
    up = t2 / 2 * (1 - 2 * rate) + np.sqrt(t2 * (n * rate * (1 - rate) + t2 / 4))
    return np.where(x == n, 0.0, up / (n + t2))


def _standardised(gap: FloatArray, variance: FloatArray, n: FloatArray) -> FloatArray:
    """Return gap over its standard error with the factor N / (N - 1)."""
    error = np.sqrt(variance * divide(n, n - 1))
    flat = np.where(gap == 0, 0.0, np.copysign(np.inf, gap))
    return np.where(error > 0, divide(gap, error), flat)
