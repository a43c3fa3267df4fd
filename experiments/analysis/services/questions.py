"""A question from the control plane's rows, or once more from a stored report."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from experiments.analysis.comparisons import Watched
from experiments.analysis.models import Report
from experiments.analysis.plan import AnalysisPlan, PlanError
from experiments.analysis.report import Question
from experiments.analysis.results import MetricResult, ReportContent, VariantInfo
from experiments.design.models import Experiment, MetricRole, Phase, Variant
from experiments.metrics.definitions import (
    DefinitionError,
    MetricDefinition,
    parse,
)
from experiments.metrics.models import MetricVersion
from experiments.metrics.sums import Scope
from experiments.statistics.guardrails import MarginScale
from models_registry.errors import InvalidError

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
_ORDER = (MetricRole.PRIMARY, MetricRole.SECONDARY, MetricRole.GUARDRAIL)


def ask(
    experiment: Experiment, *, as_of: datetime | None, batches: Mapping[str, int]
) -> Question:
    """Return what a look at an experiment asks of its log.

    Args:
        experiment: What is looked at.
        as_of: The phase is the one of this moment; None: the latest, without an end.
        batches: Shard -> last batch of the log that is read.

    Raises:
        InvalidError: It has not started, lacks a primary metric or a treatment, a
            metric has no usable definition, or ``as_of`` lies before its start.
    """
    as_of = as_of or FOREVER
    phase = _phase_at(experiment, as_of)
    variants = _variants(experiment, phase)
    plan = _plan(
        started_at=phase.started_at,
        planned_days=experiment.planned_days,
        looks=experiment.looks,
        alpha=experiment.alpha,
        treatments=len(variants) - 1,
        minimum_effect=experiment.minimum_effect,
    )
    watched = _watched(experiment)
    return Question(
        title=experiment.name,
        plan=plan,
        scope=_scope(experiment, phase, as_of, batches, variants),
        variants=variants,
        watched=watched,
    )


def ask_again(report: Report, stored: ReportContent) -> Question:
    """Return what a report asked, from what it froze: batches, versions, plan.

    Raises:
        InvalidError: A metric version it names is gone.
    """
    plan = _plan(
        started_at=report.phase.started_at,
        planned_days=stored.plan.planned_days,
        looks=stored.plan.looks,
        alpha=stored.plan.alpha,
        treatments=stored.plan.comparisons,
        minimum_effect=stored.plan.minimum_effect,
    )
    scope = _scope(
        report.experiment, report.phase, report.as_of, report.batches, stored.variants
    )
    return Question(
        title=stored.title,
        plan=plan,
        scope=replace(scope, placement=stored.placement),
        variants=stored.variants,
        watched=tuple(_watched_again(metric) for metric in stored.metrics),
    )


def _phase_at(experiment: Experiment, as_of: datetime) -> Phase:
    """Return the phase that a moment belongs to."""
    phases = experiment.phases.order_by("-number")
    phase = phases.filter(started_at__lte=as_of).first()
    if phase is not None:
        return phase
    first = phases.last()
    if first is None:
        raise InvalidError(
            f"Experiment {experiment.key} has not started; start it, then analyse it."
        )
    raise InvalidError(
        f"as_of is {as_of.isoformat()}, before experiment {experiment.key} started at "
        f"{first.started_at.isoformat()}; choose a later moment."
    )


def _plan(**given: object) -> AnalysisPlan:
    try:
        return AnalysisPlan(**given)  # type: ignore[arg-type]  # typed by the callers
    except PlanError as error:
        raise InvalidError(str(error)) from error


def _variants(experiment: Experiment, phase: Phase) -> tuple[VariantInfo, ...]:
    """Return the phase's variants, control first."""
    rows = experiment.variants.select_related("version__model").order_by(
        "-is_control", "position"
    )
    return tuple(
        _variant(row, float(phase.weights[row.key]))
        for row in rows
        if row.key in phase.weights
    )


def _variant(row: Variant, weight: float) -> VariantInfo:
    version = row.version
    return VariantInfo(
        key=row.key,
        letter=row.letter,
        label=row.name or (str(version) if version else row.key),
        is_control=row.is_control,
        weight=weight,
        users=0,
        model=version.model.name if version else None,
        model_version=version.number if version else None,
    )


def _scope(
    experiment: Experiment,
    phase: Phase,
    as_of: datetime,
    batches: Mapping[str, int],
    variants: Iterable[VariantInfo],
) -> Scope:
    carried = experiment.phases.filter(number__lt=phase.number, seed=phase.seed)
    return Scope(
        experiment=experiment.key,
        placement=experiment.placement.key,
        phase=phase.number,
        started_at=phase.started_at,
        as_of=as_of,
        variants=tuple(info.key for info in variants),
        batches=dict(batches),
        carried_phases=tuple(sorted(carried.values_list("number", flat=True))),
    )


def _watched(experiment: Experiment) -> tuple[Watched, ...]:
    """Return the experiment's metrics with their latest versions, primary first."""
    rows = experiment.metrics.select_related("metric").order_by("position", "pk")
    watched = []
    for row in sorted(rows, key=lambda row: _ORDER.index(MetricRole(row.role))):
        version = row.metric.versions.order_by("-number").first()
        if version is None:
            raise InvalidError(
                f"Metric {row.metric.key} has no definition; save one on its page."
            )
        watched.append(
            Watched(
                key=row.metric.key,
                name=row.metric.name,
                description=row.metric.description,
                role=row.role,
                version=version.number,
                definition=_definition(version),
                margin=row.margin,
                margin_scale=_scale(row.margin_scale),
            )
        )
    if not watched or watched[0].role != MetricRole.PRIMARY:
        raise InvalidError(
            f"Experiment {experiment.key} has no primary metric; choose exactly one."
        )
    return tuple(watched)


def _watched_again(metric: MetricResult) -> Watched:
    version = MetricVersion.objects.filter(
        metric__key=metric.key, number=metric.version
    ).first()
    if version is None:
        raise InvalidError(
            f"Version {metric.version} of metric {metric.key} is gone; the report "
            "cannot be recomputed."
        )
    return Watched(
        key=metric.key,
        name=metric.name,
        description=metric.description,
        role=metric.role,
        version=metric.version,
        definition=_definition(version),
        margin=metric.margin or 0.0,
        margin_scale=_scale(metric.margin_scale),
    )


def _scale(stored: str) -> MarginScale:
    return "absolute" if stored == "absolute" else "relative"


def _definition(version: MetricVersion) -> MetricDefinition:
    try:
        return parse(version.definition)
    except DefinitionError as error:
        raise InvalidError(f"Metric {version}: {error}") from error
