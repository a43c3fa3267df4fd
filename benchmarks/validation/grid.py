"""Cells, simulations and tallies.

A data cell is one law, one split and one true lift; its number is its seed. All methods
for a law see the same draws. A cell that misses its bar is run once more with ten times
the simulations (100,000) and another seed, and the second run counts.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import stats

from benchmarks.validation.arms import Arm, Law
from benchmarks.validation.bars import SKEWED_TAILS, Bar, band, inside
from benchmarks.validation.methods import LAWS, Method
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.numeric import FloatArray

ALPHA = 0.05
LIFTS = (0.0, 0.02, 0.2)
SPLITS = {"50/50": (1, 1), "90/10": (9, 1)}
UNIFORM = 0.001
SILENT = (Status.NOT_ENOUGH_DATA, Status.DEGENERATE)
CLEAR = (Status.OK, Status.UNBOUNDED)


@dataclass(frozen=True)
class DataCell:
    """One kind of data; ``number`` is the seed."""

    number: int
    law: Law
    split: str
    lift: float

    def arms(self, run: int, simulations: int) -> Iterator[tuple[Arm, Arm]]:
        """Draw control and treatment, some simulations at a time."""
        many, few = SPLITS[self.split]
        units = self.law.units * many, self.law.units * few
        left, block = simulations, 0
        while left > 0:
            size = min(left, self.law.block)
            generator = np.random.default_rng([self.number, run, block])
            yield self.law.pair(generator, size, units, self.lift)
            left, block = left - size, block + 1


def data_cells() -> tuple[DataCell, ...]:
    """Return every data cell, numbered."""
    places = [(law, split, lift) for law in LAWS for split in SPLITS for lift in LIFTS]
    return tuple(DataCell(i, *place) for i, place in enumerate(places))


@dataclass(frozen=True)
class Tally:
    """What happened in the simulations of one method on one data cell.

    Attributes:
        simulations: experiments simulated.
        below: whose interval lies below the truth.
        above: whose interval lies above the truth.
        rejected: with p < alpha: errors at lift 0, else finds.
        contradictions: whose interval and p-value disagree.
        warned: with an interval and a warning of the engine beside it.
        unbounded: without a finite interval.
        silent: with too little or degenerate data, about which nothing is said.
        seconds: of one core, drawing aside.
        uniform: Kolmogorov-Smirnov p of the p-values; None where not asked.
    """

    simulations: int = 0
    below: int = 0
    above: int = 0
    rejected: int = 0
    contradictions: int = 0
    warned: int = 0
    unbounded: int = 0
    silent: int = 0
    seconds: float = 0.0
    uniform: float | None = None

    @property
    def missed(self) -> float:
        """Share of intervals that leave the truth out."""
        return (self.below + self.above) / self.simulations

    @property
    def flagged(self) -> bool:
        """Whether the engine warns in at least half of the simulations."""
        return self.warned >= 0.5 * self.simulations

    def share(self, name: str) -> float:
        """Return one of the counts as a share of the simulations."""
        return float(getattr(self, name)) / self.simulations


@dataclass(frozen=True)
class Cell:
    """One method on one data cell.

    Attributes:
        data: law, split and true lift.
        method: what was asked.
        scale: absolute or relative.
        first: the run that every cell has.
        second: the longer run of a cell that missed its bar, else None.
    """

    data: DataCell
    method: Method
    scale: str
    first: Tally
    second: Tally | None = None

    @property
    def tally(self) -> Tally:
        """The run that counts."""
        return self.second or self.first

    @property
    def misses(self) -> list[str]:
        """What the run that counts does not satisfy, in words."""
        got, bar = self.tally, self.method.bar
        if bar is Bar.LABELLED:
            return []
        found = []
        if got.contradictions:
            found.append(f"interval and p disagree {got.contradictions} times")
        if got.flagged:
            return found
        if not inside(got.missed, band(got.simulations, ALPHA), bar):
            found.append(f"misses the truth in {got.missed:.2%}")
        tails = band(got.simulations, ALPHA / 2)
        if not self.data.law.symmetric:
            tails = min(tails[0], SKEWED_TAILS[0]), max(tails[1], SKEWED_TAILS[1])
        found += [
            f"lies {side} the truth in {got.share(side):.2%}"
            for side in ("below", "above")
            if not inside(got.share(side), tails, bar)
        ]
        if got.uniform is not None and got.uniform < UNIFORM:
            found.append(f"p-values are not uniform (KS p {got.uniform:.1e})")
        return found


def simulate(
    data: DataCell, methods: Sequence[Method], simulations: int, *, run: int = 0
) -> list[Cell]:
    """Simulate one data cell for some methods of its law; ``run`` is part of the seed.

    Only continuous metrics without an effect have uniform p-values.
    """
    tallies = {method: Tally() for method in methods}
    p_values: dict[Method, list[FloatArray]] = {method: [] for method in methods}
    scales: dict[Method, str] = {}
    for control, treatment in data.arms(run, simulations):
        for method in methods:
            began = time.process_time()
            result = method.compare(control, treatment, ALPHA)
            seconds = time.process_time() - began
            tallies[method] = _added(tallies[method], _counted(result, data), seconds)
            p_values[method].append(result.p_value)
            scales[method] = result.scale
    if data.law.continuous and data.lift == 0:
        for method in methods:
            found = stats.kstest(np.concatenate(p_values[method]), "uniform")
            tallies[method] = replace(tallies[method], uniform=float(found.pvalue))
    return [Cell(data, method, scales[method], tallies[method]) for method in methods]


def _counted(result: Comparison, data: DataCell) -> Tally:
    """Count one block of simulations."""
    size = 1.0 if result.scale == "relative" else abs(data.law.mean)
    truth = data.lift * size
    status = result.status.astype(str)
    unknown = np.isnan(result.lower) | np.isnan(result.upper)
    usable = ~(np.isin(status, SILENT) | unknown)
    rejected = usable & (result.p_value < ALPHA)
    excluded = usable & result.excludes_zero
    # A set that is everything excludes nothing: there the absolute effect decides.
    compared = usable & np.isfinite(result.p_value) & (status != Status.UNBOUNDED)
    counts = {
        "below": usable & (result.upper < truth),
        "above": usable & (result.lower > truth),
        "rejected": rejected,
        "contradictions": compared & (rejected != excluded),
        "warned": usable & ~np.isin(status, CLEAR),
        "unbounded": status == Status.UNBOUNDED,
        "silent": ~usable,
    }
    return Tally(status.size, **{name: int(v.sum()) for name, v in counts.items()})


def _added(a: Tally, b: Tally, seconds: float) -> Tally:
    names = [field.name for field in fields(Tally) if field.type is int]
    sums = {name: getattr(a, name) + getattr(b, name) for name in names}
    return Tally(**sums, seconds=a.seconds + seconds)
