"""Running the grid: cells over processes, and the second, longer run.

A cell that misses its bar is run once more with ten times the simulations and another
seed; so are all unflagged cells of a method whose mean leaves its band. The second run
counts, against the band for its size.
"""

import json
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Self, TypeAlias

from benchmarks.validation.arms import Law
from benchmarks.validation.bars import MEAN_BAND, RERUN_FACTOR, Bar, inside
from benchmarks.validation.checks import CHECKS
from benchmarks.validation.claims import Claim, checked
from benchmarks.validation.grid import Cell, DataCell, data_cells, simulate
from benchmarks.validation.methods import METHODS, Method, named

COMMAND = "make validate-statistics"

Size: TypeAlias = Callable[[Method, Law], int]
Job: TypeAlias = tuple[DataCell, tuple[str, ...], int, int]
"""A data cell, names of methods, simulations and the number of the run."""


def _whole(method: Method, _law: Law) -> int:
    return method.simulations


def jobs(methods: Sequence[Method], size: Size = _whole) -> list[Job]:
    """Return the first run of every cell, one job a data cell and a size."""
    found: list[Job] = []
    for data in data_cells():
        here = [method for method in methods if data.law.name in method.laws]
        for wanted in sorted({size(method, data.law) for method in here}):
            names = tuple(m.name for m in here if size(m, data.law) == wanted)
            found.append((data, names, wanted, 0))
    return found


def run_grid(
    methods: Sequence[Method],
    *,
    simulations: int | None = None,
    processes: int = 2,
    say: Callable[[str], None] = print,
) -> list[Cell]:
    """Run the grid for some methods and return its cells, methods in their order.

    Args:
        methods: entries of the table.
        simulations: at most so many a cell; by default each method's own number.
        processes: at work together; the figures do not depend on it.
        say: told of progress.
    """

    def size(method: Method, _law: Law) -> int:
        return min(method.simulations, simulations or method.simulations)

    with ProcessPoolExecutor(processes, initializer=_single_threaded) as pool:
        cells = _done(pool, jobs(methods, size), say)
        again = [cell for cell in cells.values() if _wants_more(cell, cells.values())]
        longer = _done(pool, _longer(again), say)
    for key, cell in longer.items():
        cells[key] = replace(cells[key], second=cell.first)
    order = {method.name: place for place, method in enumerate(METHODS)}
    return sorted(
        cells.values(), key=lambda cell: (order[cell.method.name], cell.data.number)
    )


def mean_missed(cells: Iterable[Cell]) -> float | None:
    """Return the mean error of the unflagged cells; None when all are flagged."""
    rates = [cell.tally.missed for cell in cells if not cell.tally.flagged]
    return sum(rates) / len(rates) if rates else None


def mean_is_good(method: Method, cells: Iterable[Cell]) -> bool:
    """Return whether a method's mean over its unflagged cells is in its band."""
    mean = mean_missed(cell for cell in cells if cell.method == method)
    return mean is None or inside(mean, MEAN_BAND, method.bar)


def _wants_more(cell: Cell, cells: Iterable[Cell]) -> bool:
    if cell.misses:
        return True
    asked = cell.method.bar is not Bar.LABELLED and not cell.tally.flagged
    return asked and not mean_is_good(cell.method, cells)


def _longer(cells: Sequence[Cell]) -> list[Job]:
    """Return the second run of the cells, one job a data cell and a size."""
    places: dict[tuple[DataCell, int], list[str]] = {}
    for cell in cells:
        size = RERUN_FACTOR * cell.first.simulations
        places.setdefault((cell.data, size), []).append(cell.method.name)
    return [(data, tuple(names), size, 1) for (data, size), names in places.items()]


def _done(
    pool: ProcessPoolExecutor, todo: Sequence[Job], say: Callable[[str], None]
) -> dict[tuple[str, int], Cell]:
    cells: dict[tuple[str, int], Cell] = {}
    for job, found in zip(todo, pool.map(_work, todo), strict=True):
        cells |= {(cell.method.name, cell.data.number): cell for cell in found}
        data, names, size, _ = job
        say(
            f"{data.law.name}, {data.split}, lift {data.lift:.0%}: "
            f"{len(names)} methods, {size:,} simulations"
        )
    return cells


def _work(job: Job) -> list[Cell]:
    data, names, size, run = job
    return simulate(data, [named(name) for name in names], size, run=run)


def _single_threaded() -> None:
    """Keep linear algebra to one thread: the processes share the cores."""
    os.environ["OMP_NUM_THREADS"] = "1"


def run_checks(
    simulations: int | None, *, processes: int, say: Callable[[str], None]
) -> list[Claim]:
    """Run every check and return its claims in their order."""
    with ProcessPoolExecutor(processes, initializer=_single_threaded) as pool:
        claims: list[Claim] = []
        todo = [(seed, simulations) for seed in range(len(CHECKS))]
        for found in pool.map(_check, todo):
            claims += found
            say(found[0].topic)
    return claims


def _check(job: tuple[int, int | None]) -> list[Claim]:
    seed, simulations = job
    check = CHECKS[seed]
    size = None if simulations is None else min(simulations, check.simulations)
    return checked(seed, check, size)


@dataclass(frozen=True)
class Facts:
    """How and when a validation was run."""

    command: str
    date: str
    minutes: float
    processes: int
    cores: int
    versions: dict[str, str]

    @classmethod
    def now(cls, minutes: float, processes: int) -> Self:
        """Return the facts of a run that ends now."""
        packages = {name: version(name) for name in ("numpy", "scipy")}
        return cls(
            command=COMMAND,
            date=datetime.now(UTC).date().isoformat(),
            minutes=round(minutes, 2),
            processes=processes,
            cores=os.cpu_count() or 0,
            versions={"Python": platform.python_version()} | packages,
        )


def record(cells: Sequence[Cell], claims: Sequence[Claim], facts: Facts) -> str:
    """Return everything as JSON, one line a cell and one a claim."""
    rows: list[dict[str, object]] = [
        {
            "cell": cell.data.number,
            "method": cell.method.name,
            "module": cell.method.module,
            "bar": cell.method.bar,
            "scale": cell.scale,
            "law": cell.data.law.name,
            "units": cell.data.law.units,
            "split": cell.data.split,
            "lift": cell.data.lift,
            "first": asdict(cell.first),
            "second": None if cell.second is None else asdict(cell.second),
            "flagged": cell.tally.flagged,
            "misses": cell.misses,
        }
        for cell in cells
    ]
    claimed: list[dict[str, object]] = [
        asdict(claim) | {"good": claim.good} for claim in claims
    ]
    return (
        f'{{"run": {json.dumps(asdict(facts))},\n'
        f'"cells": [\n{_lines(rows)}\n],\n"claims": [\n{_lines(claimed)}\n]}}\n'
    )


def _lines(rows: Iterable[dict[str, object]]) -> str:
    return ",\n".join(json.dumps(row) for row in rows)
