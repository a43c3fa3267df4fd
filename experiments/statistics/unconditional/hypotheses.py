"""One-sided exact test of a difference or ratio of two proportions.

For a given unknown rate the probability of all results at least as far from the
hypothesis as the one seen is a finite sum; the p-value is the largest such sum.

References:
    Chan and Zhang (1999), "Test-based exact confidence intervals for the difference of
    two binomial proportions", Biometrics 55, section 2.
    Miettinen and Nurminen (1985), Statistics in Medicine 4 (the order of the results).
    Berger and Boos (1994), "P values maximized over a confidence set for the nuisance
    parameter", JASA 89.
    Roehmel and Mansmann (1999), "Unconditional non-asymptotic one-sided tests for
    independent binomial proportions", Biometrical Journal 41 (the largest value lies on
    the boundary of the hypothesis).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    normal_tail,
    rising_root,
)
from experiments.statistics.unconditional.arms import CONTRADICTED, Arm, widths

GRID = 32
"""Rates at which the probability is first computed; finer grids follow at its top."""

NEGLIGIBLE = 1e-7
"""Distance from no effect, in units of the larger arm, that changes nothing."""

Score: TypeAlias = Callable[
    [FloatArray, FloatArray, FloatArray, FloatArray, FloatArray], FloatArray
]
Line: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
Table: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True)
class Effect:
    """What is tested: a difference of two proportions or their ratio.

    The hypotheses are lines in the square of the two rates, p1 = slope p0 + shift.

    Attributes:
        score: statistic (x0, n0, x1, n1, value) that orders the tables.
        line: slope and shift of a value.
        least: the smallest value there is.
        none: the value of no effect.
        estimate: the value of two rates (p0, p1).
        swap: the value after the arms are exchanged.
        position_of: a value as a position in the finite range that is searched.
        of_position: its inverse.
    """

    score: Score
    line: Line
    least: float
    none: float
    estimate: Callable[[FloatArray, FloatArray], FloatArray]
    swap: Callable[[FloatArray], FloatArray]
    position_of: Callable[[FloatArray], FloatArray]
    of_position: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Problem:
    """K tables whose lower bound is sought: is p1 more than the hypothesis says?

    Attributes:
        table: (x0, n0, x1, n1), each of shape (K,).
        effect: the kind of hypothesis.
        turned: where arm 1 is the one whose counts are listed one by one.
        listed: that arm, the one with fewer counts.
        other: the arm whose tail is added for each of them.
    """

    table: Table
    effect: Effect
    turned: BoolArray
    listed: Arm
    other: Arm

    @classmethod
    def of(cls, table: Table, effect: Effect) -> Self:
        """List the counts of the arm that has fewer."""
        x0, n0, x1, n1 = table
        turned = widths(x1, n1) < widths(x0, n0)
        listed = Arm.of(np.where(turned, x1, x0), np.where(turned, n1, n0))
        other = Arm.of(np.where(turned, x0, x1), np.where(turned, n0, n1))
        return cls(table, effect, turned, listed, other)

    def take(self, rows: NDArray[np.intp]) -> "Problem":
        """Return some of the tables."""
        x0, n0, x1, n1 = (count[rows] for count in self.table)
        return Problem(
            (x0, n0, x1, n1),
            self.effect,
            self.turned[rows],
            self.listed.take(rows),
            self.other.take(rows),
        )

    def p_value(self, value: FloatArray, *, rounds: int = 1) -> FloatArray:
        """Return the one-sided p-value of "the effect is at most ``value``"."""
        # Less than 1e-7 of a unit from "no effect" is that: the order of tables would
        # hang on rounding.
        most = np.maximum(self.listed.units, self.other.units)
        none = np.abs(value - self.effect.none) * most < NEGLIGIBLE
        value = np.where(none, self.effect.none, value)
        statistic = self.effect.score(*self.table, value)
        slope, shift = self._line(value)
        low = np.maximum(self.listed.low, (self.other.low - shift) / slope)
        high = np.minimum(self.listed.high, (self.other.high - shift) / slope)
        low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
        possible = low <= high
        low, high = np.minimum(low, high), np.maximum(low, high)
        threshold = self._threshold(np.clip(statistic, 0.0, 1e8), slope, shift)

        def chance(angle: FloatArray) -> FloatArray:
            rate = np.sin(angle) ** 2
            other = np.clip(slope[:, None] * rate + shift[:, None], 0.0, 1.0)
            tail = self.other.tail(other, threshold, ~self.turned)
            listed = self.listed.probabilities(rate)
            return np.asarray(np.einsum("kgu,kgu->kg", listed, tail))

        top = largest(chance, np.arcsin(np.sqrt(low)), np.arcsin(np.sqrt(high)), rounds)
        # Every rate contradicted: below 1e-8, and the score's own tail is shown.
        beyond = np.minimum(normal_tail(statistic), CONTRADICTED)
        top = np.where(possible, top, beyond)
        return np.where(statistic > 0, np.minimum(top, 1.0), 1.0)

    def _line(self, value: FloatArray) -> tuple[FloatArray, FloatArray]:
        slope, shift = self.effect.line(value)
        back = 1 / slope
        return (
            np.where(self.turned, back, slope),
            np.where(self.turned, -shift * back, shift),
        )

    def _threshold(
        self, statistic: FloatArray, slope: FloatArray, shift: FloatArray
    ) -> FloatArray:
        """Return, for each listed count, where the other arm's count starts to reject.

        On the boundary the likelihood equation fixes both counts once the restricted
        rate is known, so the rate is found for each listed count, without a cubic.
        """
        n, m = self.listed.units[:, None], self.other.units[:, None]
        count = self.listed.least[:, None] + np.arange(self.listed.ways.shape[-1])
        r, d = slope[:, None], shift[:, None]
        t = (statistic * np.sqrt((n + m) / (n + m - 1))[:, 0])[:, None] * (1 - 1e-10)
        sign = np.where(self.turned, -1.0, 1.0)[:, None]

        def spread(rate: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
            partner = np.clip(r * rate + d, 0.0, 1.0)
            v, w = rate * (1 - rate) / n, partner * (1 - partner) / m
            pull = sign * t / np.sqrt(np.maximum(w + r * r * v, 1e-300))
            return partner, pull * v * r, pull * w

        def excess(rate: FloatArray) -> FloatArray:
            return n * (rate - spread(rate)[1]) - count

        least = np.clip(-d / r, 0.0, 1.0)
        most = np.clip((1 - d) / r, 0.0, 1.0)
        centre = np.clip(count / n, 0.0, 1.0)
        half = np.sqrt(centre * (1 - centre) / n + t * t / (4 * n * n))
        end = (centre + t * t / (2 * n) + sign * t * half) / (1 + t * t / n)
        rate = rising_root(
            excess,
            np.clip(np.minimum(centre, end), least, most),
            np.clip(np.maximum(centre, end), least, most),
            halvings=12,
        )
        partner, _, gap = spread(rate)
        left, slack = excess(rate), 1e-6 + 1e-12 * count
        edge = m * (partner + gap)
        near = 1e-7 + 1e-12 * np.abs(edge)  # a tie within rounding is a tie
        above, below = np.ceil(edge - near), np.floor(edge + near)
        # No count of the other arm is far enough; in the corners nothing differs.
        expected = n * rate * (1 - rate) + m * partner * (1 - partner)
        corner = expected < 1e-9
        above = np.where((left < -slack) | corner, m + 1, above)
        below = np.where((left > slack) | corner, -1.0, below)
        return np.where(self.turned[:, None], below, above)


def largest(
    chance: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    rounds: int,
    points: int = GRID,
) -> FloatArray:
    """Return the largest value between the ends: a grid, then finer ones at its top."""
    top = np.zeros_like(low)
    for size in [points] + [8] * rounds:
        steps = np.linspace(0.0, 1.0, size)
        values = chance(low[:, None] + (high - low)[:, None] * steps)
        best = values.argmax(axis=-1)
        top = np.maximum(top, np.take_along_axis(values, best[:, None], -1)[:, 0])
        step = (high - low) / (size - 1)
        centre = low + step * best
        low, high = np.maximum(centre - step, low), np.minimum(centre + step, high)
    return top
