"""The decision rule: from one look's evidence to ship, keep running or keep control.

Pure code. The criteria are stated one by one so that a page can show them as a
checklist; the rule never names a winner whose evidence is short of any of them.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from experiments.statistics.comparison import Scale
from experiments.statistics.guardrails import Direction, Outcome

MINIMUM_DAYS = 7
"""Full days before a ship verdict, so that every weekday is in the data."""


class DecisionError(ValueError):
    """Evidence that contradicts itself: the message names the value and the remedy."""


class Decision(StrEnum):
    """What the rule says should happen next."""

    SHIP = "ship"
    NOT_DISTINGUISHABLE = "not_distinguishable"
    KEEP_RUNNING = "keep_running"
    KEEP_CONTROL = "keep_control"
    NO_VERDICT = "no_verdict"


State: TypeAlias = Literal["met", "unmet", "waiting", "failed"]
"""Of a criterion: met; not met at this look; not known yet; failed for good."""

CheckState: TypeAlias = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class PrimaryResult:
    """The primary metric of one treatment variant against control.

    Attributes:
        variant: key of the variant.
        estimate: effect against control; NaN where there is not enough data.
        lower: lower end of the repeated interval at alpha / (number of treatments).
        upper: upper end of the same interval.
        direction: the good direction of the metric.
        scale: whether the effect is relative (0.05 is +5 %) or in the metric's unit.
    """

    variant: str
    estimate: float
    lower: float
    upper: float
    direction: Direction = "increase"
    scale: Scale = "relative"

    def oriented(self) -> tuple[float, float, float]:
        """Return estimate, lower and upper with better counted as positive."""
        if self.direction == "increase":
            return self.estimate, self.lower, self.upper
        return -self.estimate, -self.upper, -self.lower

    @property
    def figure(self) -> str:
        """The effect with its interval, for people."""
        return _figure(self.estimate, self.lower, self.upper, self.scale)


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """One guardrail of one treatment variant.

    Attributes:
        variant: key of the variant.
        metric: name of the guardrail, as people call it.
        outcome: pass, fail or inconclusive.
    """

    variant: str
    metric: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """A check of the data behind the figures.

    Attributes:
        code: stable name of the check, such as ``sample_ratio``.
        state: a failed check withholds the verdict.
        sentence: what was found, in plain words.
    """

    code: str
    state: CheckState
    sentence: str


@dataclass(frozen=True, slots=True)
class HeadToHead:
    """Two treatment variants against each other, ``variant`` minus ``other``.

    Attributes:
        variant: key of the first variant.
        other: key of the second variant.
        estimate: effect of the first over the second.
        lower: lower end of the interval.
        upper: upper end of the interval.
        scale: relative or absolute.
    """

    variant: str
    other: str
    estimate: float
    lower: float
    upper: float
    scale: Scale = "relative"

    @property
    def excludes_zero(self) -> bool:
        """Whether the two variants can be told apart."""
        return self.lower > 0 or self.upper < 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the rule looks at.

    Attributes:
        primary: one result a treatment variant; at least one.
        guardrails: every guardrail of every variant.
        quality: checks of the data.
        head_to_head: comparisons between treatments; at least of the two best that
            qualify (`qualifying` names them).
        look: looks taken so far; 0 before the first.
        planned_looks: looks of the plan, at least 1.
        days_run: days since the start of the phase.
        minimum_days: days before a ship verdict.
        minimum_effect: effect the interval must clear in the good direction, >= 0, on
            the scale of the primary results.
    """

    primary: tuple[PrimaryResult, ...]
    guardrails: tuple[GuardrailResult, ...]
    quality: tuple[QualityCheck, ...]
    look: int
    planned_looks: int
    days_run: float
    head_to_head: tuple[HeadToHead, ...] = ()
    minimum_days: float = MINIMUM_DAYS
    minimum_effect: float = 0.0

    def __post_init__(self) -> None:
        """Refuse evidence that contradicts itself.

        Raises:
            DecisionError: no or repeated variants, a result of an unknown variant, or a
                number out of its range.
        """
        variants = [result.variant for result in self.primary]
        if not variants or len(set(variants)) < len(variants):
            raise DecisionError(
                f"primary must hold one result a treatment variant, got {variants}"
            )
        named = {item.variant for item in self.guardrails}
        for pair in self.head_to_head:
            named |= {pair.variant, pair.other}
        if unknown := sorted(named - set(variants)):
            raise DecisionError(
                f"{unknown} have no primary result: add one or drop them"
            )
        for name, value, least in (
            ("look", self.look, 0),
            ("planned_looks", self.planned_looks, 1),
            ("days_run", self.days_run, 0),
            ("minimum_days", self.minimum_days, 0),
            ("minimum_effect", self.minimum_effect, 0),
        ):
            if not value >= least:
                raise DecisionError(f"{name} must be >= {least}, got {value}")

    @property
    def is_last_look(self) -> bool:
        """Whether the plan has no look left."""
        return self.look >= self.planned_looks

    @property
    def has_run_long_enough(self) -> bool:
        """Whether the minimum number of days has passed."""
        return self.days_run >= self.minimum_days


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
        contenders: variants that qualify, best first.
    """

    decision: Decision
    winner: str | None
    sentence: str
    reasons: tuple[Reason, ...]
    contenders: tuple[str, ...] = ()


def decide(evidence: Evidence) -> Verdict:
    """Apply the default rule for any number of variants.

    A variant qualifies when its repeated interval clears the minimum effect in the good
    direction and every guardrail passes. One qualifier ships, and so does the best of
    several if its interval against the runner-up excludes zero; otherwise a person
    chooses. No verdict is given on failed data, and nothing ships before the minimum
    days.
    """
    contenders = qualifying(evidence)
    duel = _duel(evidence, contenders)
    reasons = [
        _quality_reason(evidence),
        _days_reason(evidence),
        _look_reason(evidence),
    ]
    for result in evidence.primary:
        reasons.append(_effect_reason(result, evidence))
        reasons += _guardrail_reasons(result.variant, evidence)
    reasons.append(_winner_reason(contenders, duel))
    decision = _decision(evidence, contenders, duel)
    winner = contenders[0] if decision is Decision.SHIP else None
    return Verdict(
        decision=decision,
        winner=winner,
        sentence=_sentence(decision, evidence, contenders),
        reasons=tuple(reasons),
        contenders=contenders,
    )


def qualifying(evidence: Evidence) -> tuple[str, ...]:
    """Return the variants that qualify, the best estimate first.

    Ask this first when several variants may qualify: the first two are the pair whose
    head-to-head comparison decides.
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
    found.sort(key=lambda result: -result.oriented()[0])
    return tuple(result.variant for result in found)


