"""Layers, holdouts, prerequisites and forced units, from the database to an answer."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.assignment.answers import Assignment, Reason, UnitContext
from experiments.assignment.building import build_plan
from experiments.assignment.compiled import CompiledPlan
from experiments.design.models import (
    Experiment,
    ForcedVariant,
    Layer,
    LayerSegment,
    Placement,
)
from experiments.design.segments import SEGMENTS, bucket_ranges, draw
from experiments.design.services import (
    PrerequisiteSpec,
    create_experiment,
    create_layer,
    end_holdout,
    open_holdout,
    transition,
)
from experiments.design.services.prerequisites import circle
from models_registry.errors import InvalidError
from tests.factories import experiment_spec

pytestmark = pytest.mark.django_db
UNITS = [f"u{n}" for n in range(3_000)]


def place(key: str, default: object = False) -> Placement:
    made, _ = Placement.objects.get_or_create(
        key=key,
        defaults={"name": key, "value_type": "boolean", "default_value": default},
    )
    return made


def running(key: str, at: Placement, **fields: Any) -> Experiment:
    spec = experiment_spec(key)
    variants = [
        replace(variant, version=None, payload=position == 1)
        for position, variant in enumerate(spec.variants)
    ]
    spec = replace(spec, placement=at, variants=variants, **fields)
    return transition(create_experiment(spec, by=None), "start", by=None)


def answers(placement: str, units: list[str] = UNITS) -> dict[str, Assignment]:
    plan = CompiledPlan(build_plan(timezone.now()))
    now = timezone.now().timestamp()
    return {unit: plan.assign(placement, UnitContext(unit, {}, now)) for unit in units}


def inside(found: dict[str, Assignment]) -> set[str]:
    return {unit for unit, answer in found.items() if answer.experiment}


def test_experiments_of_a_layer_never_share_a_shopper() -> None:
    layer = create_layer(key="home", name="Home page")
    running("one", place("top"), layers=[(layer, 40)])
    running("two", place("side"), layers=[(layer, 60)])
    first, second = inside(answers("top")), inside(answers("side"))
    assert not first & second
    assert first | second == set(UNITS)
    assert len(first) == pytest.approx(0.4 * len(UNITS), rel=0.1)


def test_a_layer_that_is_full_refuses_one_more_and_says_what_to_do() -> None:
    layer = create_layer(key="home", name="Home page")
    running("one", place("top"), layers=[(layer, 70)])
    with pytest.raises(InvalidError, match="has 30 % of its shoppers left"):
        running("two", place("side"), layers=[(layer, 31)])
    assert layer.segments.count() == 70


def test_an_experiment_may_sit_in_two_layers() -> None:
    layers = [create_layer(key=key, name=key) for key in ("price", "design")]
    running("both", place("top"), layers=[(each, 50) for each in layers])
    share = len(inside(answers("top"))) / len(UNITS)
    assert share == pytest.approx(0.25, abs=0.04)


def test_the_schema_refuses_a_second_owner_of_a_segment() -> None:
    layer = create_layer(key="home", name="Home page")
    one = running("one", place("top"), layers=[(layer, 1)])
    [taken] = layer.segments.all()
    with pytest.raises(IntegrityError), transaction.atomic():
        LayerSegment.objects.create(
            layer=layer, membership=one.memberships.get(), number=taken.number
        )


def test_the_share_of_a_finished_experiment_is_dealt_anew() -> None:
    layer = create_layer(key="home", name="Home page")
    one = running("one", place("top"), layers=[(layer, 50)])
    running("two", place("side"), layers=[(layer, 20)])
    before, bystanders = inside(answers("top")), inside(answers("side"))
    transition(one, "conclude", by=None)
    running("three", place("foot"), layers=[(layer, 50)])
    after = inside(answers("foot"))
    assert inside(answers("side")) == bystanders
    assert 0.4 < len(after & before) / len(after) < 0.9


def test_an_empty_layer_rotates_its_seed() -> None:
    layer = create_layer(key="home", name="Home page")
    one = running("one", place("top"), layers=[(layer, 50)])
    transition(one, "conclude", by=None)
    again = Layer.objects.get(pk=layer.pk)
    assert again.generation == 1
    assert again.seed != layer.seed
    assert not again.segments.exists()


def test_a_holdout_keeps_the_same_shoppers_out_of_every_experiment() -> None:
    open_holdout(key="quarter", name="Fourth quarter", share=0.1)
    running("one", place("top"))
    running("two", place("side"))
    found = answers("top")
    held = {unit for unit in UNITS if found[unit].experiment is None}
    assert {found[unit].reason for unit in held} == {Reason.HOLDOUT}
    assert len(held) == pytest.approx(0.1 * len(UNITS), rel=0.2)
    assert held == set(UNITS) - inside(answers("side"))


def test_a_holdout_by_tag_binds_the_tagged_experiments_only() -> None:
    open_holdout(key="prices", name="Prices", share=0.5, tags=["price"])
    running("one", place("top"), tags=["price", "summer"])
    running("two", place("side"), tags=["design"])
    assert len(inside(answers("top"))) < 0.6 * len(UNITS)
    assert inside(answers("side")) == set(UNITS)


def test_opening_or_ending_a_holdout_moves_nobody_in_a_running_experiment() -> None:
    hour = timedelta(hours=1)
    running("early", place("top"))
    before = answers("top")
    held = open_holdout(key="late", name="Late", share=0.3, now=timezone.now())
    assert answers("top") == before
    running("during", place("side"))
    during = answers("side")
    end_holdout(held, now=timezone.now() + hour)
    assert answers("side") == during


def test_a_holdout_of_more_than_half_is_refused() -> None:
    with pytest.raises(ValidationError):
        open_holdout(key="all", name="All", share=0.9)


def test_a_prerequisite_lets_in_those_whom_the_other_placement_answers_so() -> None:
    running("new-checkout", place("checkout"))
    asked = PrerequisiteSpec(place("checkout"), {"value": True})
    running("one-click", place("button"), prerequisites=[asked])
    checkout, button = answers("checkout"), answers("button")
    treated = {u for u, answer in checkout.items() if answer.variant == "treatment"}
    assert inside(button) == treated
    outside = {button[unit].reason for unit in set(UNITS) - treated}
    assert outside == {Reason.PREREQUISITE}


def test_a_circle_of_prerequisites_is_refused_with_its_path() -> None:
    asked = PrerequisiteSpec(place("b"), {"value": True})
    running("one", place("a"), prerequisites=[asked])
    back = PrerequisiteSpec(place("a"), {"value": True})
    with pytest.raises(InvalidError, match="a -> b -> a"):
        running("two", place("b"), prerequisites=[back])


def test_a_prerequisite_that_cannot_be_read_is_refused() -> None:
    asked = PrerequisiteSpec(place("b"), {"value": {"$nonsense": 1}})
    with pytest.raises(InvalidError, match="nonsense"):
        running("one", place("a"), prerequisites=[asked])


def test_a_circle_is_found_however_long_it_is() -> None:
    needs = {"a": ["b", "x"], "b": ["c"], "c": ["d"], "d": ["b"], "x": []}
    assert circle(needs) == ("b", "c", "d", "b")
    assert circle({"a": ["b"], "b": []}) == ()


def test_a_forced_unit_gets_its_variant_even_in_a_holdout() -> None:
    open_holdout(key="half", name="Half", share=0.5)
    made = running("one", place("top"))
    held = next(u for u, a in answers("top").items() if a.experiment is None)
    treatment = made.variants.get(key="treatment")
    ForcedVariant.objects.create(experiment=made, unit_id=held, variant=treatment)
    answer = answers("top", [held])[held]
    assert (answer.variant, answer.reason) == ("treatment", Reason.FORCED)
    assert answer.exposure == ""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=12),
)
def test_whatever_comes_and_goes_no_segment_has_two_owners(
    moves: list[tuple[int, bool]],
) -> None:
    owned: dict[int, tuple[int, ...]] = {}
    generation = 0
    for number, (wanted, leaves) in enumerate(moves):
        taken = {segment for segments in owned.values() for segment in segments}
        free = set(range(SEGMENTS)) - taken
        got = draw("home", generation, free, min(wanted, len(free)))
        assert len(set(got)) == len(got) == min(wanted, len(free))
        assert not taken.intersection(got)
        owned[number] = got
        covered = sum(end - start for start, end in bucket_ranges(got))
        assert covered == pytest.approx(len(got) / SEGMENTS)
        if leaves:
            owned.pop(min(owned))
            generation += 1
