"""The decision rule: from one look's evidence to ship, keep running or keep control.

Pure code. The criteria are stated one by one so that a page can show them as a
checklist; the rule never names a winner whose evidence is short of any of them.

The comparisons reach the rule already adjusted: each treatment spends its part of alpha
(equal or weighted, or Dunnett's joint value in a plan with one look) over the looks. A
variant shown to be harmful before the end is named for stopping among the reasons; that
changes no ruling, since the others may still win.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from experiments.decisions.evidence import (
    CheckState,
    DecisionError,
    Evidence,
    GuardrailResult,
    HeadToHead,
    PrimaryResult,
    QualityCheck,
    figure,
    number,
)
from experiments.statistics.guardrails import Outcome

__all__ = [
    "STOP",
    "CheckState",
    "DecisionError",
    "Evidence",
    "GuardrailResult",
    "HeadToHead",
    "PrimaryResult",
    "QualityCheck",
    "Reason",
    "Ruling",
    "Verdict",
    "decide",
    "qualifying",
]


class Ruling(StrEnum):
    """What the rule says should happen next (a `Decision` is what was then done)."""

    SHIP = "ship"
    NOT_DISTINGUISHABLE = "not_distinguishable"
    KEEP_RUNNING = "keep_running"
    KEEP_CONTROL = "keep_control"
    NO_VERDICT = "no_verdict"


State: TypeAlias = Literal["met", "unmet", "waiting", "failed"]
"""Of a criterion: met; not met at this look; not known yet; failed for good."""


STOP = "stop"
"""Code of the reason that asks to stop one variant."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One criterion of the checklist.

    Attributes:
        code: stable name of the criterion.
        state: how it stands.
        sentence: the same in plain words.
        figure: the number behind it, "" where there is none.
        variant: the variant it speaks of, None when it is about the experiment.
    """

    code: str
    state: State
    sentence: str
    figure: str = ""
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The rule's answer.

    Attributes:
        decision: what should happen next.
        winner: key of the variant to ship; None unless the decision is ship.
        sentence: the verdict in one sentence.
        reasons: the criteria, in the order a page lists them.
        candidates: variants that qualify, best first.
    """

    decision: Ruling
    winner: str | None
    sentence: str
    reasons: tuple[Reason, ...]
    candidates: tuple[str, ...] = ()

    @property
    def against(self) -> tuple[str, ...]:
        """Sentences of the criteria that are not met."""
        return tuple(
            item.sentence
            for item in self.reasons
            if item.state != "met" and item.code != STOP
        )

    @property
    def to_stop(self) -> tuple[str, ...]:
        """Variants shown to be harmful before the end."""
        return tuple(
            item.variant
            for item in self.reasons
            if item.code == STOP and item.variant is not None
        )


def decide(evidence: Evidence) -> Verdict:
    """Apply the default rule for any number of variants.

    A variant qualifies when its interval clears the minimum effect in the good
    direction and every guardrail passes. One qualifier ships, and so does the best of
    several if it is shown to be better than the runner-up; otherwise a person chooses.
    No verdict is given on failed data, nothing ships before the minimum days or between
    looks, and a fixed-horizon plan shows no effect before its end.
    """
    candidates = () if evidence.is_blind else qualifying(evidence)
    duel = _duel(evidence, candidates)
    reasons = [
        _quality_reason(evidence),
        _days_reason(evidence),
        _look_reason(evidence),
    ]
    for result in evidence.primary:
        reasons.append(_effect_reason(result, evidence))
        reasons += _guardrail_reasons(result.variant, evidence)
    reasons.append(_winner_reason(candidates, duel, evidence))
    decision = _decision(evidence, candidates, duel)
    undecided = decision in {Ruling.KEEP_RUNNING, Ruling.NOT_DISTINGUISHABLE}
    harmful = _harmful(evidence) if undecided else {}
    reasons += [
        Reason(STOP, "failed", f"Stop {name} now: {' and '.join(harms)}.", variant=name)
        for name, harms in harmful.items()
    ]
    winner = candidates[0] if decision is Ruling.SHIP else None
    return Verdict(
        decision=decision,
        winner=winner,
        sentence=_sentence(decision, evidence, candidates, tuple(harmful)),
        reasons=tuple(reasons),
        candidates=candidates,
    )


