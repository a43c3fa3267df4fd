"""Runs the validation and writes its page, its picture and its figures.

A whole run writes to ``docs/validation``; a part, or one with fewer simulations, to
``var/validation``. The exit status is 1 when a bar is missed.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks.validation.claims import Claim
from benchmarks.validation.grid import Cell
from benchmarks.validation.methods import METHODS, Method
from benchmarks.validation.page import page
from benchmarks.validation.picture import picture
from benchmarks.validation.runs import (
    Facts,
    mean_is_good,
    mean_missed,
    record,
    run_checks,
    run_grid,
)

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run what was asked for; return the exit status."""
    asked = _arguments()
    began = time.monotonic()
    methods = _chosen(asked.only)
    cells = run_grid(
        methods, simulations=asked.simulations, processes=asked.processes, say=_say
    )
    claims = []
    if not asked.only:
        claims = run_checks(asked.simulations, processes=asked.processes, say=_say)
    facts = Facts.now((time.monotonic() - began) / 60, asked.processes)
    whole = not asked.only and asked.simulations is None
    folder = asked.folder or ROOT / ("docs" if whole else "var") / "validation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(page(cells, claims, facts), encoding="utf-8")
    (folder / "grid.svg").write_text(picture(cells), encoding="utf-8")
    (folder / "grid.json").write_text(record(cells, claims, facts), encoding="utf-8")
    failures = _failures(methods, cells, claims)
    print(*failures, sep="\n")
    print(
        f"{len(cells)} cells, {len(claims)} claims, {len(failures)} bars missed, "
        f"{facts.minutes:.1f} minutes: {folder}"
    )
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make validate-statistics")
    parser.add_argument("--only", nargs="+", metavar="METHOD", default=[])
    parser.add_argument("--simulations", type=int, help="at most so many a cell")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, help="where to write")
    return parser.parse_args()


def _chosen(words: list[str]) -> list[Method]:
    """Return the methods whose name or module holds one of the words; all for none."""
    found = [
        method
        for method in METHODS
        if not words or any(word in (method.module, method.name) for word in words)
    ]
    if not found:
        known = sorted({method.module for method in METHODS})
        sys.exit(f"no method {words}; modules: {', '.join(known)}")
    return found


def _failures(
    methods: list[Method], cells: list[Cell], claims: list[Claim]
) -> list[str]:
    """Return one line for every bar that is missed."""
    lines = [
        f"{cell.method.name}, {cell.data.law.name}, {cell.data.split}, "
        f"lift {cell.data.lift:.0%}: {'; '.join(cell.misses)}"
        for cell in cells
        if cell.misses
    ]
    for method in methods:
        own = [cell for cell in cells if cell.method == method]
        if not mean_is_good(method, own):
            lines.append(f"{method.name}: mean over its cells {mean_missed(own):.2%}")
    lines += [
        f"{claim.topic}, {claim.name}: {claim.figure:.4g} is not in "
        f"[{claim.low:.4g}, {claim.high:.4g}]"
        for claim in claims
        if not claim.good
    ]
    return lines


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
