"""A report's figures put before the rule, and its answer in the report's words (pure).

``config`` hands ``verdict_of`` to the analysis wing by its dotted name, since a report
carries its verdict and the rule belongs here.
"""

import math
from collections.abc import Sequence

from experiments.analysis.results import (
    Interval,
    LookPlan,
    MetricResult,
    PairResult,
    QualityCheck,
    ReasonResult,
    VerdictResult,
)
from experiments.decisions import rule
from experiments.statistics.guardrails import Direction, Outcome

_OUTCOMES = {"holds": Outcome.PASS, "harmed": Outcome.FAIL}
_STATES: dict[str, rule.CheckState] = {
    "good": "ok",
    "warn": "warning",
    "bad": "failed",
}


def verdict_of(
    metrics: Sequence[MetricResult],
    checks: Sequence[QualityCheck],
    plan: LookPlan,
    pairs: Sequence[PairResult],
) -> VerdictResult:
    """Return what the default rule says about a report's figures.

    Between looks nothing is decided, whatever the figures say: the rule sees no look.

    Args:
        metrics: Results of every metric; exactly one is primary.
        checks: Health of the data.
        plan: The plan and the look this is.
        pairs: Treatments against each other on the primary metric.
    """
    primary = next(metric for metric in metrics if metric.role == "primary")
    verdict = rule.decide(
        rule.Evidence(
            primary=_primary(primary),
            guardrails=_guardrails(metrics),
            quality=tuple(
                rule.QualityCheck(check.code, _STATES[check.state], check.sentence)
                for check in checks
            ),
            look=plan.look,
            planned_looks=plan.looks,
            days_run=plan.days,
            head_to_head=tuple(_pair(pair) for pair in pairs),
            minimum_days=plan.minimum_days,
            minimum_effect=plan.minimum_effect,
        )
    )
    return VerdictResult(
        decision=str(verdict.decision),
        winner=verdict.winner,
        candidates=verdict.candidates,
        reasons=tuple(_reason(reason, plan) for reason in verdict.reasons),
        against=verdict.against,
    )


def _primary(metric: MetricResult) -> tuple[rule.PrimaryResult, ...]:
    return tuple(
        rule.PrimaryResult(
            result.variant,
            *_figures(result.relative),
            direction=_direction(metric),
        )
        for result in metric.variants
        if result.relative is not None
    )


def _guardrails(metrics: Sequence[MetricResult]) -> tuple[rule.GuardrailResult, ...]:
    return tuple(
        rule.GuardrailResult(
            result.variant,
            metric.name,
            _OUTCOMES.get(result.reading, Outcome.INCONCLUSIVE),
        )
        for metric in metrics
        if metric.role == "guardrail"
        for result in metric.variants
        if result.reading != "baseline"
    )


def _pair(pair: PairResult) -> rule.HeadToHead:
    estimate, lower, upper = _figures(pair.effect)
    if math.isnan(lower):  # nothing known tells nothing apart
        lower, upper = -math.inf, math.inf
    return rule.HeadToHead(pair.variant, pair.other, estimate, lower, upper)


def _figures(interval: Interval | None) -> tuple[float, float, float]:
    """Return estimate, lower and upper; NaN for what is not known."""
    if interval is None:
        return math.nan, math.nan, math.nan
    estimate, lower, upper = interval.estimate, interval.lower, interval.upper
    middle = math.nan if estimate is None else estimate
    if lower is None and upper is None:
        return middle, math.nan, math.nan
    # An end that alone is missing has no bound (a control without an event).
    return (
        middle,
        -math.inf if lower is None else lower,
        math.inf if upper is None else upper,
    )


def _direction(metric: MetricResult) -> Direction:
    return "decrease" if metric.direction == "decrease" else "increase"


def _reason(reason: rule.Reason, plan: LookPlan) -> ReasonResult:
    sentence = reason.sentence
    if reason.code == "planned_looks" and plan.look == 0:
        sentence = (
            "This report lies between the planned looks; only a planned look decides."
        )
    return ReasonResult(reason.code, reason.state, sentence, reason.figure)
