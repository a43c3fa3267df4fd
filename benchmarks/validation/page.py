"""The page of the grid: tables by method, for a reader who wants to check them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.validation.bars import MEAN_BAND, Bar, band
from benchmarks.validation.claims import Claim
from benchmarks.validation.grid import ALPHA, Cell, Tally
from benchmarks.validation.runs import Facts, mean_is_good, mean_missed

_INTRO = Path(__file__).with_name("intro.md")

_COLUMNS = (
    *("data", "split", "units", "lift", "wrong", "longer run"),
    *("too low", "too high", "found", "warned", "verdict"),
)
_VERDICT = {True: "yes", False: "**no**"}


def page(cells: Sequence[Cell], claims: Sequence[Claim], facts: Facts) -> str:
    """Return the page as Markdown."""
    low, high = band(10_000, ALPHA)
    tail_low, tail_high = band(10_000, ALPHA / 2)
    parts = [
        _INTRO.read_text(encoding="utf-8").format(
            facts=_facts(facts),
            low=low,
            high=high,
            tail_low=tail_low,
            tail_high=tail_high,
            mean_low=MEAN_BAND[0],
            mean_high=MEAN_BAND[1],
        ),
        "## Methods\n",
        _overview(cells),
    ]
    for method, own in groupby(cells, key=lambda cell: cell.method):
        option = " (option)" if method.bar is Bar.LABELLED else ""
        parts += [
            f"## {method.name}{option}\n",
            f"`experiments/statistics/{method.module}.py`\n",
            _table(list(own)),
        ]
    for topic, own_claims in groupby(claims, key=lambda claim: claim.topic):
        parts += [f"## {topic}\n", _claims(own_claims)]
    return "\n".join(parts)


def _facts(facts: Facts) -> str:
    versions = ", ".join(f"{name} {text}" for name, text in facts.versions.items())
    return (
        f"`{facts.command}`, {facts.date}: {facts.minutes:.1f} minutes in "
        f"{facts.processes} processes on {facts.cores} cores; {versions}."
    )


def _overview(cells: Sequence[Cell]) -> str:
    lines = [
        "| method | cells | flagged | run longer | mean of the unflagged | all met |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for method, group in groupby(cells, key=lambda cell: cell.method):
        own = list(group)
        mean = mean_missed(own)
        good = mean_is_good(method, own) and not any(cell.misses for cell in own)
        asked = "option" if method.bar is Bar.LABELLED else _VERDICT[good]
        lines.append(
            f"| {method.name} | {len(own)} "
            f"| {sum(cell.tally.flagged for cell in own)} "
            f"| {sum(cell.second is not None for cell in own)} "
            f"| {'-' if mean is None else f'{mean:.2%}'} | {asked} |"
        )
    return "\n".join(lines) + "\n"


def _table(cells: Sequence[Cell]) -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---|---|" + "--:|" * 8 + "---|"]
    for cell in cells:
        data, got = cell.data, cell.tally
        second = "" if cell.second is None else f"{cell.second.missed:.2%}"
        lines.append(
            f"| {data.law.name} | {data.split} | {data.law.units:,} | {data.lift:.0%} "
            f"| {cell.first.missed:.2%} | {second} "
            f"| {got.share('below'):.2%} | {got.share('above'):.2%} "
            f"| {got.share('rejected'):.1%} | {_warns(got)} | {verdict(cell)} |"
        )
    return "\n".join(lines) + "\n"


def _warns(got: Tally) -> str:
    text = f"{got.share('warned'):.0%}"
    for name, word in (("unbounded", "no bounds"), ("silent", "says nothing")):
        if getattr(got, name):
            text += f", {word} {got.share(name):.1%}"
    return text


def verdict(cell: Cell) -> str:
    """Return what is said of a cell in the last column."""
    if cell.misses:
        return "**missed**: " + "; ".join(cell.misses)
    if cell.tally.flagged:
        return "flagged"
    return "option" if cell.method.bar is Bar.LABELLED else "ok"


def _claims(claims: Iterable[Claim]) -> str:
    lines = [
        "| what | figure | asked | simulations | module | met |",
        "|---|--:|---|--:|---|---|",
    ]
    for claim in claims:
        figure = _figure(claim, claim.figure)
        if claim.first is not None:
            figure += f" (first run {_figure(claim, claim.first)})"
        lines.append(
            f"| {claim.name} | {figure} "
            f"| {_figure(claim, claim.low)} to {_figure(claim, claim.high)} "
            f"| {claim.simulations:,} | `{claim.module}` | {_VERDICT[claim.good]} |"
        )
    return "\n".join(lines) + "\n"


def _figure(claim: Claim, value: float) -> str:
    return f"{value:.2%}" if claim.share else f"{value:.4g}"
