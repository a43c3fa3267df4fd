"""Figures of a group-sequential experiment that has ended: the stage-wise ordering.

An experiment that stops early stops on a high: its plain estimate is too large and its
plain interval too narrow. The stage-wise ordering ranks every way the experiment could
have ended (an earlier crossing is stronger than a later one, then the larger statistic)
and takes p-value, interval and a median-unbiased estimate from that one ranking. It
does not depend on looks that were never taken.

Use it once the experiment has ended, by a crossed boundary or at its last look; while
it runs, the repeated interval with the repeated p-value (`sequential.Look`) holds at
every look. Never show one of each. Stage-wise is the default at the end because its
interval is shorter than the repeated one and its p-value agrees with the boundary.

References:
    Tsiatis, Rosner, Mehta (1984), "Exact confidence intervals following a group
    sequential test", Biometrics 40(3).
    Fairbanks and Madsen (1982), "P values for tests using a repeated significance test
    design", Biometrika 69(1).
    Jennison and Turnbull (2000), "Group Sequential Methods", 8.2 to 8.5.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import scipy

from experiments.statistics.comparison import (
    Comparison,
    Quantile,
    Status,
)
from experiments.statistics.crossing import Walk, follow
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    normal_quantile,
    quiet,
)
from experiments.statistics.sequential import Look, boundaries

Compare: TypeAlias = Callable[[Quantile], Comparison]
"""Any method of comparison with all but its ``quantile`` argument given."""

_NODES = 64
_REACH = 9.0
_STEPS = 60
_CLOSE = 1e-10
_LARGEST = 37.5  # where a p-value is 1e-307
_LEAST = 1e-12


def stage_wise(compare: Compare, look: Look) -> Comparison:
    """Return the figures of an experiment that ended at this look.

    The ordering says which critical value belongs to each end of each cell's interval;
    the method itself is then inverted at that value, so a Welch interval stays a t
    interval, a lift stays Fieller's and a proportion's stays a score interval.

    Args:
        compare: a comparison waiting for its quantile, such as
            ``lambda quantile: welch(control, treatment, alpha=alpha,
            quantile=quantile)``.
        look: the look it ended at, made for the same alpha.

    Returns:
        The comparison with the median-unbiased estimate, and interval and p-value of
        the stage-wise ordering. Standard errors are the plain ones.

    Raises:
        StatisticsError: the comparison was made for another alpha, or its own errors.
    """
    plain = compare(None)
    if not np.allclose(plain.alpha, look.alpha, rtol=1e-12, atol=0.0):
        raise StatisticsError(
            f"look must be made for the comparison's alpha, got {look.alpha:g}"
        )
    size = np.minimum(normal_quantile(plain.p_value / 2), _LARGEST)
    z = np.copysign(size, plain.estimate)
    ordering = Ordering.of(look)
    ends, middle = ordering.drifts(z, look.alpha), ordering.median(z)
    lower, shown_lower = _end(compare, z - ends[0])
    upper, shown_upper = _end(compare, z - ends[1])
    estimate, shown = _end(compare, z - middle)
    status = plain.status
    for other in (shown_lower, shown_upper, shown):
        open_ended = (other.status == Status.UNBOUNDED) & (status == Status.OK)
        status = np.where(open_ended, Status.UNBOUNDED, status)
    return replace(
        plain,
        estimate=estimate,
        lower=lower,
        upper=upper,
        p_value=ordering.p_value(z),
        status=status,
        method=plain.method + ", stage-wise",
    )


def _end(compare: Compare, critical: FloatArray) -> tuple[FloatArray, Comparison]:
    """Return the effect at which the method's own statistic is ``critical``."""
    size = np.where(np.isnan(critical), 1.0, np.maximum(np.abs(critical), _LEAST))
    found = compare(size)
    effect = np.where(critical >= 0, found.lower, found.upper)
    return np.where(np.isnan(critical), np.nan, effect), found


@dataclass(frozen=True, slots=True)
class Ordering:
    """The stage-wise ordering at one look; drifts are in units of the statistic there.

    Attributes:
        before: the walk that each earlier look set out from.
        time: information of each earlier look, in units of this one's.
        bound: critical value of each earlier look.
        walk: the walk that this look set out from.
    """

    before: tuple[Walk, ...]
    time: tuple[float, ...]
    bound: tuple[float, ...]
    walk: Walk

    @classmethod
    def of(cls, look: Look) -> "Ordering":
        """Follow the looks up to this one."""
        here = look.information[-1]
        earlier = tuple(share / here for share in look.information[:-1])
        bounds: tuple[float, ...] = ()
        if earlier:
            found = boundaries(look.information[:-1], look.alpha, kind=look.kind)
            bounds = tuple(float(bound) for bound in found)
        *before, walk = follow((*earlier, 1.0), (*bounds, np.inf), nodes=_NODES)
        return cls(tuple(before), earlier, bounds, walk)

    @quiet
    def beyond(self, z: FloatArray, drift: FloatArray) -> FloatArray:
        """Return P(an end at least as high as z at this look) under a drift."""
        total = self.walk.above(1.0, z, drift)
        for walk, time, bound in zip(self.before, self.time, self.bound, strict=True):
            total = total + walk.above(time, bound, drift)
        return total

    def p_value(self, z: FloatArray) -> FloatArray:
        """Return the two-sided p-value: twice the smaller side."""
        none = np.zeros_like(z)
        higher, lower = self.beyond(z, none), self.beyond(-z, none)
        return np.asarray(np.minimum(2 * np.minimum(higher, lower), 1.0))

    def drifts(self, z: FloatArray, alpha: float) -> tuple[FloatArray, FloatArray]:
        """Return the drifts at which an end this high, or this low, has alpha / 2."""
        return self._drift(z, alpha / 2), -self._drift(-z, alpha / 2)

    def median(self, z: FloatArray) -> FloatArray:
        """Return the drift at which the outcome is as often exceeded as not."""
        return self._drift(z, 0.5)

    @quiet
    def _drift(self, z: FloatArray, tail: float) -> FloatArray:
        """Return the drift at which `beyond` is ``tail``, by false position.

        On the normal scale `beyond` is nearly a straight line in the drift, so a few
        steps of the Illinois rule do; the root never leaves its bracket.
        """
        level = float(scipy.special.ndtri(tail))

        def excess(drift: FloatArray) -> FloatArray:
            found = scipy.special.ndtri(self.beyond(z, drift)) - level
            return np.clip(found, -_REACH, _REACH)

        low, high = np.minimum(z, 0.0) - _REACH, np.maximum(z, 0.0) + _REACH
        f_low, f_high = excess(low), excess(high)
        drift = low
        for _ in range(_STEPS):
            drift = high - f_high * (high - low) / (f_high - f_low)
            f = excess(drift)
            if not bool((np.abs(f) > _CLOSE).any()):
                break
            right = f > 0
            kept_low, kept_high = (
                np.where(right, f_low / 2, f),
                np.where(right, f, f_high / 2),
            )
            low, high = np.where(right, low, drift), np.where(right, drift, high)
            f_low, f_high = kept_low, kept_high
        return np.asarray(drift)