def qualifying(evidence: Evidence) -> tuple[str, ...]:
    """Return the variants that qualify, the best estimate first.

    Ask this first when several variants may qualify: the first two are the pair whose
    head-to-head comparison decides. An effect without an upper bound (a control without
    an event) counts by its lower end.
    """
    blocked = {
        item.variant for item in evidence.guardrails if item.outcome != Outcome.PASS
    }
    found = [
        result
        for result in evidence.primary
        if result.oriented()[1] > evidence.minimum_effect
        and result.variant not in blocked
    ]
    found.sort(key=_rank)
    return tuple(result.variant for result in found)


def _rank(result: PrimaryResult) -> tuple[float, float, str]:
    """Return a key that puts the best first, whatever the order of the variants."""
    estimate, low, _ = result.oriented()
    return -(low if math.isnan(estimate) else estimate), -low, result.variant


def _decision(
    evidence: Evidence, candidates: tuple[str, ...], duel: HeadToHead | None
) -> Ruling:
    if any(check.state == "failed" for check in evidence.quality):
        return Ruling.NO_VERDICT
    if evidence.look == 0 or not evidence.has_run_long_enough:
        return Ruling.KEEP_RUNNING
    if not candidates:
        return Ruling.KEEP_CONTROL if evidence.is_last_look else Ruling.KEEP_RUNNING
    if len(candidates) == 1 or _settles(duel, candidates[0], evidence):
        return Ruling.SHIP
    return Ruling.NOT_DISTINGUISHABLE


def _duel(evidence: Evidence, candidates: tuple[str, ...]) -> HeadToHead | None:
    """Return the comparison of the two best, None when it was not made."""
    pair = set(candidates[:2])
    if len(pair) < 2:
        return None
    for item in evidence.head_to_head:
        if {item.variant, item.other} == pair:
            return item
    return None


def _settles(duel: HeadToHead | None, best: str, evidence: Evidence) -> bool:
    """Return whether the best is shown to be better than the runner-up."""
    return duel is not None and duel.favours(best, evidence.direction)


def _sentence(
    decision: Ruling,
    evidence: Evidence,
    candidates: tuple[str, ...],
    stopped: tuple[str, ...],
) -> str:
    match decision:
        case Ruling.SHIP:
            best = next(r for r in evidence.primary if r.variant == candidates[0])
            return f"Ship {best.variant}: it beats control by {best.figure}."
        case Ruling.NOT_DISTINGUISHABLE:
            names = _names(candidates)
            return f"{names} beat control but cannot be told apart; a person chooses."
        case Ruling.KEEP_CONTROL:
            return "Keep control: no variant met every criterion by the last look."
        case Ruling.NO_VERDICT:
            return "No verdict: the data failed a quality check."
        case Ruling.KEEP_RUNNING:
            return _keep_running_sentence(evidence, stopped)


def _keep_running_sentence(evidence: Evidence, stopped: tuple[str, ...]) -> str:
    if len(stopped) == len(evidence.primary):
        return (
            "No variant is left that can win: each is shown to be harmful; stop "
            f"{_names(stopped)}."
        )
    but = f", but stop {_names(stopped)}" if stopped else ""
    if not evidence.has_run_long_enough:
        return (
            f"Keep running{but}: {evidence.days_run:g} of at least "
            f"{evidence.minimum_days:g} days have passed."
        )
    return f"Keep running{but}: no variant meets every criterion yet."


def _quality_reason(evidence: Evidence) -> Reason:
    checks = evidence.quality
    failed = [check.sentence for check in checks if check.state == "failed"]
    warned = [check.sentence for check in checks if check.state == "warning"]
    passed = f"{len(checks) - len(failed)} of {len(checks)} checks passed"
    if failed:
        return Reason("data_quality", "failed", " ".join(failed), passed)
    if not checks:
        return Reason("data_quality", "met", "No quality check was asked for.")
    sentence = " ".join(["The data passed every quality check.", *warned])
    return Reason("data_quality", "met", sentence, passed)


def _days_reason(evidence: Evidence) -> Reason:
    met = evidence.has_run_long_enough
    ran, least = f"{evidence.days_run:g}", f"{evidence.minimum_days:g}"
    sentence = (
        f"The experiment ran at least {least} full days."
        if met
        else f"Nothing ships before {least} full days."
    )
    state: State = "met" if met else "waiting"
    return Reason("minimum_days", state, sentence, f"{ran} of {least} days")


