"""The counts of one arm that can occur, and how probable each of them is.

Only counts that carry probability are listed, so that 3 events among a million units
are a list of a few dozen numbers. Counts are binomial, never Poisson: the logs of their
odds are added up one by one, which loses no digits at 1e10 units.

References:
    Clopper and Pearson (1934), Biometrika 26 (rates not contradicted by the events).
    Bernstein's inequality: Boucheron, Lugosi, Massart (2013), "Concentration
    Inequalities", section 2.8 (counts that cannot occur).
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import scipy
from numpy.typing import NDArray

from experiments.statistics.numeric import BoolArray, FloatArray

CONTRADICTED = 1e-8
"""Rates that an arm's events contradict at this level are not searched."""

_DEVIATIONS = 9.0  # counts farther from their mean carry less than 1e-17
_LARGEST_LIST = 4096  # counts of the larger arm listed before its tails are integrated


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of K tables: which counts can occur, and how many ways each can.

    Attributes:
        units: number of units, shape (K,).
        least: first count listed, shape (K,).
        ways: log of "units choose count" up to a constant, shape (K, U).
        low: smallest rate that the arm's events do not contradict, shape (K,).
        high: largest such rate.
    """

    units: FloatArray
    least: FloatArray
    ways: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, events: FloatArray, units: FloatArray) -> Self:
        """List the counts that can occur at any rate not contradicted."""
        low, high = not_contradicted(events, units)
        first, last = reach(low, units)[0], reach(high, units)[1]
        size = min(int((last - first).max()) + 1, _LARGEST_LIST + 1)
        return cls(units, first, _ways(units, first, size), low, high)

    @classmethod
    def whole(cls, units: int) -> Self:
        """List every count of one arm, for any rate at all."""
        n, zero = np.array([float(units)]), np.zeros(1)
        return cls(n, zero, _ways(n, zero, units + 1), zero, np.ones(1))

    def take(self, rows: NDArray[np.intp]) -> "Arm":
        """Return this arm of some of the tables."""
        return Arm(*(getattr(self, field.name)[rows] for field in fields(self)))

    def probabilities(self, rate: FloatArray) -> FloatArray:
        """Return the chance of each listed count, (K, U), at each rate, (K, G)."""
        rate = np.clip(rate, 1e-290, 1 - 1e-16)
        logit = np.log(rate) - np.log1p(-rate)
        power = np.multiply.outer(logit, np.arange(self.ways.shape[-1]))
        power += self.ways[:, None, :]
        power -= power.max(axis=-1, keepdims=True)
        np.exp(power, out=power)
        return np.asarray(power / power.sum(axis=-1, keepdims=True))

    def tail(self, rate: FloatArray, from_: FloatArray, above: BoolArray) -> FloatArray:
        """Return P(count >= from_) where ``above``, else P(count <= from_).

        Args:
            rate: rates, shape (K, G).
            from_: whole numbers, shape (K, U).
            above: which tail, shape (K,).
        """
        if self.ways.shape[-1] > _LARGEST_LIST:
            return self._integrated(rate, from_, above)
        chance = self.probabilities(rate)
        # One running sum does for both tails: from the right or from the left.
        chance = np.where(above[:, None, None], chance[..., ::-1], chance)
        total = np.zeros((*rate.shape, chance.shape[-1] + 1))
        np.cumsum(chance, axis=-1, out=total[..., 1:])
        place = from_ - self.least[:, None]
        taken = np.where(above[:, None], chance.shape[-1] - place, place + 1)
        index = np.clip(taken, 0, chance.shape[-1]).astype(np.intp)
        return np.take_along_axis(total, index[:, None, :], axis=-1)

    def _integrated(
        self, rate: FloatArray, from_: FloatArray, above: BoolArray
    ) -> FloatArray:
        n, k, p = self.units[:, None, None], from_[:, None, :], rate[..., None]
        least = np.where(above[:, None, None], k, k + 1)
        inside = np.clip(least, 1, n)
        up = scipy.special.betainc(inside, n - inside + 1, p)
        down = scipy.special.betaincc(inside, n - inside + 1, p)
        tail = np.where(above[:, None, None], up, down)
        tail = np.where(least < 1, np.where(above[:, None, None], 1.0, 0.0), tail)
        return np.where(least > n, np.where(above[:, None, None], 0.0, 1.0), tail)


def _ways(units: FloatArray, first: FloatArray, size: int) -> FloatArray:
    """Return log of "units choose count" less that of the first count, (K, size)."""
    count = first[:, None] + np.arange(size - 1)
    steps = np.log(np.maximum(units[:, None] - count, 0.0) / (count + 1))
    return np.concatenate([np.zeros((units.size, 1)), steps.cumsum(axis=-1)], axis=-1)


def not_contradicted(
    events: FloatArray, units: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the exact interval of a rate at a quarter of 1e-8 a tail."""
    tail = CONTRADICTED / 4
    low = scipy.special.betaincinv(np.maximum(events, 1), units - events + 1, tail)
    high = scipy.special.betainccinv(events + 1, np.maximum(units - events, 1), tail)
    return np.where(events == 0, 0.0, low), np.where(events == units, 1.0, high)


def reach(rate: FloatArray, units: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest count that can occur (Bernstein's bound)."""
    c2 = _DEVIATIONS**2
    mean, variance = units * rate, units * rate * (1 - rate)
    half = c2 / 6 + np.sqrt(c2**2 / 36 + c2 * variance)
    return (
        np.maximum(np.floor(mean - half), 0.0),
        np.minimum(np.ceil(mean + half), units),
    )


def widths(events: FloatArray, units: FloatArray) -> FloatArray:
    """Return how many different counts of an arm can occur."""
    low, high = not_contradicted(events, units)
    return np.asarray(reach(high, units)[1] - reach(low, units)[0])
