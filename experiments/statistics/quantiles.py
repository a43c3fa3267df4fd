"""Quantiles, such as the 90th percentile of response time: difference and lift.

Rows (orders, page loads) of one shopper resemble each other, so the noise of a quantile
is measured between shoppers: how much the share of rows below it varies, carried to the
metric's scale by the order statistics around it. The 95 % window of that share is used
whatever alpha is, so one set of numbers serves every level and every look. On metrics
of few values (counts, prices with a common one) a quantile has no such error; the cell
is marked `discrete`, and a comparison of means or shares is the remedy.

A SQL engine fills `QuantileStatistics` in two passes over one variant::

    -- 1: the quantile q, and the ends of a window of r = 1.96 sqrt(l (1 - l) / rows)
    select quantile_cont(value, [l, l - r, l + r]) from rows
    -- 2: what each unit has below q, then count, sums, squares and product over units
    select count(*) as x, count(*) filter (value <= q) as y from rows group by unit

where ``reach = r``; a third pass with the ``reach`` of `window` sharpens the density
when rows are strongly clustered. Ends interpolate between rows (``quantile_cont``):
rounding outwards, as often advised, lets the error rate fall to 1 % with 100 units.

References:
    Deng, Knoblich, Lu (2018), "Applying the delta method in metric analytics: a
    practical guide with novel ideas", KDD, section 4.2 (outer confidence interval).
    Bahadur (1966), "A note on quantiles in large samples", Annals of Mathematical
    Statistics 37(3).
"""

from dataclasses import dataclass, fields, replace
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.comparison import (
    Comparison,
    Quantile,
    Status,
    StatusArray,
    statuses,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    as_floats,
    broadcast,
    check_open,
    divide,
    quiet,
)
from experiments.statistics.ratios import linearised as linearised_ratio
from experiments.statistics.relative import fieller

WINDOW = NormalDist().inv_cdf(0.975)
"""Half-width, in standard errors, of the window that measures the density."""

_ORDER = ("value", "lower", "upper", "level", "reach")


@dataclass(frozen=True, slots=True)
class QuantileStatistics:
    """One quantile of one variant, reduced; one shape, e.g. (metric, segment).

    Attributes:
        value: the sample quantile, in the metric's unit.
        lower: the sample quantile at ``level - reach``.
        upper: the sample quantile at ``level + reach``.
        level: which quantile, in (0, 1); 0.9 is the 90th percentile.
        reach: half-width of the window, in share of rows.
        indicators: moments over units of y = rows at or below ``value`` and x = rows.
    """

    value: FloatArray
    lower: FloatArray
    upper: FloatArray
    level: FloatArray
    reach: FloatArray
    indicators: CrossMoments

    def __post_init__(self) -> None:
        """Check the level and give every array the cells' shape."""
        check_open("level", self.level)
        arrays = broadcast(
            **{name: getattr(self, name) for name in _ORDER},
            count=self.indicators.count,
        )
        for name, array in zip(_ORDER, arrays[:-1], strict=True):
            object.__setattr__(self, name, array)
        spread = (
            np.broadcast_to(getattr(self.indicators, field.name), arrays[0].shape)
            for field in fields(CrossMoments)
        )
        object.__setattr__(self, "indicators", CrossMoments(*spread))

    @classmethod
    @quiet
    def from_units(
        cls, values: ArrayLike, units: ArrayLike | None = None, *, level: float
    ) -> Self:
        """Reduce the rows of one variant along the last axis.

        Args:
            values: one number a row, shape (..., row).
            units: whose row it is, shape (row,), any labels; None when every row is a
                unit of its own.
            level: which quantile, in (0, 1).

        Raises:
            StatisticsError: level out of (0, 1), or as many labels as rows are not
                given.
        """
        check_open("level", level)
        rows = as_floats("values", values)
        if rows.ndim == 0:
            raise StatisticsError("values must have an axis of rows, got one number")
        order = np.sort(rows, axis=-1)
        value = _interpolated(order, np.full(rows.shape[:-1], level))
        indicators = _indicators(rows <= value[..., None], units)
        reach = window(indicators)
        return cls(
            value,
            _interpolated(order, level - reach),
            _interpolated(order, level + reach),
            np.full(value.shape, level),
            reach,
            indicators,
        )

    @property
    @quiet
    def standard_error(self) -> FloatArray:
        """Standard error of the quantile; NaN where it cannot be known."""
        share = np.sqrt(linearised_ratio(self.indicators).standard_error2)
        error = share * divide(self.upper - self.lower, 2 * self.reach)
        return np.where(self._unfit | self._tied, np.nan, error)

    @property
    def status(self) -> StatusArray:
        """What can be said of each cell on its own."""
        return statuses(
            self.value.shape,
            (self._unfit, Status.NOT_ENOUGH_DATA),
            (self._tied, Status.DISCRETE),
        )

    @property
    @quiet
    def _unfit(self) -> BoolArray:
        """Where the window leaves (0, 1): n <= z^2 max(l / (1 - l), (1 - l) / l)."""
        reach = np.fmax(window(self.indicators), self.reach)
        inside = (self.level > reach) & (self.level + reach < 1)
        known = np.isfinite(self.value) & np.isfinite(self.upper - self.lower)
        return np.asarray(~(inside & known & (self.indicators.count > 1)))

    @property
    def _tied(self) -> BoolArray:
        """Where one value fills a whole side of the window, or rows do not vary."""
        tied = (self.lower >= self.value) | (self.value >= self.upper)
        return np.asarray(tied | (self.reach <= 0))

    @quiet
    def linearised(self) -> Moments:
        """Return the moments of a mean over units with the quantile's value and error.

        So every test of means applies: Welch, Fieller, sequential looks. The third
        moment is not known. The count stands for degrees of freedom: besides units, the
        k rows of the window limit them, since their spread carries the density. The gap
        of k spacings has a squared coefficient of variation of 1 / k, which alone would
        be k / 2; the window errs on the wide side where the density falls, and k is
        what keeps the error rate (5.8 % without it at a split of 90/10).
        """
        units = self.indicators.count
        rows = 2 * self.reach * self.indicators.mean_x * units
        count = 1 + divide(1.0, divide(1.0, units - 1) + divide(1.0, rows))
        m2 = self.standard_error**2 * count * (count - 1)
        return Moments(count, self.value, m2, np.full(count.shape, np.nan))


