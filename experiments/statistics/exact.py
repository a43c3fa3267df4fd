"""Central sums from power sums, without rounding where the sums are whole numbers.

A database adds integers exactly; subtracting two such sums in floating point would
throw the variance away when the mean is large. Integers, decimals and fractions are
therefore multiplied and subtracted as Python numbers and rounded once, at the end.

References:
    Knuth, "The Art of Computer Programming" vol. 2, 4.2.2 (cancellation in sums of
    squares); the identity n * sum (v - mean)^2 = n * sum v^2 - (sum v)^2.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.numeric import FloatArray, StatisticsError


def central_product(
    count: ArrayLike, total_a: ArrayLike, total_b: ArrayLike, products: ArrayLike
) -> FloatArray:
    """Return sum (a - mean a)(b - mean b) from n, sum a, sum b and sum a*b."""
    exact = _exact(count, total_a, total_b, products)
    if exact is None:
        n, a, b, ab = _floats(count, total_a, total_b, products)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(n > 0, ab - a * b / n, 0.0)
    n_, a_, b_, ab_ = exact
    return _ratio(n_ * ab_ - a_ * b_, n_)


def central_cube(
    count: ArrayLike, total: ArrayLike, squares: ArrayLike, cubes: ArrayLike
) -> FloatArray:
    """Return sum (a - mean a)^3 from n and the first three power sums."""
    exact = _exact(count, total, squares, cubes)
    if exact is None:
        n, s1, s2, s3 = _floats(count, total, squares, cubes)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = s1 / n
            return np.where(n > 0, s3 - 3 * mean * s2 + 2 * mean * mean * s1, 0.0)
    n_, a_, b_, c_ = exact
    return _ratio(n_ * n_ * c_ - 3 * n_ * a_ * b_ + 2 * a_ * a_ * a_, n_ * n_)


def _exact(*sums: ArrayLike) -> list[NDArray[np.object_]] | None:
    """Return the sums as arrays of Python numbers, None when any of them is a float."""
    arrays = [np.asarray(value) for value in sums]
    try:
        np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError as error:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise StatisticsError(f"shapes of the sums do not fit: {shapes}") from error
    for array in arrays:
        if array.dtype.kind not in "iubO":
            return None
        if array.dtype.kind == "O" and not all(
            isinstance(item, int | Decimal | Fraction) for item in array.flat
        ):
            return None
    return list(np.broadcast_arrays(*[_as_python(array) for array in arrays]))


def _as_python(array: NDArray[Any]) -> NDArray[np.object_]:
    """Return Python integers and fractions; a Decimal would round at 28 digits."""
    if array.dtype.kind != "O":
        return array.astype(object)
    items = [
        Fraction(item) if isinstance(item, Decimal) else item for item in array.flat
    ]
    result = np.empty(len(items), dtype=object)
    result[:] = items
    return result.reshape(array.shape)


def _ratio(
    numerator: NDArray[np.object_], denominator: NDArray[np.object_]
) -> FloatArray:
    """Divide Python numbers, rounding once; 0 where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator), np.asarray(denominator))
    values = [
        float(Fraction(a) / Fraction(b)) if b else 0.0
        for a, b in zip(top.flat, bottom.flat, strict=True)
    ]
    return np.array(values, dtype=np.float64).reshape(top.shape)


def _floats(*sums: ArrayLike) -> list[FloatArray]:
    try:
        return [np.asarray(value, dtype=np.float64) for value in sums]
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"sums must hold numbers, got {sums!r}") from error
