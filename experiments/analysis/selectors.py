"""What the experiment pages read: reports, who decided, running analyses, models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from django.db.models import Count, Prefetch, QuerySet, prefetch_related_objects

from experiments.analysis.models import Report
from experiments.analysis.results import ReportContent
from experiments.design.lifecycle import Status
from experiments.design.models import Change, Experiment, Variant
from models_registry.models import Alias, Evaluation, Job, Version

if TYPE_CHECKING:
    from experiments.decisions.models import Decision

PAGE_SIZE = 25
ANALYSIS = "analyse"


@dataclass(frozen=True)
class Offline:
    """The offline figures of one variant's model version."""

    variant: str
    model: str
    number: int
    label: str
    figures: dict[str, dict[str, float | None]]
    protocol: dict[str, object]
    registered_at: datetime
    job_id: int | None
    is_champion: bool


@dataclass(frozen=True)
class Listed:
    """A row of the experiment list."""

    experiment: Experiment
    content: ReportContent | None
    reported_at: datetime | None
    last_decision: "Decision | None"


def content_of(report: Report) -> ReportContent:
    """The report's typed content."""
    return msgspec.convert(report.content, ReportContent)


def experiment_by_key(key: str) -> Experiment | None:
    """An experiment with what its pages name."""
    return (
        Experiment.objects.select_related("placement", "owner")
        .prefetch_related(
            Prefetch(
                "variants",
                Variant.objects.select_related("version__model").order_by("position"),
            )
        )
        .filter(key=key)
        .first()
    )


def report_of(experiment: Experiment, number: int | None) -> Report | None:
    """The report with this number, or the latest."""
    reports = Report.objects.filter(experiment=experiment)
    if number is not None:
        return reports.filter(number=number).first()
    return reports.order_by("-number").first()


def report_numbers(experiment: Experiment) -> list[tuple[int, int, datetime]]:
    """Number, look and time of every report, newest first."""
    return list(
        Report.objects.filter(experiment=experiment)
        .order_by("-number")
        .values_list("number", "look", "as_of")
    )


def running_analysis(experiment: Experiment) -> Job | None:
    """The newest analysis of an experiment that has not ended well."""
    return (
        Job.objects.filter(kind=ANALYSIS, parameters__experiment=experiment.key)
        .order_by("-created_at")
        .first()
    )


def decisions_of(experiment: Experiment) -> "list[Decision]":
    """What was decided, newest first, with who and which variant."""
    return list(
        experiment.decisions.select_related("variant", "decided_by", "report").order_by(
            "-decided_at", "-id"
        )
    )


def changes_of(experiment: Experiment) -> QuerySet[Change]:
    """Who changed what, newest first."""
    return experiment.changes.select_related("made_by")


def offline_of(variants: Sequence[Variant]) -> tuple[Offline, ...]:
    """Each variant's model beside its latest evaluation."""
    versions = {v.version_id: v for v in variants if v.version_id is not None}
    evaluations: dict[int, Evaluation] = {}
    for evaluation in (
        Evaluation.objects.filter(version_id__in=versions)
        .defer("per_unit")
        .order_by("created_at")
    ):
        evaluations[evaluation.version_id] = evaluation
    champions = _champions(
        v.version for v in variants if isinstance(v.version, Version)
    )
    rows = []
    for variant in variants:
        version = variant.version
        if version is None or version.id not in evaluations:
            continue
        evaluation = evaluations[version.id]
        rows.append(
            Offline(
                variant=variant.key,
                model=version.model.name,
                number=version.number,
                label=str(version),
                figures=evaluation.figures,
                protocol=evaluation.protocol,
                registered_at=version.created_at,
                job_id=version.job_id,
                is_champion=version.id in champions,
            )
        )
    return tuple(rows)


def _champions(versions: Iterable[Version]) -> set[int]:
    models = {version.model_id for version in versions}
    return set(
        Alias.objects.filter(model_id__in=models, name="champion").values_list(
            "version_id", flat=True
        )
    )


def champion_of(experiment: Experiment) -> str:
    """The version that the placement serves now, by name; empty: none."""
    alias = (
        Alias.objects.filter(model__placements=experiment.placement_id, name="champion")
        .select_related("version")
        .first()
    )
    return str(alias.version) if alias else ""


def experiments_matching(
    words: str, status: str, placement: str
) -> QuerySet[Experiment]:
    """Experiments by name, state and placement; running ones first."""
    found = Experiment.objects.select_related("placement", "owner")
    if words:
        found = found.filter(name__icontains=words) | found.filter(key__icontains=words)
    if status in set(Status):
        found = found.filter(status=status)
    elif not status:
        found = found.exclude(status=Status.ARCHIVED)
    if placement:
        found = found.filter(placement__key=placement)
    return found.prefetch_related("variants").order_by("-created_at", "-id")


def listed(experiments: Iterable[Experiment]) -> list[Listed]:
    """The latest report and decision of each experiment, in two queries."""
    from_page = list(experiments)
    prefetch_related_objects(from_page, "decisions__variant")
    reports = {
        report.experiment_id: report
        for report in Report.objects.filter(experiment__in=from_page)
        .order_by("experiment_id", "-number")
        .distinct("experiment_id")
    }
    decisions = {
        experiment.id: next(iter(experiment.decisions.all()), None)
        for experiment in from_page
    }
    return [
        Listed(
            experiment=experiment,
            content=content_of(reports[experiment.id])
            if experiment.id in reports
            else None,
            reported_at=reports[experiment.id].created_at
            if experiment.id in reports
            else None,
            last_decision=decisions.get(experiment.id),
        )
        for experiment in from_page
    ]


def experiments_splitting() -> QuerySet[Experiment]:
    """Experiments that split shoppers now: the ones that may wait for a person."""
    return (
        Experiment.objects.filter(status__in=(Status.RUNNING, Status.PAUSED))
        .select_related("placement", "owner")
        .order_by("-started_at")
    )


def counts_by_status() -> dict[str, int]:
    """How many experiments stand where."""
    return dict(
        Experiment.objects.order_by()
        .values_list("status")
        .annotate(number=Count("id"))
        .values_list("status", "number")
    )


def reports_made(experiment: Experiment) -> list[tuple[int, int, datetime]]:
    """Number, look and making time of every report."""
    return list(
        Report.objects.filter(experiment=experiment).values_list(
            "number", "look", "created_at"
        )
    )
