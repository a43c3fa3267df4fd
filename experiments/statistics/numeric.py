"""Numbers shared by every method: argument checks, tails and quantiles.

Data problems (an empty arm, a constant metric) become a status of one cell and never an
exception; only a wrong *argument* raises, naming the argument, its value and the bound.

References:
    Student's t and the normal distribution through ``scipy.special`` (Boost and Cephes
    routines, accurate in the far tail): NIST Digital Library of Mathematical Functions,
    7.2 and 8.17.
    Abramowitz and Stegun (1964), "Handbook of Mathematical Functions", 26.7.5
    (quantiles of Student's t around those of the normal).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]


_MANY_DF = 1_000

quiet = np.errstate(all="ignore")
"""Decorator: odd data turn into NaN, and NaN into a status, without a warning."""


class StatisticsError(ValueError):
    """A wrong argument: the message names the argument, its value and the bound."""


def as_floats(name: str, value: ArrayLike) -> FloatArray:
    """Return ``value`` as float64 of its own shape.

    Raises:
        StatisticsError: ``value`` does not hold numbers.
    """
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"{name} must hold numbers, got {value!r}") from error


def check_open(
    name: str, value: ArrayLike, low: float = 0.0, high: float = 1.0
) -> FloatArray:
    """Return ``value`` when every element lies strictly between the bounds.

    Raises:
        StatisticsError: an element is not in (low, high).
    """
    array = as_floats(name, value)
    inside = (array > low) & (array < high)
    if not inside.all():
        raise StatisticsError(
            f"{name} must lie in ({low:g}, {high:g}), got {first(array, ~inside):g}"
        )
    return array


def check_at_least(name: str, value: ArrayLike, low: float) -> FloatArray:
    """Return ``value`` when every element is finite and at least ``low``.

    Raises:
        StatisticsError: an element is smaller, infinite or not a number.
    """
    array = as_floats(name, value)
    inside = (array >= low) & np.isfinite(array)
    if not inside.all():
        raise StatisticsError(
            f"{name} must be finite and >= {low:g}, got {first(array, ~inside):g}"
        )
    return array


def first(array: FloatArray, chosen: BoolArray) -> float:
    """Return the first element of ``array`` where ``chosen``, for a message."""
    return float(array[chosen].flat[0]) if array.ndim else float(array)


def broadcast(**arrays: ArrayLike) -> tuple[FloatArray, ...]:
    """Return the arrays as float64, broadcast to one shape.

    Raises:
        StatisticsError: the shapes do not fit together.
    """
    floats = {name: as_floats(name, value) for name, value in arrays.items()}
    try:
        return tuple(np.broadcast_arrays(*floats.values()))
    except ValueError as error:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in floats.items())
        raise StatisticsError(f"shapes do not fit together: {shapes}") from error


def divide(top: ArrayLike, bottom: ArrayLike) -> FloatArray:
    """Return top / bottom, NaN where the bottom is 0, without a warning."""
    top, bottom = broadcast(top=top, bottom=bottom)
    safe = np.where(bottom == 0, np.nan, bottom)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(top / safe)


def normal_tail(z: ArrayLike) -> FloatArray:
    """Return P(Z > z) for a standard normal Z, accurate to 1e-300."""
    return np.asarray(scipy.special.ndtr(-np.asarray(z, dtype=np.float64)))


def normal_quantile(tail: ArrayLike) -> FloatArray:
    """Return the z that a standard normal exceeds with probability ``tail``."""
    return np.asarray(-scipy.special.ndtri(np.asarray(tail, dtype=np.float64)))


def student_tail(t: ArrayLike, df: ArrayLike) -> FloatArray:
    """Return P(T > t) for Student's t with ``df`` degrees of freedom."""
    t, df = broadcast(t=t, df=df)
    return np.asarray(scipy.special.stdtr(df, -t))


@quiet
def student_quantile(tail: ArrayLike, df: ArrayLike) -> FloatArray:
    """Return the t that Student's t exceeds with probability ``tail``.

    With many degrees of freedom a series around the normal quantile z is used, which is
    ten times as quick; its first dropped term is below 1e-15 of t where it is used.
    """
    z = normal_quantile(as_floats("tail", tail))
    tail, df, z = broadcast(tail=tail, df=df, z=z)
    y, r = z * z, 1 / df
    fourth = (((79 * y + 776) * y + 1482) * y - 1920) * y - 945
    third = ((3 * y + 19) * y + 17) * y - 15
    second = (5 * y + 16) * y + 3
    series = second / 96 + r * (third / 384 + r * fourth / 92160)
    result = np.asarray(z * (1 + r * ((y + 1) / 4 + r * series)))
    few = ~(df >= np.maximum(_MANY_DF, 250 * y))
    if few.any():
        result[few] = -scipy.special.stdtrit(df[few], tail[few])
    return np.where(np.isinf(z) & (df > 0), z, result)


def bisect(
    sign: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    *,
    steps: int = 60,
) -> FloatArray:
    """Return the root between ``low`` and ``high`` of a falling function, by halving.

    Halving is chosen over faster methods because score statistics have kinks and flat
    ends; it cannot leave the bracket. 60 steps shrink it by 1e-18.

    Args:
        sign: elementwise function, positive left of the root, else negative.
        low: left ends of the brackets.
        high: right ends of the brackets.
        steps: number of halvings.
    """
    low, high = low.copy(), high.copy()
    for _ in range(steps):
        middle = 0.5 * (low + high)
        left = sign(middle) > 0
        low = np.where(left, middle, low)
        high = np.where(left, high, middle)
    return 0.5 * (low + high)


def rising_root(
    function: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    *,
    halvings: int = 30,
) -> FloatArray:
    """Return where a smooth function crosses zero upwards: halving, then chords.

    Each of the four chords adds as many digits as the halvings found.

    Args:
        function: elementwise, negative left of the root, else positive.
        low: left ends of the brackets.
        high: right ends of the brackets.
        halvings: how often to halve first.
    """
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        right = function(middle) > 0
        low, high = np.where(right, low, middle), np.where(right, middle, high)
    at_low, at_high, point = function(low), function(high), low
    for _ in range(4):
        share = np.nan_to_num(at_low / (at_low - at_high), nan=0.5)
        point = low + np.clip(share, 0.0, 1.0) * (high - low)
        at = function(point)
        right = at > 0
        low, at_low = np.where(right, low, point), np.where(right, at_low, at)
        high, at_high = np.where(right, point, high), np.where(right, at, at_high)
    return point
