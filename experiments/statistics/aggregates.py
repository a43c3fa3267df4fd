"""Sufficient statistics: what the event log is reduced to before any test.

A value object holds centred moments of one metric over units (shoppers). Shards, days
and segments merge without loss, so a table of partial moments can be kept and added to.
Centred sums are used because raw sums of squares lose every digit of the variance when
the mean is large (mean 1e8, sd 1).

References:
    Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance",
    The American Statistician 37(3), equation 2.1 (pairwise update).
    Pebay (2008), "Formulas for robust, one-pass parallel computation of covariances and
    arbitrary-order statistical moments", SAND2008-6212, equations 2.1 to 3.14.
"""

from dataclasses import dataclass, fields
from types import EllipsisType
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.exact import central_cube, central_product
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    broadcast,
    divide,
    quiet,
)

Index: TypeAlias = (
    int | slice | EllipsisType | tuple[int | slice | EllipsisType | None, ...] | None
)
"""A NumPy index of whole axes, such as ``[..., 0]``."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Centred moments of one value over units; one shape, e.g. (metric, variant).

    Attributes:
        count: number of units; 0 where the cell is empty.
        mean: mean of the value; 0 where the cell is empty.
        m2: sum of squared deviations from the mean.
        m3: sum of cubed deviations; NaN where it was not collected.
    """

    count: FloatArray
    mean: FloatArray
    m2: FloatArray
    m3: FloatArray

    def __post_init__(self) -> None:
        """Broadcast the four arrays to one float64 shape."""
        arrays = broadcast(count=self.count, mean=self.mean, m2=self.m2, m3=self.m3)
        for field, array in zip(fields(self), arrays, strict=True):
            object.__setattr__(self, field.name, array)

    @classmethod
    @quiet
    def from_units(cls, values: ArrayLike, *, axis: int = -1) -> Self:
        """Reduce one value a unit along ``axis``; no unit at all gives count 0."""
        rows = np.moveaxis(as_floats("values", values), axis, -1)
        count = rows.shape[-1]
        if count == 0:
            zero = np.zeros(rows.shape[:-1])
            return cls(zero, zero, zero, zero)
        mean = rows.mean(axis=-1)
        deviation = rows - mean[..., None]
        # The second pass repairs the rounding of the mean itself.
        slip = deviation.mean(axis=-1)
        deviation = deviation - slip[..., None]
        square = deviation * deviation
        return cls(
            np.full(mean.shape, float(count)),
            mean + slip,
            square.sum(axis=-1),
            (square * deviation).sum(axis=-1),
        )

    @classmethod
    @quiet
    def from_power_sums(
        cls,
        count: ArrayLike,
        total: ArrayLike,
        squares: ArrayLike,
        cubes: ArrayLike | None = None,
        *,
        shift: float = 0.0,
        scale: float = 1.0,
    ) -> Self:
        """Build from sums of v, v^2 and v^3 over units; value = shift + v / scale.

        Integers, ``Decimal`` and ``Fraction`` are added exactly, whatever their size:
        store money as whole sub-units with ``scale`` (1 EUR = 10,000 units gives
        ``scale=1e4``). For floats choose ``shift`` near the mean, since sums of squares
        round before they arrive here.

        Args:
            count: units with the value; those without events count with v = 0.
            total: sums of v.
            squares: sums of v squared.
            cubes: sums of v cubed; without them no skewness is known.
            shift: constant taken from every value before it was summed.
            scale: number of v in one unit of the value.

        Raises:
            StatisticsError: shapes do not fit, or ``scale`` is not positive.
        """
        if not scale > 0:
            raise StatisticsError(f"scale must be > 0, got {scale!r}")
        n = as_floats("count", count)
        m2 = np.maximum(central_product(count, total, total, squares), 0.0) / scale**2
        m3 = (
            np.float64(np.nan)
            if cubes is None
            else (central_cube(count, total, squares, cubes) / scale**3)
        )
        mean = np.where(n > 0, shift + as_floats("total", total) / n / scale, 0.0)
        m3 = np.where(n > 0, m3, 0.0)
        return cls(n, mean, np.where(n > 0, m2, 0.0), m3)

    @property
    def variance(self) -> FloatArray:
        """Sample variance with n - 1; NaN below two units."""
        return divide(self.m2, np.where(self.count > 1, self.count - 1, np.nan))

    @property
    def standard_error2(self) -> FloatArray:
        """Squared standard error of the mean, s^2 / n; NaN below two units."""
        return divide(self.variance, self.count)

    @property
    @quiet
    def skewness(self) -> FloatArray:
        """Moment skewness sqrt(n) m3 / m2^(3/2); NaN where the value is constant."""
        return divide(np.sqrt(self.count) * self.m3, self.m2**1.5)

    def __getitem__(self, index: Index) -> Self:
        """Select cells, e.g. ``moments[..., 0]`` for the first variant."""
        return type(self)(
            self.count[index], self.mean[index], self.m2[index], self.m3[index]
        )

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of units together."""
        return merge(self, other)


@quiet
def merge(a: Moments, b: Moments) -> Moments:
    """Return the moments of two disjoint sets of units together (Chan's update)."""
    n = a.count + b.count
    share = np.where(n > 0, divide(b.count, n), 0.0)
    delta = b.mean - a.mean
    spread = delta * a.count * share
    m2 = a.m2 + b.m2 + delta * spread
    m3 = (
        a.m3
        + b.m3
        + delta * delta * spread * (1 - 2 * share)
        + 3 * delta * ((1 - share) * b.m2 - share * a.m2)
    )
    mean = np.where(a.count > 0, a.mean + delta * share, b.mean)
    return Moments(n, mean, m2, m3)


@dataclass(frozen=True, slots=True)
class JointMoments:
    """Centred moments of several columns over the same units.

    Attributes:
        count: number of units, shape (...).
        mean: means, shape (..., column).
        m2: sums of products of deviations, shape (..., column, column).
    """

    count: FloatArray
    mean: FloatArray
    m2: FloatArray

    def __post_init__(self) -> None:
        """Check that the shapes agree."""
        count, mean = as_floats("count", self.count), as_floats("mean", self.mean)
        m2 = as_floats("m2", self.m2)
        wanted = (*count.shape, mean.shape[-1] if mean.ndim else 0)
        if mean.shape != wanted or m2.shape != (*wanted, wanted[-1]):
            raise StatisticsError(
                f"mean must have shape {wanted} and m2 {(*wanted, wanted[-1])}, "
                f"got {mean.shape} and {m2.shape}"
            )
        for name, array in (("count", count), ("mean", mean), ("m2", m2)):
            object.__setattr__(self, name, array)

    @classmethod
    @quiet
    def from_units(cls, rows: ArrayLike) -> Self:
        """Reduce rows of shape (..., unit, column)."""
        table = as_floats("rows", rows)
        *lead, units, columns = table.shape
        if units == 0:
            return cls(
                np.zeros(lead),
                np.zeros((*lead, columns)),
                np.zeros((*lead, columns, columns)),
            )
        mean = table.mean(axis=-2)
        centred = table - mean[..., None, :]
        slip = centred.mean(axis=-2)
        centred = centred - slip[..., None, :]
        m2 = np.swapaxes(centred, -1, -2) @ centred
        return cls(np.full(lead, float(units)), mean + slip, m2)

    @classmethod
    @quiet
    def from_power_sums(
        cls, count: ArrayLike, total: ArrayLike, products: ArrayLike
    ) -> Self:
        """Build from sums of each column and of each product of two columns.

        Args:
            count: units, shape (...).
            total: sums, shape (..., column).
            products: sums of products, shape (..., column, column). Whole numbers are
                added exactly.
        """
        n = np.asarray(count)
        sums = np.asarray(total)
        m2 = central_product(
            n[..., None, None], sums[..., :, None], sums[..., None, :], products
        )
        floats = as_floats("count", n)
        mean = divide(as_floats("total", sums), floats[..., None])
        return cls(floats, np.where(floats[..., None] > 0, mean, 0.0), m2)

    def __getitem__(self, index: Index) -> Self:
        """Select cells (not columns), e.g. ``joint[..., 0]`` for the first variant."""
        key = index if isinstance(index, tuple) else (index,)
        if Ellipsis not in key:
            key = (*key, Ellipsis)
        return type(self)(
            self.count[index],
            self.mean[(*key, slice(None))],
            self.m2[(*key, slice(None), slice(None))],
        )

    @quiet
    def merge(self, other: "JointMoments") -> "JointMoments":
        """Return the moments of both sets of units together (Chan's update)."""
        n = self.count + other.count
        share = np.where(n > 0, divide(other.count, n), 0.0)
        delta = other.mean - self.mean
        outer = delta[..., :, None] * delta[..., None, :]
        m2 = self.m2 + other.m2 + (self.count * share)[..., None, None] * outer
        first = (self.count > 0)[..., None]
        mean = np.where(first, self.mean + delta * share[..., None], other.mean)
        return JointMoments(n, mean, m2)

    def column(self, index: int) -> Moments:
        """Return the moments of one column; its third moment is not known."""
        return Moments(
            self.count,
            self.mean[..., index],
            self.m2[..., index, index],
            np.full(self.count.shape, np.nan),
        )


@dataclass(frozen=True, slots=True)
class CrossMoments:
    """Centred moments of two columns y and x over the same units; one shape.

    The two-column case of `JointMoments`, by name: for a ratio metric y is the
    numerator and x the denominator; for covariate adjustment y is the metric and x the
    covariate.

    Attributes:
        count: number of units.
        mean_y: mean of y.
        mean_x: mean of x.
        m2_y: sum of squared deviations of y.
        m2_x: sum of squared deviations of x.
        cxy: sum of products of the deviations of y and x.
    """

    count: FloatArray
    mean_y: FloatArray
    mean_x: FloatArray
    m2_y: FloatArray
    m2_x: FloatArray
    cxy: FloatArray

    def __post_init__(self) -> None:
        """Broadcast the arrays to one float64 shape."""
        names = [field.name for field in fields(self)]
        arrays = broadcast(**{name: getattr(self, name) for name in names})
        for name, array in zip(names, arrays, strict=True):
            object.__setattr__(self, name, array)

    @classmethod
    def from_units(cls, y: ArrayLike, x: ArrayLike) -> Self:
        """Reduce one pair a unit along the last axis."""
        rows_y, rows_x = broadcast(y=y, x=x)
        return cls.from_joint(JointMoments.from_units(np.stack([rows_y, rows_x], -1)))

    @classmethod
    @quiet
    def from_power_sums(
        cls,
        count: ArrayLike,
        total_y: ArrayLike,
        total_x: ArrayLike,
        squares_y: ArrayLike,
        squares_x: ArrayLike,
        products: ArrayLike,
    ) -> Self:
        """Build from sums over units; whole numbers are added exactly."""
        total = np.stack([np.asarray(total_y), np.asarray(total_x)], -1)
        top = np.stack([np.asarray(squares_y), np.asarray(products)], -1)
        bottom = np.stack([np.asarray(products), np.asarray(squares_x)], -1)
        return cls.from_joint(
            JointMoments.from_power_sums(count, total, np.stack([top, bottom], -2))
        )

    @classmethod
    def from_joint(cls, joint: JointMoments, y: int = 0, x: int = 1) -> Self:
        """Take two columns out of a joint table."""
        return cls(
            joint.count,
            joint.mean[..., y],
            joint.mean[..., x],
            joint.m2[..., y, y],
            joint.m2[..., x, x],
            joint.m2[..., y, x],
        )

    def joint(self) -> JointMoments:
        """Return the same moments as a table with columns (y, x)."""
        top = np.stack([self.m2_y, self.cxy], -1)
        bottom = np.stack([self.cxy, self.m2_x], -1)
        return JointMoments(
            self.count,
            np.stack([self.mean_y, self.mean_x], -1),
            np.stack([top, bottom], -2),
        )

    def merge(self, other: "CrossMoments") -> "CrossMoments":
        """Return the moments of both sets of units together."""
        return CrossMoments.from_joint(self.joint().merge(other.joint()))

    def __getitem__(self, index: Index) -> Self:
        """Select cells, e.g. ``cross[..., 0]`` for the first variant."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))
