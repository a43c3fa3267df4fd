"""A part of the published validation: fewer simulations, bands as wide as they need.

``make validate-statistics`` runs the whole of it; the bars are in
``benchmarks/validation/bars.py``, the methods in ``methods.py`` beside it.
"""

import re

import pytest

from benchmarks.validation.bars import Bar, band, inside
from benchmarks.validation.checks import CHECKS
from benchmarks.validation.claims import Check, checked
from benchmarks.validation.grid import Cell, data_cells, simulate
from benchmarks.validation.methods import LAWS, METHODS
from benchmarks.validation.page import page
from benchmarks.validation.picture import picture
from benchmarks.validation.runs import Facts, Job, jobs

FACTS = Facts("a command", "a date", 1.0, 2, 2, {"Python": "3"})


def cells_of(job: Job, simulations: int) -> list[Cell]:
    data, names, _, _ = job
    chosen = [method for method in METHODS if method.name in names]
    return simulate(data, chosen, simulations)


def label(job: Job) -> str:
    data, names, size, _ = job
    where = f"{data.law.name}-{data.split}-{data.lift:.0%}-{len(names)}x{size}"
    return re.sub(r"[^\w%]+", "-", where)


def fewer() -> list[Job]:
    """All cells; for laws that are slow to draw only the ends of the lifts."""
    everything = jobs(METHODS, lambda _, law: law.fewer)
    return [job for job in everything if job[2] >= 1_000 or job[0].lift != 0.02]


@pytest.mark.parametrize("job", fewer(), ids=label)
def test_intervals_leave_the_truth_out_as_often_as_promised(job: Job) -> None:
    missed = {cell.method.name: cell.misses for cell in cells_of(job, job[2])}
    assert not {name: words for name, words in missed.items() if words}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.run.__name__)
def test_claims_hold_in_simulation(check: Check) -> None:
    claims = checked(CHECKS.index(check), check, check.fewer)
    assert not [claim for claim in claims if not claim.good]


def test_the_bands_are_the_stated_ones() -> None:
    def printed(simulations: int, rate: float = 0.05) -> tuple[float, ...]:
        return tuple(round(100 * end, 2) for end in band(simulations, rate))

    assert printed(10_000) == (4.15, 5.85)
    assert printed(2_000) == (3.10, 6.90)
    assert printed(10_000, 0.025) == (1.89, 3.11)
    assert inside(0.0, band(10_000), Bar.UPPER)
    assert not inside(0.0, band(10_000), Bar.BOTH)
    assert not inside(0.06, band(10_000), Bar.UPPER)


def test_every_law_is_used_and_every_method_knows_its_laws() -> None:
    used = {name for method in METHODS for name in method.laws}
    assert used == {law.name for law in LAWS}
    assert [data.number for data in data_cells()] == list(range(6 * len(LAWS)))


def test_a_method_that_errs_too_often_is_caught() -> None:
    naive = next(m for m in METHODS if m.name == "linear delta, lift")
    careless = type(naive)(
        "Welch at 7 %",
        naive.module,
        naive.laws,
        lambda a, b, alpha: METHODS[0].compare(a, b, 1.4 * alpha),
    )
    (cell,) = simulate(data_cells()[0], [careless], 10_000)
    assert cell.misses
    assert any("misses the truth" in words for words in cell.misses)


def test_the_page_and_the_picture_show_every_method_the_same_way_each_time() -> None:
    cells = [cell for job in jobs(METHODS[:2])[:3] for cell in cells_of(job, 100)]
    text = page(cells, [], FACTS)
    assert all(f"## {cell.method.name}" in text for cell in cells)
    drawn = picture(cells)
    assert drawn.startswith("<svg")
    assert drawn == picture(cells)
