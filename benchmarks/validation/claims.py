"""Claims that are no grid: repeated looks, covariates' gain, many metrics, allocation.

A check is a function of a generator and a number of simulations that returns claims. To
add one, write it in a module of ``checks`` and enter it at the end of `CHECKS`, where
its place is its seed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from benchmarks.validation.bars import RERUN_FACTOR, band


@dataclass(frozen=True)
class Claim:
    """One simulated figure and what it has to satisfy.

    Attributes:
        topic: heading it stands under.
        name: what was simulated.
        figure: what came out.
        low: smallest figure allowed.
        high: largest figure allowed.
        simulations: experiments simulated.
        module: what it speaks of, in ``experiments.statistics``.
        share: whether the figure is a share, shown in per cent.
        first: the figure of a first, shorter run that missed its bounds.
    """

    topic: str
    name: str
    figure: float
    low: float
    high: float
    simulations: int
    module: str
    share: bool = True
    first: float | None = None

    @property
    def good(self) -> bool:
        """Whether the figure is within its bounds."""
        return self.low <= self.figure <= self.high


Function: TypeAlias = Callable[[np.random.Generator, int], list[Claim]]


@dataclass(frozen=True)
class Check:
    """A function and how much it simulates.

    Attributes:
        run: returns the claims.
        simulations: of the first run.
        fewer: in the normal tests.
        again: whether ten times as many are run when a claim fails; not where the first
            run is long as it is.
    """

    run: Function
    simulations: int = 10_000
    fewer: int = 2_000
    again: bool = True


def checked(seed: int, check: Check, simulations: int | None = None) -> list[Claim]:
    """Run a check; once more and longer when a claim of it fails."""
    size = check.simulations if simulations is None else simulations
    claims = check.run(np.random.default_rng([10_000 + seed, 0]), size)
    if all(claim.good for claim in claims) or not check.again:
        return claims
    longer = check.run(np.random.default_rng([10_000 + seed, 1]), RERUN_FACTOR * size)
    return [
        claim if claim.good else replace(second, first=claim.figure)
        for claim, second in zip(claims, longer, strict=True)
    ]


def near(rate: float, simulations: int) -> tuple[float, float]:
    """Return the 99.99 % band of a share."""
    low, high = band(simulations, rate)
    return max(low, 0.0), high
