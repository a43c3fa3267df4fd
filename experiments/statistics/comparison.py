"""The result of comparing treatments with a control: one flat object for every method.

The interval and the p-value of a `Comparison` always come from one procedure, so the
interval excludes "no effect" exactly when the p-value is below alpha.

References:
    Lehmann and Romano, "Testing Statistical Hypotheses", 3.5 (intervals as inverted
    tests).
    Jennison and Turnbull (2000), "Group Sequential Methods", 9.1 (repeated intervals)
    and 3.3 (carrying a boundary to another statistic by its significance level).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    broadcast,
    check_open,
    normal_tail,
)

Scale: TypeAlias = Literal["absolute", "relative"]


class Status(StrEnum):
    """What can be said of one cell; `OK` and the two warnings carry an interval."""

    OK = "ok"
    NOT_ENOUGH_DATA = "not_enough_data"
    DEGENERATE = "degenerate"
    DISCRETE = "discrete"
    UNBOUNDED = "unbounded"
    SKEW_WARNING = "skew_warning"
    FEW_CLUSTERS = "few_clusters"
    OVERDISPERSED = "overdispersed"
    LOW_OVERLAP = "low_overlap"
    WEIGHTS_OFF = "weights_off"
    NOT_SELECTED = "not_selected"

    @property
    def sentence(self) -> str:
        """What the status means to an analyst."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.OK: "The figures can be read as they are.",
    Status.NOT_ENOUGH_DATA: "A variant has too few units to say anything.",
    Status.DEGENERATE: "The metric does not vary, so no test applies.",
    Status.DISCRETE: (
        "Many rows share the quantile's own value, so it has no usable error; compare "
        "means, or the share of rows above a threshold."
    ),
    Status.UNBOUNDED: (
        "The control's value is too close to zero for a relative effect; "
        "read the absolute one."
    ),
    Status.FEW_CLUSTERS: (
        "Few clusters were assigned, so the interval and the p-value are approximate "
        "and a little too sure."
    ),
    Status.SKEW_WARNING: (
        "Few units carry most of this metric, so the interval and the p-value are "
        "approximate."
    ),
    Status.OVERDISPERSED: (
        "Units differ more than chance counts do, so the interval is too narrow; use "
        "Welch."
    ),
    Status.LOW_OVERLAP: (
        "The log holds too few rounds like those the new policy would play; "
        "run an experiment instead."
    ),
    Status.WEIGHTS_OFF: (
        "The importance weights do not average to one: the logged propensities are "
        "wrong, or the new policy plays what the old one never did."
    ),
    Status.NOT_SELECTED: (
        "The experiment was not chosen for its result, so there is nothing to correct."
    ),
}

StatusArray: TypeAlias = NDArray[np.object_]


class Boundary(Protocol):
    """A sequential boundary at one look (`sequential.Look` is one)."""

    @property
    def critical(self) -> ArrayLike:
        """Normal critical value of the look, one or one a cell."""
        ...

    def repeated_p(self, p_value: ArrayLike) -> FloatArray:
        """Return the repeated p-value that belongs to a single-look p-value."""
        ...

    @property
    def alpha(self) -> float:
        """Two-sided error over all looks."""
        ...


Quantile: TypeAlias = ArrayLike | Boundary | None


@dataclass(frozen=True, slots=True)
class Level:
    """The error level of a two-sided comparison, at a fixed horizon or at one look.

    Attributes:
        alpha: error over all looks, what the p-value is compared with.
        nominal: two-sided tail of this look's critical value; alpha at a fixed horizon.
        p_of: turns the single-look p-value into the one to show.
    """

    alpha: FloatArray
    nominal: FloatArray
    p_of: Callable[[FloatArray], FloatArray] = field(repr=False)
    label: str = ""

    @classmethod
    def resolve(cls, alpha: ArrayLike, quantile: Quantile = None) -> "Level":
        """Read the two arguments every comparison takes.

        Args:
            alpha: two-sided error over all looks.
            quantile: None for a fixed horizon; a boundary for one look of a sequential
                plan; or a bare normal critical value, which has no p-value of its own
                (the p-value is NaN: give the boundary to have it).

        Raises:
            StatisticsError: alpha is not in (0, 1), a critical value is not positive,
                or the boundary was made for another alpha.
        """
        error = check_open("alpha", alpha)
        if quantile is None:
            return cls(error, error, _same)
        if isinstance(quantile, int | float | np.ndarray | list | tuple | np.generic):
            bare = check_open("quantile", quantile, 0.0, np.inf)
            return cls(error, 2 * normal_tail(bare), _unknown, ", given quantile")
        boundary: Boundary = quantile  # type: ignore[assignment]  # ArrayLike is wider
        if not np.allclose(error, boundary.alpha, rtol=1e-12, atol=0.0):
            raise StatisticsError(
                f"alpha must be the look's own ({boundary.alpha:g}), got {alpha!r}"
            )
        nominal = np.asarray(2 * normal_tail(boundary.critical))
        return cls(error, nominal, boundary.repeated_p, ", repeated")


def _same(p_value: FloatArray) -> FloatArray:
    return p_value


def _unknown(p_value: FloatArray) -> FloatArray:
    return np.full_like(p_value, np.nan)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Treatment against control, cell by cell; every array has the cells' shape.

    Attributes:
        estimate: treatment minus control in the metric's unit, or that over the size of
            the control's value when the scale is relative (0.05 is +5 %).
        standard_error: of the estimate; NaN where the method has none.
        lower: lower end of the interval, -inf where unbounded, NaN where undefined.
        upper: upper end of the interval.
        p_value: two-sided, of the same procedure; NaN where undefined.
        degrees_of_freedom: of the t quantile used; inf for normal ones.
        status: what can be said of the cell.
        method: the procedure, as shown to the analyst.
        scale: absolute or relative.
        alpha: error the p-value is compared with; the interval covers 1 - alpha.
    """

    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    p_value: FloatArray
    degrees_of_freedom: FloatArray
    status: StatusArray
    method: str
    scale: Scale
    alpha: FloatArray

    def __post_init__(self) -> None:
        """Give every array the cells' shape."""
        arrays = broadcast(**{name: getattr(self, name) for name in _ARRAYS})
        for name, array in zip(_ARRAYS, arrays, strict=True):
            object.__setattr__(self, name, array)

    @property
    def excludes_zero(self) -> BoolArray:
        """Where the interval lies wholly on one side of no effect."""
        return (self.lower > 0) | (self.upper < 0)


_ARRAYS = (
    "estimate",
    "standard_error",
    "lower",
    "upper",
    "p_value",
    "degrees_of_freedom",
    "alpha",
)


def statuses(shape: tuple[int, ...], *rules: tuple[BoolArray, Status]) -> StatusArray:
    """Return `OK` everywhere but where a rule holds; earlier rules win."""
    result = np.empty(shape, dtype=object)
    result.fill(Status.OK)  # np.full would turn the member into a plain string
    for condition, status in reversed(rules):
        result[np.broadcast_to(condition, shape)] = status
    return result