def _decision(
    evidence: Evidence, contenders: tuple[str, ...], duel: HeadToHead | None
) -> Decision:
    if any(check.state == "failed" for check in evidence.quality):
        return Decision.NO_VERDICT
    if evidence.look == 0 or not evidence.has_run_long_enough:
        return Decision.KEEP_RUNNING
    if not contenders:
        return Decision.KEEP_CONTROL if evidence.is_last_look else Decision.KEEP_RUNNING
    if len(contenders) == 1 or (duel is not None and duel.excludes_zero):
        return Decision.SHIP
    return Decision.NOT_DISTINGUISHABLE


def _duel(evidence: Evidence, contenders: tuple[str, ...]) -> HeadToHead | None:
    """Return the comparison of the two best, None when it was not made."""
    pair = set(contenders[:2])
    if len(pair) < 2:
        return None
    for item in evidence.head_to_head:
        if {item.variant, item.other} == pair:
            return item
    return None


def _sentence(
    decision: Decision, evidence: Evidence, contenders: tuple[str, ...]
) -> str:
    match decision:
        case Decision.SHIP:
            best = next(r for r in evidence.primary if r.variant == contenders[0])
            return f"Ship {best.variant}: it beats control by {best.figure}."
        case Decision.NOT_DISTINGUISHABLE:
            names = _names(contenders)
            return f"{names} beat control but cannot be told apart; a person chooses."
        case Decision.KEEP_CONTROL:
            return "Keep control: no variant met every criterion by the last look."
        case Decision.NO_VERDICT:
            return "No verdict: the data failed a quality check."
        case Decision.KEEP_RUNNING:
            if not evidence.has_run_long_enough:
                return (
                    f"Keep running: {evidence.days_run:g} of at least "
                    f"{evidence.minimum_days:g} days have passed."
                )
            return "Keep running: no variant meets every criterion yet."