def _look_reason(evidence: Evidence) -> Reason:
    place = f"look {evidence.look} of {evidence.planned_looks}"
    if evidence.is_last_look:
        sentence = "This is the last planned look."
        return Reason("planned_looks", "met", sentence, place)
    if evidence.is_blind:
        sentence = "A fixed-horizon plan is read once, at its end."
        return Reason("planned_looks", "waiting", sentence, place)
    if evidence.look == 0:
        sentence = "The first planned look has not come yet."
        return Reason("planned_looks", "waiting", sentence, place)
    sentence = "More looks are planned; a winner may be named at any of them."
    return Reason("planned_looks", "waiting", sentence, place)


def _effect_reason(result: PrimaryResult, evidence: Evidence) -> Reason:
    _, low, high = result.oriented()
    name, least = result.variant, evidence.minimum_effect
    state: State = "unmet" if evidence.is_last_look else "waiting"
    beyond = f" by more than {number(least, result.scale)}" if least else ""
    if evidence.is_blind:
        sentence = f"{name} is compared with control at the planned end."
        return Reason("better_than_control", "waiting", sentence, "", name)
    if math.isnan(low) or math.isnan(high):
        sentence = f"There is not enough data to compare {name} with control."
    elif low > least:
        state, sentence = "met", f"{name} is better than control{beyond}."
    elif high < 0:
        state, sentence = "failed", f"{name} is worse than control."
    elif high < least:
        state, sentence = "failed", f"{name} is not better than control{beyond}."
    else:
        sentence = f"{name} is not shown to be better than control{beyond}."
    return Reason("better_than_control", state, sentence, result.figure, name)


def _guardrail_reasons(variant: str, evidence: Evidence) -> list[Reason]:
    if evidence.is_blind:
        return [
            Reason(
                "guardrail",
                "waiting",
                f"Harm to {item.metric} by {variant} is read at the planned end.",
                variant=variant,
            )
            for item in evidence.guardrails
            if item.variant == variant
        ]
    undecided: State = "unmet" if evidence.is_last_look else "waiting"
    words: dict[Outcome, tuple[State, str]] = {
        Outcome.PASS: ("met", "{metric} is not harmed by {variant}."),
        Outcome.FAIL: ("failed", "{metric} is harmed by {variant}."),
        Outcome.INCONCLUSIVE: (
            undecided,
            "Harm to {metric} by {variant} is not ruled out.",
        ),
    }
    reasons = []
    for item in evidence.guardrails:
        if item.variant == variant:
            state, sentence = words[Outcome(item.outcome)]
            text = sentence.format(metric=item.metric, variant=variant)
            reasons.append(Reason("guardrail", state, text, str(item.outcome), variant))
    return reasons


def _harmful(evidence: Evidence) -> dict[str, list[str]]:
    """Return the variants shown to be harmful before the end, with what they harm."""
    if evidence.is_blind or evidence.is_last_look:
        return {}
    harms: dict[str, list[str]] = {}
    for result in evidence.primary:
        found = ["it is worse than control"] if result.oriented()[2] < 0 else []
        found += [
            f"it harms {item.metric}"
            for item in evidence.guardrails
            if item.variant == result.variant and item.outcome == Outcome.FAIL
        ]
        if found:
            harms[result.variant] = found
    return harms


def _winner_reason(
    candidates: tuple[str, ...], duel: HeadToHead | None, evidence: Evidence
) -> Reason:
    code = "clear_winner"
    if not candidates:
        return Reason(code, "waiting", "No variant qualifies, so none is the best.")
    best = candidates[0]
    if len(candidates) == 1:
        sentence = f"{best} is the only variant that qualifies."
        return Reason(code, "met", sentence, variant=best)
    if duel is None:
        sentence = f"{_names(candidates)} have not been compared with each other."
        return Reason(code, "unmet", sentence)
    effect = figure(duel.estimate, duel.lower, duel.upper, duel.scale)
    shown = f"{duel.variant} against {duel.other}: {effect}"
    if _settles(duel, best, evidence):
        sentence = f"{best} is better than {candidates[1]}, the runner-up."
        return Reason(code, "met", sentence, shown, best)
    return Reason(code, "unmet", f"{_names(candidates)} cannot be told apart.", shown)


def _names(variants: tuple[str, ...]) -> str:
    if len(variants) == 1:
        return variants[0]
    return " and ".join([", ".join(variants[:-1]), variants[-1]])
