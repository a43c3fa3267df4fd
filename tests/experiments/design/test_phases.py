"""Edits of a running experiment: what opens an epoch, what a phase, who moves."""

from typing import Any

import pytest
from django.utils import timezone

from experiments.assignment.answers import UnitContext
from experiments.assignment.building import build_plan
from experiments.assignment.compiled import CompiledPlan
from experiments.design.models import Experiment
from experiments.design.services import (
    change_coverage,
    change_split,
    create_experiment,
    transition,
)
from models_registry.errors import ConflictError, InvalidError
from tests.factories import experiment_spec

pytestmark = pytest.mark.django_db
UNITS = [f"u{n}" for n in range(4_000)]


def running(**fields: Any) -> Experiment:
    made = create_experiment(experiment_spec("test", **fields), by=None)
    return transition(made, "start", by=None)


def variants() -> dict[str, str | None]:
    plan = CompiledPlan(build_plan(timezone.now()))
    now = timezone.now().timestamp()
    return {u: plan.assign("home", UnitContext(u, {}, now)).variant for u in UNITS}


def test_other_weights_open_a_phase_and_most_keep_their_variant() -> None:
    made = running()
    before = variants()
    phase = change_split(
        made, weights={"control": 0.4, "treatment": 0.6}, mode="continue", by=None
    )
    after = variants()
    moved = sum(before[u] != after[u] for u in UNITS) / len(UNITS)
    assert (phase.number, phase.seed) == (2, "test")
    assert moved == pytest.approx(0.1, abs=0.02)
    assert made.changes.first().summary == "Phase 2 opened (continue)"  # type: ignore[union-attr]
    assert dict(made.variants.values_list("key", "weight")) == phase.weights


def test_dealing_anew_gives_a_phase_that_knows_nothing_of_the_last() -> None:
    made = running()
    before = variants()
    phase = change_split(made, mode="rerandomise", by=None)
    after = variants()
    assert phase.seed != "test"
    assert made.bucket_version == 1
    kept = sum(before[u] == after[u] for u in UNITS) / len(UNITS)
    assert kept == pytest.approx(0.5, abs=0.03)


def test_coverage_goes_on_in_the_new_phase() -> None:
    made = running(coverage=0.5)
    change_coverage(made, 0.8, by=None)
    change_split(made, audience={"country": "NL"}, mode="continue", by=None)
    epoch = made.phases.get(number=2).epochs.get()
    assert (epoch.number, epoch.coverage) == (1, 0.8)
    assert set(variants().values()) == {None}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": {"control": 1.0}}, "give one for each of control, treatment"),
        ({"weights": {"control": 0.5, "treatment": 0.6}}, "sum to 1.1"),
        ({"weights": {"control": -0.5, "treatment": 1.5}}, "share of 0 to 1"),
        ({"audience": {"country": {"$no": 1}}}, "no"),
        ({"mode": "shuffle"}, "'shuffle' is no mode"),
    ],
)
def test_a_wrong_edit_is_refused_and_changes_nothing(
    change: dict[str, Any], sentence: str
) -> None:
    made = running()
    with pytest.raises(InvalidError, match=sentence):
        change_split(made, **{"mode": "continue", **change}, by=None)
    assert made.phases.count() == 1


def test_a_draft_has_no_phase_to_change() -> None:
    made = create_experiment(experiment_spec("test"), by=None)
    with pytest.raises(ConflictError, match="edit the draft"):
        change_split(made, mode="rerandomise", by=None)
