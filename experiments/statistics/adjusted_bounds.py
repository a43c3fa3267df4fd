"""What the bounds of an adjusted interval are made of: a level for each cell and side.

Every adjusted interval is the comparison's own interval at a stricter level. Which
level, and where theory only says "beyond zero", is worked out here from the p-values of
the family; `simultaneous` puts the intervals together.

References:
    Benjamini and Yekutieli (2005), JASA 100, definition 1 (FCR), theorem 4 (any
    dependence).
    Strassburger and Bretz (2008), Statistics in Medicine 27, section 3 (bounds that fit
    Holm's test).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics import multiplicity
from experiments.statistics.comparison import Comparison, StatusArray
from experiments.statistics.numeric import BoolArray, FloatArray, quiet

Method: TypeAlias = Literal[
    "none",
    "bonferroni",
    "holm",
    "hochberg",
    "hommel",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "dunnett",
]
Interval: TypeAlias = Literal["single", "bonferroni", "holm", "fcr", "dunnett"]
Procedure: TypeAlias = Callable[[FloatArray], Comparison]
"""A comparison as a function of the level of each cell, e.g.
``lambda alpha: fieller(control, treatment, alpha=alpha)``."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What one bound of every cell of the family is made of.

    Attributes:
        side: which bound.
        level: two-sided level of the procedure; 0 for none, NaN for no bound shown.
        beyond_zero: cells shown to lie beyond zero on this side, whatever the level.
    """

    side: Literal["lower", "upper"]
    level: FloatArray
    beyond_zero: BoolArray

    def of(
        self, procedure: Procedure, single: Comparison, cells: slice
    ) -> tuple[FloatArray, StatusArray]:
        """Return one member's bounds, and what can be said of its cells.

        Args:
            procedure: the member as a function of the level.
            single: the same, not adjusted.
            cells: where the member's cells lie in the family.
        """
        level = self.level[cells].reshape(single.p_value.shape)
        usable = (level > 0) & (level < 1)
        at_level = procedure(np.where(usable, level, 0.5))
        lower = self.side == "lower"
        found = at_level.lower if lower else at_level.upper
        nothing = np.where(np.isnan(level), np.nan, -np.inf if lower else np.inf)
        bound = np.where(usable, found, nothing)
        limited = np.maximum(bound, 0.0) if lower else np.minimum(bound, 0.0)
        beyond = self.beyond_zero[cells].reshape(bound.shape)
        status = np.where(usable, at_level.status, single.status)
        return np.where(beyond, limited, bound), status


def adjusted_p(method: Method, p: FloatArray, shares: FloatArray) -> FloatArray:
    """Return the adjusted p-values of one family, Dunnett's excepted.

    Args:
        method: name of the adjustment.
        p: p-values, shape (cell,).
        shares: share of alpha of each cell; read by Bonferroni and Holm alone.
    """
    if method == "none":
        return p
    if method == "bonferroni":
        return multiplicity.bonferroni(p, shares)
    if method == "holm":
        return multiplicity.holm(p, shares)
    plain: dict[str, Callable[[ArrayLike], FloatArray]] = {
        "hochberg": multiplicity.hochberg,
        "hommel": multiplicity.hommel,
        "benjamini_hochberg": multiplicity.benjamini_hochberg,
        "benjamini_yekutieli": multiplicity.benjamini_yekutieli,
    }
    return plain[method](p)


@quiet
def bounds_of(
    kind: Interval,
    method: Method,
    p: FloatArray,
    shares: FloatArray,
    signs: FloatArray,
    alpha: float,
) -> tuple[Bound, Bound]:
    """Return what the lower and the upper bounds are made of.

    Args:
        kind: the promise of the intervals.
        method: the adjustment of the p-values.
        p: single p-values, shape (cell,); NaN is not counted.
        shares: share of alpha of each cell.
        signs: signs of the estimates.
        alpha: error of the family.
    """
    if kind == "holm":
        # One step-down for each direction at half of alpha: a bound is one-sided.
        above, below = (np.where(signs * d > 0, p / 2, 1 - p / 2) for d in (1, -1))
        lower = Bound("lower", *_holm_level(above, shares, alpha))
        return lower, Bound("upper", *_holm_level(below, shares, alpha))
    level = np.full_like(p, alpha) if kind == "single" else alpha * shares
    if kind == "fcr":
        level = _fcr_level(method, p, alpha)
    return two_sided(np.where(np.isnan(p), np.nan, level))


def two_sided(level: FloatArray) -> tuple[Bound, Bound]:
    """Return both bounds of intervals at one two-sided level a cell."""
    nowhere = np.zeros(level.shape, dtype=np.bool_)
    return Bound("lower", level, nowhere), Bound("upper", level, nowhere)


def _holm_level(
    one_sided: FloatArray, shares: FloatArray, alpha: float
) -> tuple[FloatArray, BoolArray]:
    """Return levels that fit a one-sided Holm test at alpha / 2, and what it rejects.

    Retained cells share alpha among themselves. A rejected cell has the bound zero, and
    a better one only where no cell is retained.
    """
    known = ~np.isnan(one_sided)
    rejected = np.asarray(multiplicity.holm(one_sided, shares) < alpha / 2)
    left = float(shares[known & ~rejected].sum())
    if left > 0:
        level = np.where(rejected, 0.0, np.minimum(alpha * shares / left, alpha))
    else:
        level = alpha * shares
    return np.where(known, level, np.nan), rejected


def _fcr_level(method: Method, p: FloatArray, alpha: float) -> FloatArray:
    """Return alpha times the share of cells selected; NaN for the others."""
    selected = adjusted_p(method, p, p) < alpha
    count = max(int((~np.isnan(p)).sum()), 1)
    level = alpha * float(selected.sum()) / count
    if method == "benjamini_yekutieli":
        level /= float((1 / np.arange(1, count + 1)).sum())
    return np.where(selected, level, np.nan)
