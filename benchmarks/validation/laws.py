"""The kinds of data of the grid, drawn for many simulated experiments at once.

An arm is drawn as its sufficient statistics wherever their joint distribution is known
exactly, which is the same as drawing every unit and adding up:

- a yes/no metric: the number of events is binomial;
- a count or a pair of counts: the table of units by value is multinomial;
- zero-inflated money: the number of buyers is binomial, each buyer's value is drawn;
- a normal metric with a covariate: means are normal, centred sums are Wishart.

Everything else is drawn unit by unit. A lift multiplies the metric's mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.validation.arms import Arm, Events, Law
from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.numeric import FloatArray

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Normal(Law):
    """Mean 1, standard deviation 1, unit by unit."""

    symmetric: bool = True
    continuous: bool = True

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return 1.0

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw every unit: third moments are wanted too."""
        rows = generator.standard_normal((simulations, units))
        rows += 1 + lift
        return Arm(units, Moments.from_units(rows))


@dataclass(frozen=True)
class Bernoulli(Law):
    """An event or none."""

    share: float = 0.05

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return self.share

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw the number of events; moments follow from it exactly."""
        events = generator.binomial(units, self.share * (1 + lift), simulations)
        p = events / units
        spread = units * p * (1 - p)
        moments = Moments(
            np.full(simulations, float(units)), p, spread, spread * (1 - 2 * p)
        )
        return Arm(units, moments, Events(events.astype(np.float64)))


@dataclass(frozen=True)
class Poisson(Law):
    """Counts with mean ``rate``; beyond 1e-13 of the distribution they are cut."""

    rate: float = 1.0

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return self.rate

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw how many units have each value."""
        law = stats.poisson(self.rate * (1 + lift))
        values = np.arange(int(law.isf(1e-13)) + 1)
        table = _multinomial(generator, units, law.pmf(values), simulations)
        mean = table @ values / units
        gap = values - mean[:, None]
        m2, m3 = (table * gap**2).sum(-1), (table * gap**3).sum(-1)
        count = np.full(simulations, float(units))
        moments = Moments(count, mean, m2, m3)
        return Arm(units, moments, Events((table @ values).astype(np.float64)))


@dataclass(frozen=True)
class Revenue(Law):
    """Most units spend nothing, buyers a log-normal sum that a lift multiplies."""

    buyers: float = 0.05
    sigma: float = 1.0
    block: int = 500

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return float(self.buyers * np.exp(self.sigma**2 / 2))

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw buyers, then each buyer's value; the others are zeros."""
        buyers = generator.binomial(units, self.buyers, simulations)
        values = generator.standard_normal(int(buyers.sum()))
        values *= self.sigma
        np.exp(values, out=values)
        values *= 1 + lift
        starts = np.concatenate([[0], np.cumsum(buyers)[:-1]])
        mean = np.add.reduceat(values, starts) / units
        gap = values - np.repeat(mean, buyers)
        square = gap * gap
        rest = units - buyers
        m2 = np.add.reduceat(square, starts) + rest * mean**2
        square *= gap
        m3 = np.add.reduceat(square, starts) - rest * mean**3
        moments = Moments(np.full(simulations, float(units)), mean, m2, m3)
        return Arm(units, moments)


@dataclass(frozen=True)
class ClicksPerView(Law):
    """A unit has 1 + Poisson views and clicks each at a rate of its own.

    Rates are beta distributed with mean 10 % and correlation 0.1 between the views of
    a unit; beyond 1e-9 of the distribution views are cut.
    """

    rate: float = 0.1
    views: float = 4.0
    block: int = 1_000

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return self.rate

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw how many units have each pair of views and clicks."""
        extra = stats.poisson(self.views - 1)
        most = int(extra.isf(1e-9)) + 1
        views, clicks = np.meshgrid(
            np.arange(1, most + 1), np.arange(most + 1), indexing="ij"
        )
        possible = clicks <= views
        views, clicks = views[possible], clicks[possible]
        rate = self.rate * (1 + lift)
        odds = stats.betabinom(views, 9 * rate, 9 * (1 - rate)).pmf(clicks)
        odds = odds * extra.pmf(views - 1)
        table = _multinomial(generator, units, odds, simulations)
        values = np.stack([clicks, views], -1).astype(np.float64)
        mean = table @ values / units
        squares = table @ (values[:, :, None] * values[:, None, :]).reshape(-1, 4)
        m2 = squares.reshape(-1, 2, 2) - units * mean[:, :, None] * mean[:, None, :]
        cross = CrossMoments(
            np.full(simulations, float(units)),
            mean[:, 0],
            mean[:, 1],
            m2[:, 0, 0],
            m2[:, 1, 1],
            m2[:, 0, 1],
        )
        return Arm(units, cross)


@dataclass(frozen=True)
class Correlated(Law):
    """A normal metric (mean 1, sd 1) and its pre-period value, correlation ``rho``."""

    rho: float = 0.7
    symmetric: bool = True
    continuous: bool = True
    block: int = 20_000

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return 1.0

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw means and, by Bartlett's decomposition, the Wishart centred sums."""
        a, b, c = generator.standard_normal((3, simulations))
        one = np.sqrt(generator.chisquare(units - 1, simulations))
        two = generator.chisquare(units - 2, simulations)
        rest = np.sqrt(1 - self.rho**2)
        cross = CrossMoments(
            count=np.full(simulations, float(units)),
            mean_y=1 + lift + (self.rho * a + rest * b) / np.sqrt(units),
            mean_x=a / np.sqrt(units),
            m2_x=one**2,
            cxy=self.rho * one**2 + rest * one * c,
            m2_y=(self.rho * one + rest * c) ** 2 + rest**2 * two,
        )
        return Arm(units, cross)


def _multinomial(
    generator: np.random.Generator, units: int, odds: FloatArray, simulations: int
) -> Counts:
    """Draw tables of units by value; likely values first, which is quicker."""
    order = np.argsort(-odds)
    drawn = generator.multinomial(units, odds[order] / odds.sum(), simulations)
    table = np.empty_like(drawn)
    table[:, order] = drawn
    return table
