"""The decision rule, criterion by criterion."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.decisions.rule import (
    Evidence,
    GuardrailResult,
    HeadToHead,
    PrimaryResult,
    QualityCheck,
    Ruling,
    Verdict,
    decide,
)
from experiments.statistics import proportions
from experiments.statistics.guardrails import Outcome
from experiments.statistics.sequential import Look

BETTER = PrimaryResult("b", 0.10, 0.04, 0.16)
BEST = PrimaryResult("c", 0.15, 0.09, 0.21)
BETTER_C = PrimaryResult("c", 0.10, 0.04, 0.16)
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


def guard(
    variant: str, outcome: Outcome, metric: str = "fallback lists"
) -> GuardrailResult:
    return GuardrailResult(variant, metric, outcome)


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
    guards = (guard("b", Outcome.PASS), guard("b", outcome, "refunds"))
    verdict = decide(evidence(BETTER, guardrails=guards))
    assert verdict.decision == decision
    found = [item.state for item in verdict.reasons if item.code == "guardrail"]
    assert found == ["met", state]


def test_a_harmed_guardrail_leaves_the_field_to_the_other_variant() -> None:
    guards = (guard("b", Outcome.PASS), guard("c", Outcome.FAIL))
    verdict = decide(evidence(BETTER, BEST, guardrails=guards))
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


def test_a_runner_up_that_wins_the_duel_is_not_beaten() -> None:
    """Estimates and duel may come from other baselines; the duel has the last word."""
    lost = HeadToHead("c", "b", -0.05, -0.09, -0.01)
    verdict = decide(evidence(BETTER, BEST, head_to_head=(lost,)))
    assert (verdict.decision, verdict.winner) == ("not_distinguishable", None)


def test_the_duel_is_read_in_the_good_direction() -> None:
    small = PrimaryResult("b", -0.10, -0.16, -0.04, direction="decrease")
    large = PrimaryResult("c", -0.15, -0.21, -0.09, direction="decrease")
    won = HeadToHead("c", "b", -0.05, -0.09, -0.01)
    assert decide(evidence(small, large, head_to_head=(won,))).winner == "c"
    lost = HeadToHead("b", "c", -0.05, -0.09, -0.01)
    assert decide(evidence(small, large, head_to_head=(lost,))).winner is None


def test_a_variant_shown_to_be_worse_is_to_be_stopped_before_the_end() -> None:
    verdict = decide(evidence(WORSE, UNCLEAR))
    assert verdict.decision == "keep_running"
    assert verdict.to_stop == ("e",)
    assert verdict.reasons[-1].sentence == "Stop e now: it is worse than control."
    assert verdict.sentence.startswith("Keep running, but stop e:")
    assert "Stop e now: it is worse than control." not in verdict.against
    alone = decide(evidence(WORSE))
    assert alone.decision == "keep_running"
    assert alone.sentence.endswith("each is shown to be harmful; stop e.")


def test_a_variant_that_harms_a_guardrail_is_to_be_stopped_too() -> None:
    guards = (guard("e", Outcome.FAIL), guard("d", Outcome.INCONCLUSIVE))
    verdict = decide(evidence(WORSE, UNCLEAR, guardrails=guards, days_run=2.0))
    assert verdict.to_stop == ("e",)
    assert "worse than control and it harms fallback lists." in (
        verdict.reasons[-1].sentence
    )
    assert "but stop e: 2 of at least 7 days" in verdict.sentence


def test_nothing_is_stopped_at_the_end_or_on_failed_data_or_beside_a_winner() -> None:
    bad = QualityCheck("sample_ratio", "failed", "The split is off.")
    for facts in (
        evidence(WORSE, look=2),
        evidence(WORSE, quality=(bad,)),
        evidence(WORSE, BETTER),
    ):
        assert decide(facts).to_stop == ()


def test_a_fixed_horizon_plan_shows_no_effect_before_its_end() -> None:
    guards = (guard("b", Outcome.FAIL), guard("e", Outcome.FAIL))
    before = evidence(BETTER, WORSE, guardrails=guards, look=0, planned_looks=1)
    verdict = decide(before)
    assert (verdict.decision, verdict.candidates) == ("keep_running", ())
    assert verdict.to_stop == ()
    said = {item.code: item for item in verdict.reasons}
    assert said["better_than_control"].figure == ""
    assert {said[code].state for code in said} == {"met", "waiting"}
    for reason in verdict.reasons:
        assert "better than control." not in reason.sentence
        assert "harmed" not in reason.sentence
    passed = tuple(replace(item, outcome=Outcome.PASS) for item in guards)
    ended = replace(before, look=1, guardrails=passed)
    assert decide(ended).winner == "b"


def test_an_effect_that_cannot_reach_the_minimum_fails_for_good() -> None:
    verdict = decide(evidence(BETTER, minimum_effect=0.2))
    assert states(verdict)["better_than_control", "b"] == "failed"
    assert "b is not better than control by more than +20.0 %." in verdict.against


def test_a_lift_over_a_control_without_events_counts_by_its_lower_end() -> None:
    endless = PrimaryResult("b", np.nan, 0.5, np.inf)
    verdict = decide(evidence(endless, BETTER_C))
    assert verdict.candidates == ("b", "c")
    assert "unknown (+50.0 % to no bound)" in decide(evidence(endless)).sentence


def test_adjusted_comparisons_may_share_the_error_unequally() -> None:
    parts = (
        replace(BETTER, alpha=0.04, p_value=0.001),
        replace(UNCLEAR, alpha=0.01, p_value=0.3),
    )
    assert decide(evidence(*parts, alpha=0.05)).winner == "b"


def test_dunnett_is_taken_from_a_plan_with_one_look() -> None:
    joint = replace(BETTER, alpha=0.05, p_value=0.001)
    other = replace(UNCLEAR, alpha=0.05, p_value=0.3)
    facts = evidence(joint, other, alpha=0.05, sharing="dunnett", planned_looks=1)
    assert decide(facts).winner == "b"


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
