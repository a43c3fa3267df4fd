"""The power of one test of a plan: how likely it finds a distance from no effect.

Everything hangs on the drift, the expected value of the test's statistic at full
information. A plan with several looks finds a drift when the walk crosses its
boundaries; a single look on few units is Student's t, whose power is noncentral t.
`power` asks the questions of an analyst; this is the arithmetic behind them.

References:
    Jennison and Turnbull (2000), "Group Sequential Methods", 2.2 and 19.3.
    Harrison and Brady (2004), "Sample size and power calculations using the noncentral
    t-distribution", The Stata Journal 4(2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy

from experiments.statistics.crossing import Walk, crossings, follow
from experiments.statistics.means import welch_df
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    bisect,
    broadcast,
    divide,
    first,
    normal_quantile,
    student_quantile,
)
from experiments.statistics.sequential import Spending, boundaries

EXACT_BELOW = 5_000
"""Units in an arm below which Student's t takes the place of the normal."""

_NODES = 64
_FARTHEST = 60.0


@dataclass(frozen=True, slots=True)
class Detection:
    """One test of a plan.

    Attributes:
        alpha: two-sided error; twice that of a one-sided test.
        shares: of the two arms in all units.
        looks: information fractions.
        spending: spending function.
        normal: whether the test is normal whatever the number of units.
        one_sided: whether only the side of the distance counts.
    """

    alpha: float
    shares: tuple[float, float]
    looks: tuple[float, ...] = (1.0,)
    spending: Spending = "obrien_fleming"
    normal: bool = False
    one_sided: bool = False

    def power(
        self, distance: FloatArray, noise: Sequence[FloatArray], units: FloatArray
    ) -> FloatArray:
        """Return the probability to find a distance.

        Args:
            distance: true effect, or its distance from a margin.
            noise: squared standard error of each arm's mean, times all units.
            units: of all arms together.
        """
        distance, control, treatment, n = broadcast(
            distance=distance, control=noise[0], treatment=noise[1], units=units
        )
        drift = distance / np.sqrt(divide(control + treatment, n))
        small = self._small(n)
        if bool(small.any()):
            single = self._single(drift, (control, treatment), n)
            if len(self.looks) == 1:
                return np.where(small, single, self.of_drift(drift))
            alike = self._drift(single, looks=False)
            drift = np.where(small, np.where(np.isnan(single), np.nan, alike), drift)
        return self.of_drift(drift)

    def units(
        self, distance: FloatArray, noise: Sequence[FloatArray], power: FloatArray
    ) -> FloatArray:
        """Return the units of all arms that find a distance; inf at none.

        Raises:
            StatisticsError: power not between alpha and 1.
        """
        distance, control, treatment, wanted = broadcast(
            distance=distance, control=noise[0], treatment=noise[1], power=power
        )
        drift = self.drift(wanted)
        n = (control + treatment) * divide(drift, np.maximum(distance, 0.0)) ** 2
        n = np.where(distance <= 0, np.inf, n)
        small = self._small(n)
        if not bool(small.any()):
            return n
        goal, size = self._fixed(drift), np.sqrt(control + treatment)

        def missing(log: FloatArray) -> FloatArray:
            units = np.exp(log)
            single = self._single(
                distance * np.sqrt(units) / size, (control, treatment), units
            )
            return goal - np.nan_to_num(single)

        least = np.where(small, np.log(n), 0.0)
        most = np.log(10 * np.exp(least) + 1_000 / min(self.shares))
        found = np.exp(bisect(missing, np.zeros_like(least), most))
        return np.where(small, found, n)

    def effect(
        self, noise: Sequence[FloatArray], units: FloatArray, power: FloatArray
    ) -> FloatArray:
        """Return the distance found with some power, at a noise that is given.

        Raises:
            StatisticsError: power not between alpha and 1.
        """
        control, treatment, n, wanted = broadcast(
            control=noise[0], treatment=noise[1], units=units, power=power
        )
        drift, small = self.drift(wanted), self._small(n)
        if bool(small.any()):
            goal = self._fixed(drift)
            exact = bisect(
                lambda at: (
                    goal - np.nan_to_num(self._single(at, (control, treatment), n))
                ),
                np.zeros_like(drift),
                np.full_like(drift, _FARTHEST),
            )
            alone = np.minimum(*self.shares) * n < 2
            drift = np.where(small, np.where(alone, np.inf, exact), drift)
        return drift * np.sqrt(divide(control + treatment, n))

    def of_drift(self, drift: FloatArray) -> FloatArray:
        """Return the probability to find a drift over all looks."""
        if len(self.looks) == 1:
            return self._fixed(drift)
        walks, bounds = _path(self)
        drift = np.minimum(drift, _FARTHEST)
        above, below = crossings(walks, self.looks, bounds, drift)
        found = above if self.one_sided else above + below
        return np.asarray(np.minimum(found.sum(axis=-1), 1.0))

    def drift(self, power: FloatArray) -> FloatArray:
        """Return the drift that all looks find with some power.

        Raises:
            StatisticsError: power not between alpha and 1.
        """
        inside = (power > self.alpha) & (power < 1)
        if not bool(inside.all()):
            raise StatisticsError(
                f"power must lie between alpha ({self.alpha:g}) and 1, "
                f"got {first(power, ~inside):g}"
            )
        if power.size and bool((power == power.flat[0]).all()):
            one = self._drift(power.ravel()[:1], looks=True)
            return np.full(power.shape, one[0])
        return self._drift(power, looks=True)

    def _drift(self, power: FloatArray, *, looks: bool) -> FloatArray:
        found = self.of_drift if looks else self._fixed
        return bisect(
            lambda drift: power - found(drift),
            np.zeros_like(power),
            np.full_like(power, _FARTHEST),
        )

    def _fixed(self, drift: FloatArray) -> FloatArray:
        """Return the power of a single normal test."""
        edge = float(normal_quantile(self.alpha / 2))
        found = scipy.special.ndtr(drift - edge)
        return np.asarray(
            found if self.one_sided else found + scipy.special.ndtr(-drift - edge)
        )

    def _single(
        self, drift: FloatArray, noise: Sequence[FloatArray], n: FloatArray
    ) -> FloatArray:
        """Return the power of a single Welch test (noncentral t); NaN: no units."""
        n0, n1 = (np.where(share * n >= 2, share * n, np.nan) for share in self.shares)
        df = welch_df(noise[0], n0, noise[1], n1)
        edge = student_quantile(self.alpha / 2, df)
        drift = np.clip(drift, -_FARTHEST, _FARTHEST)
        # The far tail of the noncentral t is lost to SciPy where it is below 1e-300.
        found = np.nan_to_num(scipy.special.nctdtr(df, -drift, -edge))
        if not self.one_sided:
            found = found + np.nan_to_num(scipy.special.nctdtr(df, drift, -edge))
        return np.asarray(np.where(np.isnan(df + drift), np.nan, found))

    def _small(self, n: FloatArray) -> FloatArray:
        if self.normal:
            return np.zeros(n.shape, dtype=np.bool_)
        return np.asarray(min(self.shares) * n < EXACT_BELOW)


@lru_cache(maxsize=64)
def _path(test: Detection) -> tuple[tuple[Walk, ...], FloatArray]:
    bounds = boundaries(test.looks, test.alpha, kind=test.spending, final=True)
    return follow(test.looks, bounds, nodes=_NODES), bounds