@quiet
def window(indicators: CrossMoments) -> FloatArray:
    """Return the half-width of the 95 % window of a share of rows.

    Args:
        indicators: moments over units of rows at or below the quantile, and of rows.
    """
    return np.asarray(WINDOW * np.sqrt(linearised_ratio(indicators).standard_error2))


def quantile_difference(
    control: QuantileStatistics,
    treatment: QuantileStatistics,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare one quantile of two variants by its difference.

    Args:
        control: the control's quantile, any shape.
        treatment: the treatment's, broadcast against the control.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan or an always-valid boundary, as in
            `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), levels that differ, or shapes that do not
            fit.
    """
    _check_levels(control, treatment)
    result = welch(
        control.linearised(), treatment.linearised(), alpha=alpha, quantile=quantile
    )
    return _labelled(result, control, treatment)


def quantile_lift(
    control: QuantileStatistics,
    treatment: QuantileStatistics,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare one quantile of two variants as a lift over the control's (Fieller).

    Args:
        control: the control's quantile, any shape.
        treatment: the treatment's, broadcast against the control.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan or an always-valid boundary, as in
            `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), levels that differ, or shapes that do not
            fit.
    """
    _check_levels(control, treatment)
    result = fieller(
        control.linearised(), treatment.linearised(), alpha=alpha, critical=quantile
    )
    return _labelled(result, control, treatment)


def _check_levels(control: QuantileStatistics, treatment: QuantileStatistics) -> None:
    here, there = broadcast(control=control.level, treatment=treatment.level)
    differs = here != there
    if differs.any():
        raise StatisticsError(
            f"treatment level must equal the control's ({here[differs].flat[0]:g}), "
            f"got {there[differs].flat[0]:g}"
        )


def _labelled(
    result: Comparison, control: QuantileStatistics, treatment: QuantileStatistics
) -> Comparison:
    """Return the comparison with the quantile's own statuses and name."""
    shape = result.status.shape
    own = (
        (np.broadcast_to(arm.status == status, shape), status)
        for status in (Status.NOT_ENOUGH_DATA, Status.DISCRETE)
        for arm in (control, treatment)
    )
    marked = statuses(shape, *own)
    status = result.status.copy()
    status[marked != Status.OK] = marked[marked != Status.OK]
    return replace(result, status=status, method="Quantile, " + result.method)


@quiet
def _indicators(below: BoolArray, units: ArrayLike | None) -> CrossMoments:
    """Return moments over units of rows below and of rows, from one flag a row."""
    if units is None:
        return CrossMoments.from_units(below, np.ones(below.shape))
    labels = np.asarray(units)
    if labels.shape != below.shape[-1:]:
        raise StatisticsError(
            f"units must have shape {below.shape[-1:]}, got {labels.shape}"
        )
    if labels.size == 0:
        return CrossMoments.from_units(below, below)
    _, code, rows = np.unique(labels, return_inverse=True, return_counts=True)
    start = np.concatenate([[0], np.cumsum(rows)[:-1]])
    grouped = below[..., np.argsort(code, kind="stable")].astype(np.float64)
    return CrossMoments.from_units(np.add.reduceat(grouped, start, axis=-1), rows)


@quiet
def _interpolated(order: FloatArray, level: FloatArray) -> FloatArray:
    """Return the sample quantile of sorted rows at one level a cell; NaN outside."""
    rows = order.shape[-1]
    inside = (level >= 0) & (level <= 1)
    if rows == 0:
        return np.full(level.shape, np.nan)
    place = np.where(inside, level, 0.0) * (rows - 1)
    left = np.minimum(np.floor(place), rows - 1).astype(np.intp)
    ends = (
        np.take_along_axis(order, np.minimum(at, rows - 1)[..., None], axis=-1)[..., 0]
        for at in (left, left + 1)
    )
    low, high = ends
    share = place - left
    value = np.where(share == 0, low, low + share * (high - low))
    return np.where(inside, value, np.nan)
