"""What the decision rule never does, over random evidence."""

from dataclasses import replace
from random import Random
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from experiments.decisions.rule import (
    CheckState,
    Evidence,
    GuardrailResult,
    HeadToHead,
    PrimaryResult,
    QualityCheck,
    Ruling,
    decide,
    qualifying,
)
from experiments.statistics.guardrails import Direction, Outcome

figures = st.one_of(
    st.floats(-1, 1), st.sampled_from([0.0, 0.05, -0.05, 1.0]), st.integers(-1, 1)
)
intervals = st.tuples(figures, figures, figures).map(sorted)
METRICS = ("refunds", "latency")


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Draw evidence that does not contradict itself, duels included."""
    names = [f"v{i}" for i in range(draw(st.integers(1, 4)))]
    direction: Direction = draw(st.sampled_from(get_args(Direction)))
    primary = []
    for name in names:
        low, middle, high = draw(st.one_of(intervals, st.just([float("nan")] * 3)))
        primary.append(PrimaryResult(name, middle, low, high, direction))
    guardrails = [
        GuardrailResult(name, metric, draw(st.sampled_from(list(Outcome))))
        for metric in METRICS[: draw(st.integers(0, 2))]
        for name in names
    ]
    pairs = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            low, middle, high = draw(intervals)
            pairs.append(HeadToHead(one, other, middle, low, high))
    states: list[CheckState] = ["ok", "ok", "warning", "failed"]
    found = draw(st.lists(st.sampled_from(states), max_size=2))
    looks = draw(st.integers(1, 3))
    return Evidence(
        primary=tuple(primary),
        guardrails=tuple(guardrails),
        quality=tuple(
            QualityCheck(f"check {i}", state, "Found.") for i, state in enumerate(found)
        ),
        look=draw(st.integers(0, looks)),
        planned_looks=looks,
        days_run=draw(st.floats(0, 30)),
        head_to_head=tuple(pairs),
        minimum_effect=draw(st.sampled_from([0.0, 0.0, 0.05])),
    )


@given(evidences())
def test_what_ships_fails_no_criterion(facts: Evidence) -> None:
    verdict = decide(facts)
    assert (verdict.winner is not None) == (verdict.decision is Ruling.SHIP)
    if verdict.winner is None:
        return
    concerns = [
        reason
        for reason in verdict.reasons
        if reason.variant in {None, verdict.winner} and reason.code != "planned_looks"
    ]
    assert {reason.state for reason in concerns} == {"met"}
    result = next(r for r in facts.primary if r.variant == verdict.winner)
    assert result.oriented()[1] > facts.minimum_effect
    assert facts.look >= 1
    assert facts.days_run >= 7
    assert verdict.winner not in verdict.to_stop


@given(evidences(), st.sampled_from(Outcome), st.data())
def test_a_guardrail_that_does_not_pass_never_makes_a_variant_ship(
    facts: Evidence, outcome: Outcome, data: st.DataObject
) -> None:
    assume(outcome != Outcome.PASS)
    name = data.draw(st.sampled_from([r.variant for r in facts.primary]))
    others = tuple(
        GuardrailResult(
            r.variant, "errors", outcome if r.variant == name else Outcome.PASS
        )
        for r in facts.primary
    )
    after = decide(replace(facts, guardrails=(*facts.guardrails, *others)))
    assert after.winner != name
    assert name not in after.candidates


@given(evidences())
def test_a_failed_check_withholds_every_verdict(facts: Evidence) -> None:
    red = QualityCheck("sample_ratio", "failed", "The split is off.")
    verdict = decide(replace(facts, quality=(*facts.quality, red)))
    assert verdict.decision is Ruling.NO_VERDICT
    assert verdict.to_stop == ()


@given(evidences(), st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_does_not_matter(
    facts: Evidence, dice: Random
) -> None:
    def shuffled(items: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(dice.sample(items, len(items)))

    turned = tuple(
        HeadToHead(p.other, p.variant, -p.estimate, -p.upper, -p.lower)
        if dice.random() < 0.5
        else p
        for p in facts.head_to_head
    )
    other = replace(
        facts,
        primary=shuffled(facts.primary),  # type: ignore[arg-type]  # the same items
        guardrails=shuffled(facts.guardrails),  # type: ignore[arg-type]  # the same
        head_to_head=shuffled(turned),  # type: ignore[arg-type]  # the same items
    )
    one, two = decide(facts), decide(other)
    assert (one.decision, one.winner, one.candidates) == (
        two.decision,
        two.winner,
        two.candidates,
    )
    assert set(one.to_stop) == set(two.to_stop)
    assert {(r.code, r.variant, r.state) for r in one.reasons} == {
        (r.code, r.variant, r.state) for r in two.reasons
    }


@given(evidences())
def test_a_metric_counted_the_other_way_round_gives_the_same_verdict(
    facts: Evidence,
) -> None:
    mirrored = replace(
        facts,
        primary=tuple(
            replace(
                r,
                estimate=-r.estimate,
                lower=-r.upper,
                upper=-r.lower,
                direction="decrease" if r.direction == "increase" else "increase",
            )
            for r in facts.primary
        ),
        head_to_head=tuple(
            replace(p, estimate=-p.estimate, lower=-p.upper, upper=-p.lower)
            for p in facts.head_to_head
        ),
    )
    one, two = decide(facts), decide(mirrored)
    assert (one.decision, one.winner, one.to_stop) == (
        two.decision,
        two.winner,
        two.to_stop,
    )


@given(evidences())
def test_control_is_kept_only_at_the_last_look_and_only_without_a_qualifier(
    facts: Evidence,
) -> None:
    verdict = decide(facts)
    if verdict.decision is Ruling.KEEP_CONTROL:
        assert facts.is_last_look
        assert verdict.candidates == ()
    if verdict.decision is Ruling.NOT_DISTINGUISHABLE:
        assert len(verdict.candidates) >= 2
    if facts.look == 0:
        assert verdict.decision in {Ruling.KEEP_RUNNING, Ruling.NO_VERDICT}


@given(evidences())
def test_a_higher_minimum_effect_never_adds_a_qualifier(facts: Evidence) -> None:
    stricter = replace(facts, minimum_effect=facts.minimum_effect + 0.1)
    assert set(qualifying(stricter)) <= set(qualifying(facts))


@given(evidences())
def test_every_variant_has_its_reasons_and_every_reason_a_sentence(
    facts: Evidence,
) -> None:
    verdict = decide(facts)
    for result in facts.primary:
        codes = [r.code for r in verdict.reasons if r.variant == result.variant]
        assert codes.count("better_than_control") == 1
        assert codes.count("guardrail") == sum(
            item.variant == result.variant for item in facts.guardrails
        )
    assert all(reason.sentence.endswith(".") for reason in verdict.reasons)
    assert verdict.sentence.endswith(".")


@pytest.mark.parametrize("places", [(0, 1), (1, 0)])
def test_equal_variants_are_ranked_by_name(places: tuple[int, int]) -> None:
    twins = [PrimaryResult(name, 0.1, 0.05, 0.15) for name in ("b", "c")]
    facts = Evidence(
        tuple(twins[i] for i in places), (), (), look=1, planned_looks=1, days_run=7
    )
    assert qualifying(facts) == ("b", "c")
