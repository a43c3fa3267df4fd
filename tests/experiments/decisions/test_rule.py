"""The decision rule, criterion by criterion."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.decisions.rule import (
    DecisionError,
    Evidence,
    GuardrailResult,
    HeadToHead,
    PrimaryResult,
    QualityCheck,
    Ruling,
    Verdict,
    decide,
    qualifying,
)
from experiments.statistics import proportions
from experiments.statistics.guardrails import Outcome
from experiments.statistics.sequential import Look

BETTER = PrimaryResult("b", 0.10, 0.04, 0.16)
BEST = PrimaryResult("c", 0.15, 0.09, 0.21)
UNCLEAR = PrimaryResult("d", 0.02, -0.03, 0.07)
WORSE = PrimaryResult("e", -0.10, -0.16, -0.04)
FINE = QualityCheck("sample_ratio", "ok", "The split is as dealt.")
APART = HeadToHead("c", "b", 0.05, 0.01, 0.09)
ALIKE = HeadToHead("c", "b", 0.05, -0.01, 0.11)


def evidence(*primary: PrimaryResult, **changes: object) -> Evidence:
    base = Evidence(
        primary=primary,
        guardrails=(),
        quality=(FINE,),
        look=1,
        planned_looks=2,
        days_run=7.0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # named in each test


def guard(variant: str, outcome: Outcome) -> GuardrailResult:
    return GuardrailResult(variant, "fallback lists", outcome)


def states(verdict: Verdict) -> dict[tuple[str, str | None], str]:
    return {(item.code, item.variant): item.state for item in verdict.reasons}


def test_the_only_qualifier_ships() -> None:
    verdict = decide(evidence(BETTER, UNCLEAR))
    assert verdict.decision == "ship"
    assert verdict.winner == "b"
    assert (
        verdict.sentence == "Ship b: it beats control by +10.0 % (+4.0 % to +16.0 %)."
    )
    assert states(verdict) == {
        ("data_quality", None): "met",
        ("minimum_days", None): "met",
        ("planned_looks", None): "waiting",
        ("better_than_control", "b"): "met",
        ("better_than_control", "d"): "waiting",
        ("clear_winner", "b"): "met",
    }


def test_the_best_of_two_ships_when_it_beats_the_runner_up() -> None:
    verdict = decide(evidence(BETTER, BEST, head_to_head=(APART,)))
    assert (verdict.decision, verdict.winner) == (Ruling.SHIP, "c")
    assert verdict.candidates == ("c", "b")


def test_the_order_of_a_head_to_head_does_not_matter() -> None:
    turned = HeadToHead("b", "c", -0.05, -0.09, -0.01)
    verdict = decide(evidence(BETTER, BEST, head_to_head=(turned,)))
    assert verdict.winner == "c"


def test_two_that_cannot_be_told_apart_wait_for_a_person() -> None:
    for pairs in ((ALIKE,), ()):
        verdict = decide(evidence(BETTER, BEST, head_to_head=pairs))
        assert verdict.decision == "not_distinguishable"
        assert verdict.winner is None
        assert verdict.candidates == ("c", "b")
        assert "c and b" in verdict.sentence
        assert states(verdict)["clear_winner", None] == "unmet"


def test_without_a_qualifier_it_runs_on_until_the_last_look() -> None:
    early = decide(evidence(UNCLEAR))
    assert (early.decision, early.winner) == (Ruling.KEEP_RUNNING, None)
    late = decide(evidence(UNCLEAR, look=2))
    assert late.decision == "keep_control"
    assert states(late)["better_than_control", "d"] == "unmet"
    assert "d is not shown to be better than control." in late.against


def test_nothing_ships_before_seven_full_days() -> None:
    verdict = decide(evidence(BETTER, days_run=6.99, look=2))
    assert verdict.decision == "keep_running"
    assert states(verdict)["minimum_days", None] == "waiting"
    assert decide(evidence(BETTER, days_run=7)).decision == "ship"


def test_nothing_ships_before_the_first_look() -> None:
    assert decide(evidence(BETTER, look=0)).decision == "keep_running"


def test_failed_data_give_no_verdict_whatever_the_effect() -> None:
    bad = QualityCheck("sample_ratio", "failed", "The split is off.")
    verdict = decide(evidence(BETTER, quality=(FINE, bad)))
    assert (verdict.decision, verdict.winner) == (Ruling.NO_VERDICT, None)
    assert verdict.reasons[0].sentence == "The split is off."
    assert verdict.reasons[0].figure == "1 of 2 checks passed"


def test_a_warning_is_told_and_does_not_withhold_the_verdict() -> None:
    warning = QualityCheck("skew", "warning", "Revenue is skewed.")
    verdict = decide(evidence(BETTER, quality=(warning,)))
    assert verdict.decision == "ship"
    assert "Revenue is skewed." in verdict.reasons[0].sentence


@pytest.mark.parametrize(
    ("outcome", "decision", "state"),
    [
        (Outcome.PASS, "ship", "met"),
        (Outcome.INCONCLUSIVE, "keep_running", "waiting"),
        (Outcome.FAIL, "keep_running", "failed"),
    ],
)
def test_every_guardrail_must_pass(outcome: Outcome, decision: str, state: str) -> None:
    guards = (guard("b", Outcome.PASS), guard("b", outcome))
    verdict = decide(evidence(BETTER, guardrails=guards))
    assert verdict.decision == decision
    found = [item.state for item in verdict.reasons if item.code == "guardrail"]
    assert found == ["met", state]


def test_a_harmed_guardrail_leaves_the_field_to_the_other_variant() -> None:
    verdict = decide(evidence(BETTER, BEST, guardrails=(guard("c", Outcome.FAIL),)))
    assert verdict.winner == "b"


def test_a_metric_that_should_fall_is_read_the_other_way() -> None:
    fall = PrimaryResult("b", -0.10, -0.16, -0.04, direction="decrease")
    assert decide(evidence(fall)).winner == "b"
    rise = replace(WORSE, direction="decrease", estimate=0.1, lower=0.04, upper=0.16)
    verdict = decide(evidence(rise))
    assert verdict.winner is None
    assert states(verdict)["better_than_control", "e"] == "failed"


def test_a_stated_minimum_effect_must_be_cleared() -> None:
    verdict = decide(evidence(BETTER, minimum_effect=0.05))
    assert verdict.decision == "keep_running"
    assert "by more than +5.0 %" in verdict.against[1]
    assert decide(evidence(BETTER, minimum_effect=0.03)).decision == "ship"


def test_a_variant_without_data_never_qualifies() -> None:
    unknown = PrimaryResult("b", np.nan, np.nan, np.nan)
    verdict = decide(evidence(unknown))
    assert verdict.decision == "keep_running"
    assert "not enough data" in verdict.against[1]
    assert verdict.reasons[3].figure == ""


def test_a_verdict_without_checks_says_that_none_was_asked_for() -> None:
    verdict = decide(evidence(BETTER, quality=()))
    assert verdict.reasons[0].sentence == "No quality check was asked for."


def test_an_absolute_effect_is_shown_in_its_own_unit() -> None:
    pounds = PrimaryResult("b", 1.5, 0.5, 2.5, scale="absolute")
    assert "+1.5 (+0.5 to +2.5)" in decide(evidence(pounds)).sentence


@pytest.mark.parametrize(
    ("primary", "changes", "said"),
    [
        ((), {}, "one result a treatment variant"),
        ((BETTER, BETTER), {}, "one result a treatment variant"),
        ((BETTER,), {"guardrails": (guard("z", Outcome.PASS),)}, "'z'"),
        ((BETTER,), {"head_to_head": (APART,)}, "'c'"),
        ((BETTER,), {"look": -1}, "look must be >= 0, got -1"),
        ((BETTER,), {"planned_looks": 0}, "planned_looks must be >= 1"),
        ((BETTER,), {"minimum_effect": float("nan")}, "minimum_effect must be"),
    ],
)
def test_contradicting_evidence_is_refused(
    primary: tuple[PrimaryResult, ...], changes: dict[str, object], said: str
) -> None:
    with pytest.raises(DecisionError, match=said):
        evidence(*primary, **changes)


ends = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).map(sorted)


@given(
    bounds=st.lists(ends, min_size=1, max_size=4),
    outcome=st.sampled_from(Outcome),
    quality=st.sampled_from(["ok", "warning", "failed"]),
    look=st.integers(0, 3),
    days=st.floats(0, 30),
    duel=ends,
)
def test_a_winner_always_meets_every_criterion(
    bounds: list[list[float]],
    outcome: Outcome,
    quality: str,
    look: int,
    days: float,
    duel: list[float],
) -> None:
    primary = tuple(
        PrimaryResult(f"v{i}", b[1], b[0], b[2]) for i, b in enumerate(bounds)
    )
    facts = evidence(
        *primary,
        guardrails=(guard("v0", outcome),),
        quality=(QualityCheck("x", quality, "."),),  # type: ignore[arg-type]  # drawn
        look=look,
        days_run=days,
    )
    best = qualifying(facts)
    if len(best) > 1:
        pair = HeadToHead(best[0], best[1], duel[1], duel[0], duel[2])
        facts = replace(facts, head_to_head=(pair,))
    verdict = decide(facts)
    assert (verdict.winner is not None) == (verdict.decision == "ship")
    if verdict.winner is not None:
        result = next(r for r in primary if r.variant == verdict.winner)
        assert result.lower > 0
        assert (verdict.winner, outcome) != ("v0", Outcome.FAIL)
        assert quality != "failed"
        assert days >= 7
        assert look >= 1
        unmet = {r.code for r in verdict.reasons if r.state != "met"}
        assert not unmet & {"data_quality", "minimum_days", "clear_winner"}


def test_without_an_effect_three_variants_ship_at_most_the_allowed_error() -> None:
    """2,000 A/A experiments, two looks, alpha 5 % over two comparisons."""
    generator = np.random.default_rng(0)
    events = np.cumsum(generator.binomial(2000, 0.1, (2000, 3, 2)), axis=-1)
    shipped = np.zeros(2000, dtype=bool)
    for look in (1, 2):
        here = Look(tuple(k / 2 for k in range(1, look + 1)), alpha=0.05 / 2)
        at = events[..., look - 1]
        result = proportions.relative_difference(
            at[:, :1], 2000 * look, at[:, 1:], 2000 * look, alpha=0.025, quantile=here
        )
        for run in np.flatnonzero(result.excludes_zero.any(axis=1)):
            effects = zip(
                result.estimate[run], result.lower[run], result.upper[run], strict=True
            )
            primary = [
                PrimaryResult(f"v{i}", float(middle), float(low), float(high))
                for i, (middle, low, high) in enumerate(effects)
            ]
            shipped[run] |= decide(evidence(*primary, look=look)).decision == "ship"
    # Only the better side can win: at most alpha / 2, and the 99.99 % band above it.
    assert 0.012 <= shipped.mean() <= 0.0386
