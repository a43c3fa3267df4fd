"""A report's content: what was asked, answered from what was measured (pure)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import msgspec

from experiments.analysis.comparisons import Comparer, Watched
from experiments.analysis.plan import MINIMUM_DAYS, AnalysisPlan
from experiments.analysis.quality import checks_of
from experiments.analysis.results import (
    LookPlan,
    MetricResult,
    PairResult,
    QualityCheck,
    ReportContent,
    VariantInfo,
    VerdictResult,
)
from experiments.metrics.definitions import MetricDefinition
from experiments.metrics.sums import Measurement, Scope
from experiments.statistics.sequential import Look

Verdict: TypeAlias = Callable[
    [
        Sequence[MetricResult],
        Sequence[QualityCheck],
        LookPlan,
        Sequence[PairResult],
    ],
    VerdictResult,
]
DIGITS = 12
TOLD_ONLY = frozenset({"computed_at", "seconds"})


@dataclass(frozen=True)
class Question:
    """All that is fixed before the log is read.

    Attributes:
        variants: Control first; ``users`` is filled in by the answer.
        watched: Metrics, the primary one first.
    """

    title: str
    plan: AnalysisPlan
    scope: Scope
    variants: tuple[VariantInfo, ...]
    watched: tuple[Watched, ...]

    @property
    def definitions(self) -> Mapping[str, MetricDefinition]:
        """What the log is measured for."""
        return {metric.key: metric.definition for metric in self.watched}

    def family(self, metric: Watched) -> int:
        """Return how many comparisons share a metric's error; guardrails share none."""
        if metric.role == "guardrail":
            return 1
        alike = sum(other.role == metric.role for other in self.watched)
        return alike * self.plan.treatments


def answer(
    question: Question,
    measured: Measurement,
    verdict_of: Verdict,
    *,
    computed_at: datetime,
    seconds: float,
) -> ReportContent:
    """Return the report's content.

    Args:
        question: What was asked.
        measured: What the log holds about it.
        verdict_of: The decision rule.
        computed_at: When this is.
        seconds: How long reading the log took.
    """
    scope, plan = question.scope, question.plan
    comparer = Comparer(measured, plan, scope.as_of)
    primary = question.watched[0]
    metrics = tuple(
        comparer.metric(metric, question.family(metric)) for metric in question.watched
    )
    checks = checks_of(
        measured,
        weights={info.key: info.weight for info in question.variants},
        names={info.key: info.label for info in question.variants},
        as_of=scope.as_of,
    )
    pairs = comparer.pairs(primary)
    look_plan = _look_plan(plan, comparer.look, scope.as_of)
    users = [int(count) for count in measured.users[:, -1]]
    return ReportContent(
        experiment=scope.experiment,
        title=question.title,
        placement=scope.placement,
        phase=scope.phase,
        started_at=scope.started_at.isoformat(),
        as_of=scope.as_of.isoformat(),
        computed_at=computed_at.isoformat(),
        events_read=measured.events_read,
        users=sum(users),
        excluded_users=measured.crossed + measured.unknown,
        plan=look_plan,
        variants=tuple(
            msgspec.structs.replace(info, users=count)
            for info, count in zip(question.variants, users, strict=True)
        ),
        checks=checks,
        metrics=metrics,
        days=tuple(comparer.days(primary)),
        verdict=verdict_of(metrics, checks, look_plan, pairs),
        pairs=pairs,
        notes=_notes(plan, comparer.look),
        seconds=round(seconds, 3),
    )


def differences(stored: object, found: object, path: str = "") -> Iterator[str]:
    """Yield what differs between two contents as plain data, to twelve digits."""
    if isinstance(stored, Mapping) and isinstance(found, Mapping):
        for key in sorted((stored.keys() | found.keys()) - TOLD_ONLY):
            yield from differences(stored.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(stored, list | tuple) and isinstance(found, list | tuple):
        if len(stored) != len(found):
            yield f"{path}: {len(stored)} entries stored, {len(found)} found"
        for place, (one, other) in enumerate(zip(stored, found, strict=False)):
            yield from differences(one, other, f"{path}[{place}]")
    elif not _same(stored, found):
        yield f"{path}: stored {stored!r}, found {found!r}"


def _same(stored: object, found: object) -> bool:
    if isinstance(stored, float) or isinstance(found, float):
        if not isinstance(stored, int | float) or not isinstance(found, int | float):
            return False
        return abs(stored - found) <= 10.0**-DIGITS * max(abs(stored), abs(found))
    return stored == found


def _look_plan(plan: AnalysisPlan, look: int, as_of: datetime) -> LookPlan:
    days = plan.days_at(as_of)
    reached = plan.information_at(look)
    return LookPlan(
        alpha=plan.alpha,
        looks=plan.looks,
        look=look,
        planned_days=plan.planned_days,
        days=round(days, 6),
        information=reached[-1] if look else min(1.0, days / plan.planned_days),
        critical_value=float(Look(reached, plan.alpha_per_comparison).critical)
        if look
        else None,
        comparisons=plan.treatments,
        minimum_days=MINIMUM_DAYS,
        minimum_effect=plan.minimum_effect,
    )


def _notes(plan: AnalysisPlan, look: int) -> tuple[str, ...]:
    ends = ", ".join(f"{days}" for days in plan.look_days)
    spent = (
        f"Group-sequential plan: looks after days {ends}, error {plan.alpha:g} spent "
        "by the O'Brien-Fleming-like function of Lan and DeMets."
    )
    if plan.treatments > 1:
        spent += f" The {plan.treatments} variants share it equally (Bonferroni)."
    kind = (
        "Intervals and p-values are the repeated ones of this look."
        if look
        else "Between looks intervals and p-values are always-valid: wider, and they "
        "decide nothing."
    )
    units = (
        "Each shopper counts once, from the first exposure on; shoppers without "
        "events count as zero; those who met two variants are left out."
    )
    tests = (
        "Shares: score test and interval of Miettinen and Nurminen. Means: Welch's "
        "test with Fieller's interval for the relative change."
    )
    return spent, kind, units, tests