def _quality_reason(evidence: Evidence) -> Reason:
    checks = evidence.quality
    failed = [check.sentence for check in checks if check.state == "failed"]
    warned = [check.sentence for check in checks if check.state == "warning"]
    figure = f"{len(checks) - len(failed)} of {len(checks)} checks passed"
    if failed:
        return Reason("data_quality", "failed", " ".join(failed), figure)
    if not checks:
        return Reason("data_quality", "met", "No quality check was asked for.")
    sentence = " ".join(["The data passed every quality check.", *warned])
    return Reason("data_quality", "met", sentence, figure)


def _days_reason(evidence: Evidence) -> Reason:
    met = evidence.has_run_long_enough
    ran, least = f"{evidence.days_run:g}", f"{evidence.minimum_days:g}"
    sentence = (
        f"The experiment ran at least {least} full days."
        if met
        else f"Nothing ships before {least} full days."
    )
    figure = f"{ran} of {least} days"
    return Reason("minimum_days", "met" if met else "waiting", sentence, figure)


def _look_reason(evidence: Evidence) -> Reason:
    figure = f"look {evidence.look} of {evidence.planned_looks}"
    if evidence.is_last_look:
        return Reason("planned_looks", "met", "This is the last planned look.", figure)
    if evidence.look == 0:
        sentence = "The first planned look has not come yet."
        return Reason("planned_looks", "waiting", sentence, figure)
    sentence = "More looks are planned; a winner may be named at any of them."
    return Reason("planned_looks", "waiting", sentence, figure)


def _effect_reason(result: PrimaryResult, evidence: Evidence) -> Reason:
    _, low, high = result.oriented()
    name, least = result.variant, evidence.minimum_effect
    state: State = "unmet" if evidence.is_last_look else "waiting"
    beyond = f" by more than {_number(least, result.scale)}" if least else ""
    if math.isnan(low) or math.isnan(high):
        sentence = f"There is not enough data to compare {name} with control."
    elif low > least:
        state, sentence = "met", f"{name} is better than control{beyond}."
    elif high < 0:
        state, sentence = "failed", f"{name} is worse than control."
    else:
        sentence = f"{name} is not shown to be better than control{beyond}."
    return Reason("better_than_control", state, sentence, result.figure, name)


def _guardrail_reasons(variant: str, evidence: Evidence) -> list[Reason]:
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


def _winner_reason(contenders: tuple[str, ...], duel: HeadToHead | None) -> Reason:
    code = "clear_winner"
    if not contenders:
        return Reason(code, "waiting", "No variant qualifies, so none is the best.")
    best = contenders[0]
    if len(contenders) == 1:
        sentence = f"{best} is the only variant that qualifies."
        return Reason(code, "met", sentence, variant=best)
    if duel is None:
        sentence = f"{_names(contenders)} have not been compared with each other."
        return Reason(code, "unmet", sentence)
    figure = _figure(duel.estimate, duel.lower, duel.upper, duel.scale)
    figure = f"{duel.variant} against {duel.other}: {figure}"
    if duel.excludes_zero:
        sentence = f"{best} is better than {contenders[1]}, the runner-up."
        return Reason(code, "met", sentence, figure, best)
    return Reason(code, "unmet", f"{_names(contenders)} cannot be told apart.", figure)


def _names(variants: tuple[str, ...]) -> str:
    return " and ".join([", ".join(variants[:-1]), variants[-1]])


def _number(value: float, scale: Scale) -> str:
    if math.isnan(value):
        return "unknown"
    return (
        f"{value:+.1%}".replace("%", " %") if scale == "relative" else f"{value:+.4g}"
    )


def _figure(estimate: float, lower: float, upper: float, scale: Scale) -> str:
    low, high = _number(lower, scale), _number(upper, scale)
    return f"{_number(estimate, scale)} ({low} to {high})"
