"""Kinds of data in which a unit is more than one number: rows, clusters, periods.

Layouts (who has how many rows, which block had which variant) are drawn anew for every
block of simulations; values are drawn anew for each simulation.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.signal import lfilter

from benchmarks.validation.arms import Arm, Law
from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.clusters import cluster_totals
from experiments.statistics.numeric import FloatArray
from experiments.statistics.quantiles import QuantileStatistics
from experiments.statistics.replicates import REPLICATES, ReplicateSums
from experiments.statistics.switchback import Schedule


@dataclass(frozen=True)
class Rows(Law):
    """Log-normal rows such as load times; rows of a unit resemble each other.

    A unit has 1 + Poisson(3) rows, a correlation of ``alike`` between their logarithms;
    the value asked for is a quantile of the rows. With ``alike`` 0 each unit has one.
    """

    level: float = 0.9
    alike: float = 0.5
    block: int = 100
    fewer: int = 200

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return float(np.exp(0.5 * special.ndtri(self.level)))

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw every row."""
        rows = np.ones(units, dtype=np.int64)
        if self.alike:
            rows += generator.poisson(3, units)
        owner = np.repeat(np.arange(units), rows)
        values = generator.standard_normal((simulations, owner.size))
        if self.alike:
            own = generator.standard_normal((simulations, units))
            values *= np.sqrt(1 - self.alike)
            values += np.sqrt(self.alike) * own[:, owner]
        values *= 0.5
        np.exp(values, out=values)
        values *= 1 + lift
        return Arm(
            units,
            QuantileStatistics.from_units(
                values, owner if self.alike else None, level=self.level
            ),
        )


@dataclass(frozen=True)
class ResampledRevenue(Law):
    """Zero-inflated log-normal money, reduced to bootstrap replicates.

    Buyers are drawn and weighted one by one. The others are zeros: of them only the
    weighted number counts, which is Poisson; they are a shard of their own.
    """

    buyers: float = 0.05
    sigma: float = 1.0
    block: int = 50
    fewer: int = 40

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return float(self.buyers * np.exp(0.5 * self.sigma**2))

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw buyers and their values; fresh keys, so fresh weights, a block."""
        buyers = generator.binomial(units, self.buyers, simulations)
        most = int(buyers.max())
        logs = self.sigma * generator.standard_normal((simulations, most))
        values = np.exp(logs) * (1 + lift)
        values[np.arange(most) >= buyers[:, None]] = 0.0
        keys = generator.integers(0, 2**63, most)
        sums = ReplicateSums.from_rows(values, keys)
        rest = generator.poisson(units - most, (simulations, REPLICATES))
        zeros = ReplicateSums(
            _constant(np.full(simulations, float(units - most))),
            _constant(rest.astype(np.float64)),
        )
        return Arm(units, sums.merge(zeros))


def _constant(count: FloatArray) -> CrossMoments:
    """Return moments of units whose value is 0 and whose denominator is 1."""
    none = np.zeros_like(count)
    return CrossMoments(count, none, none + 1, none, none, none)


@dataclass(frozen=True)
class Shops(Law):
    """Whole shops are assigned; users of one shop resemble each other (ICC 0.04).

    Sizes are log-normal around 100 users; totals follow exactly from a shop's own level
    and the noise of its users.
    """

    symmetric: bool = True
    continuous: bool = True
    spread: float = 0.2

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return 1.0

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw sizes, levels and totals of the shops."""
        shape = (simulations, units)
        size = np.ceil(100 * np.exp(0.5 * generator.standard_normal(shape)))
        level = 1 + lift + self.spread * generator.standard_normal(shape)
        noise = np.sqrt(size) * generator.standard_normal(shape)
        return Arm(units, cluster_totals(size, size * level + noise))


@dataclass(frozen=True)
class Strata(Law):
    """A normal metric (sd 1 within) whose level differs between five strata.

    Units fall into the strata by chance; the lift is larger where the level is, so that
    the effect differs between strata too.
    """

    continuous: bool = True
    shares: tuple[float, ...] = (0.1, 0.15, 0.2, 0.25, 0.3)
    levels: tuple[float, ...] = (0.2, 0.6, 1.0, 1.2, 1.3)

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return float(np.dot(self.shares, self.levels))

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw the units of each stratum, then its mean and squares, exactly."""
        count = generator.multinomial(units, self.shares, simulations).astype(float)
        noise = generator.standard_normal(count.shape)
        mean = np.array(self.levels) * (1 + lift) + noise / np.sqrt(count)
        m2 = generator.chisquare(np.maximum(count - 1, 1))
        return Arm(units, Moments(count, mean, m2, np.zeros_like(m2)))


@dataclass(frozen=True)
class Blocks:
    """A switchback: outcome of each period, shape (simulation, period)."""

    outcome: FloatArray
    schedule: Schedule


@dataclass(frozen=True)
class Switchback(Law):
    """Blocks of six periods; noise is autocorrelated, effects linger two periods."""

    symmetric: bool = True
    block: int = 1
    fewer: int = 100
    periods: int = 6
    burn_in: int = 2
    autocorrelation: float = 0.5

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return 1.0

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw no arm alone: both share the time line."""
        raise NotImplementedError("arms of a switchback are drawn together")

    def pair(
        self,
        generator: np.random.Generator,
        simulations: int,
        units: tuple[int, int],
        lift: float,
    ) -> tuple[Arm, Arm]:
        """Draw the schedule and the noise, one simulation at a time."""
        blocks = sum(units)
        chance = units[1] / blocks
        arms = generator.random(blocks) < chance
        block = np.repeat(np.arange(blocks), self.periods)
        treated = arms[block]
        shape = (simulations, block.size)
        fresh = np.sqrt(1 - self.autocorrelation**2)
        noise = lfilter(
            [fresh], [1.0, -self.autocorrelation], generator.standard_normal(shape)
        )
        weights = np.ones(self.burn_in + 1) / (self.burn_in + 1)
        felt = np.convolve(treated, weights)[: block.size]
        trend = np.sin(np.arange(block.size) / 20)
        outcome = 1 + 0.5 * noise + trend + lift * felt
        both = Blocks(
            outcome,
            Schedule.of(block, treated, burn_in=self.burn_in, probability=chance),
        )
        return Arm(units[0], both), Arm(units[1], both)
