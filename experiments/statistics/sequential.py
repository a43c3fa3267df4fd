"""Looking more than once: group-sequential boundaries.

A spending function says how much of the error may be used up by each look; the critical
values follow by integrating the joint density of the running statistic. The repeated
interval of a look uses its critical value, and the repeated p-value is the smallest
overall alpha at which that interval excludes no effect, so the two never disagree.
They hold at every look, also where the experiment runs on beyond a boundary. Once it
has ended, `stage_wise` gives an interval that is not pulled outwards by early stopping.

O'Brien-Fleming-like spending is the default: it keeps nearly all of the error for the
last look, so a planned experiment needs 1 to 3 % more units than a single look would
and an early stop takes overwhelming evidence. Looks may be skipped, added or moved for
reasons that have nothing to do with the data: only the information at the looks taken
enters. A look past the planned end (overrun) keeps what earlier looks have spent and
spends the rest, and so does the `final` one of an experiment that ends short.

References:
    Lan and DeMets (1983), "Discrete sequential boundaries for clinical trials",
    Biometrika 70(3).
    Jennison and Turnbull (2000), "Group Sequential Methods with Applications to
    Clinical Trials", 7.2 (spending), 9.1 and 9.4 (repeated intervals and p-values),
    19.2 (recursive integration).
    Proschan, Lan, Wittes (2006), "Statistical Monitoring of Clinical Trials", 5.3 to
    5.5 (information that differs from the plan, overrun).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.crossing import FARTHEST, NODES, Walk
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    bisect,
    check_open,
    normal_quantile,
    normal_tail,
    quiet,
)

Spending: TypeAlias = Literal["obrien_fleming", "pocock"] | float
"""A named family, or the exponent phi of the power family alpha * t^phi."""

_TABLE_NODES = 128
_TABLE_SIZE = 161


@quiet
def spending(kind: Spending, alpha: ArrayLike, t: ArrayLike) -> FloatArray:
    """Return the two-sided error spent when a share ``t`` of the information is in.

    Args:
        kind: "obrien_fleming" (Lan-DeMets, each side by itself: almost nothing early),
            "pocock" (evenly), or an exponent phi > 0 for alpha * t^phi.
        alpha: two-sided error over all looks.
        t: information fraction; values above 1 count as 1.

    Raises:
        StatisticsError: unknown kind, or an argument out of its range.
    """
    error = np.asarray(alpha, dtype=np.float64)
    share = np.minimum(check_open("t", t, 0.0, np.inf), 1.0)
    if not isinstance(kind, str):
        if kind > 0:
            return np.asarray(error * share**kind)
    elif kind == "obrien_fleming":
        return 4 * normal_tail(normal_quantile(error / 4) / np.sqrt(share))
    elif kind == "pocock":
        return np.asarray(error * np.log1p((np.e - 1) * share))
    raise StatisticsError(
        f'kind must be "obrien_fleming", "pocock" or a number > 0, got {kind!r}'
    )


def boundaries(
    information: Sequence[float],
    alpha: float,
    *,
    kind: Spending = "obrien_fleming",
    final: bool = False,
    two_sided: bool = True,
    nodes: int = NODES,
) -> FloatArray:
    """Return the normal critical value of each look.

    Args:
        information: rising information fractions of the looks so far, of the planned
            total. Above 1 (overrun) the rest of the error is spent, and a look after
            that one can find nothing: its critical value is infinite.
        alpha: error over all looks.
        kind: spending function.
        final: the last of them ends the experiment: it spends all that is left.
        two_sided: when False alpha is spent on one side: the boundary is that of two
            sides at 2 alpha, which is conservative by less than alpha^2.
        nodes: Gauss-Legendre nodes of the integration.

    Raises:
        StatisticsError: fractions that do not rise from above 0, or alpha out of range.
    """
    fractions = checked_fractions(information)
    total = check_open("alpha", alpha, 0.0, 1.0 if two_sided else 0.5)
    both_sides = np.atleast_1d(total if two_sided else 2 * total)
    found = _critical_values(fractions, both_sides, kind, nodes, final=final)
    return np.asarray(found[0])


def checked_fractions(information: Sequence[float]) -> tuple[float, ...]:
    """Return the fractions as a tuple.

    Raises:
        StatisticsError: empty, not positive or not rising.
    """
    fractions = tuple(float(share) for share in information)
    rising = all(a < b for a, b in zip((0.0, *fractions), fractions, strict=False))
    if not fractions or not rising or not np.isfinite(fractions[-1]):
        raise StatisticsError(
            f"information must rise strictly from above 0, got {fractions!r}"
        )
    return fractions


def _critical_values(
    information: tuple[float, ...],
    alphas: FloatArray,
    kind: Spending,
    nodes: int,
    *,
    final: bool = False,
) -> FloatArray:
    """Return critical values, shape (alpha, look), by recursive integration.

    Error is spent by the planned share of information; how two looks hang together
    follows from the information they really have.
    """
    spent = np.zeros_like(alphas)
    critical = np.empty((alphas.size, len(information)))
    walk = Walk.start()
    last = len(information) - 1
    for look, share in enumerate(information):
        goal = 1.0 if final and look == last else share
        due = np.maximum(spending(kind, alphas, goal) - spent, 0.0)
        spent = spent + due
        critical[:, look] = _exit_bound(walk, share, due)
        if look < last:
            walk = walk.advance(share, critical[:, look], nodes=nodes)
    return critical


@quiet
def _exit_bound(walk: Walk, share: float, due: FloatArray) -> FloatArray:
    """Return c with P(no exit before, |Z| > c) equal to the error that is due."""
    if walk.time == 0.0:
        return normal_quantile(due / 2)
    # The walk is symmetric: half of the error lies on each side.
    bound = bisect(
        lambda c: walk.above(share, c) - due / 2,
        np.zeros_like(due),
        np.full_like(due, 2 * FARTHEST),
    )
    return np.where(due > 0, bound, np.inf)


@dataclass(frozen=True, slots=True)
class Look:
    """One look of a group-sequential plan; give it to a comparison as its quantile.

    Attributes:
        information: information fractions of the looks up to and including this one,
            of the planned total; above 1 when the experiment overran.
        alpha: two-sided error over all looks.
        kind: spending function.
        final: this look ends the experiment, so it spends all that is left; implied
            from a fraction of 1 on.
    """

    information: tuple[float, ...]
    alpha: float
    kind: Spending = "obrien_fleming"
    final: bool = False

    def __post_init__(self) -> None:
        """Check the arguments once."""
        check_open("alpha", self.alpha)
        object.__setattr__(self, "information", checked_fractions(self.information))

    @property
    def critical(self) -> float:
        """Normal critical value of this look."""
        return _critical(self.information, self.alpha, self.kind, final=self.final)

    def repeated_p(self, p_value: ArrayLike) -> FloatArray:
        """Return the repeated p-value of a single-look two-sided p-value.

        It is below alpha exactly when the single-look statistic exceeds `critical`.
        """
        single = np.asarray(p_value, dtype=np.float64)
        return repeated_p(
            normal_quantile(single / 2),
            self.information,
            alpha=self.alpha,
            kind=self.kind,
            final=self.final,
        )


@quiet
def repeated_p(
    z: ArrayLike,
    information: Sequence[float],
    *,
    alpha: float = 0.05,
    kind: Spending = "obrien_fleming",
    final: bool = False,
) -> FloatArray:
    """Return the smallest overall alpha whose repeated interval excludes no effect.

    The boundary of the latest look is tabulated over alpha and inverted; z of alpha is
    nearly a straight line in the boundary, so interpolation costs less than 1e-4 of the
    p-value. At the plan's own alpha the table is exact.

    Args:
        z: statistic of the latest look, any shape; NaN stays NaN.
        information: information fractions of the looks so far, this one last.
        alpha: the plan's error over all looks.
        kind: spending function.
        final: the latest look ends the experiment, as in `boundaries`.

    Raises:
        StatisticsError: as `boundaries`.
    """
    fractions = checked_fractions(information)
    plan_alpha = float(check_open("alpha", alpha))
    bounds, levels = _boundary_table(fractions, kind, final=final)
    here = _critical(fractions, plan_alpha, kind, final=final)
    if not np.isfinite(here):  # nothing is left to spend: nothing can be found
        return np.where(np.isnan(np.asarray(z, dtype=np.float64)), np.nan, 1.0)
    level = float(normal_quantile(plan_alpha / 2))
    place = int(np.searchsorted(bounds, here))
    bounds = np.insert(bounds, place, here)
    levels = np.maximum.accumulate(np.insert(levels, place, level))
    size = np.abs(np.asarray(z, dtype=np.float64))
    slope = (levels[-1] - levels[-2]) / (bounds[-1] - bounds[-2])
    beyond = levels[-1] + slope * (np.minimum(size, 1e3) - bounds[-1])
    found = np.where(size > bounds[-1], beyond, np.interp(size, bounds, levels))
    p_value = np.where(size < bounds[0], 1.0, 2 * normal_tail(found))
    return np.where(np.isnan(size), np.nan, np.minimum(p_value, 1.0))


@lru_cache(maxsize=256)
def _critical(
    fractions: tuple[float, ...], alpha: float, kind: Spending, *, final: bool
) -> float:
    level = np.array([alpha])
    found = _critical_values(fractions, level, kind, NODES, final=final)
    return float(found[0, -1])


@lru_cache(maxsize=64)
def _boundary_table(
    fractions: tuple[float, ...], kind: Spending, *, final: bool
) -> tuple[FloatArray, FloatArray]:
    """Return rising boundaries of the last look and the z of alpha / 2 of each."""
    levels = np.linspace(0.0, 7.5, _TABLE_SIZE)
    alphas = np.minimum(2 * normal_tail(levels), 1.0)
    bounds = _critical_values(fractions, alphas, kind, _TABLE_NODES, final=final)
    bounds = bounds[:, -1]
    bounds = np.maximum.accumulate(bounds)
    rising = np.isfinite(bounds) & (np.diff(bounds, prepend=-1.0) > 0)
    return bounds[rising], levels[rising]
