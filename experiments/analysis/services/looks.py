"""Asking for looks, taking them, and taking them once more.

DuckDB and Ibis are imported where they compute: a web process only asks.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import perf_counter

import msgspec
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.module_loading import import_string

from experiments.analysis.models import Report
from experiments.analysis.report import Question, answer, differences
from experiments.analysis.results import ReportContent
from experiments.analysis.services.questions import ask, ask_again
from experiments.design.lifecycle import Status
from experiments.design.models import Experiment
from experiments.metrics.sums import Measurement
from models_registry.errors import InvalidError
from models_registry.jobs import JobHandle, create_job, enqueue
from models_registry.models import Job, JobState

KIND = "analyse"
REFRESH_AFTER = timedelta(minutes=10)
SETTLED = ("ship", "not_distinguishable", "keep_control")
_OPEN = (JobState.QUEUED, JobState.RUNNING)


@transaction.atomic
def request_analysis(
    experiment: Experiment,
    as_of: datetime | None = None,
    by: User | None = None,
) -> Job:
    """Queue a look; a queued one for the same moment is returned instead.

    Args:
        experiment: One that has started.
        as_of: Up to when events count; None: the last planned look that has come and
            was not taken, else the log's last event.
        by: Who asks; None: the system.

    Raises:
        InvalidError: It has not started, lacks a primary metric or a treatment, or
            ``as_of`` lies before its start.
    """
    ask(experiment, as_of=as_of, batches={})  # refuses now what would fail later
    parameters = {
        "experiment": experiment.key,
        "as_of": as_of.isoformat() if as_of else None,
    }
    waiting = Job.objects.filter(
        kind=KIND, state=JobState.QUEUED, parameters=parameters
    ).first()
    if waiting is not None:
        return waiting
    job = create_job(KIND, f"Analysis of {experiment.name}", parameters, by)
    enqueue(job)
    return job


def run_analysis(handle: JobHandle) -> dict[str, object]:
    """Compute and store the report a job asks for; a job makes at most one.

    Returns:
        The job's result: ``report`` (number), ``look`` and ``decision``.

    Raises:
        InvalidError: The experiment is gone or cannot be analysed.
    """
    made = Report.objects.filter(job_id=handle.job_id).first()
    if made is None:
        key = str(handle.parameters["experiment"])
        experiment = Experiment.objects.filter(key=key).first()
        if experiment is None:
            raise InvalidError(f"There is no experiment {key!r}; it was deleted.")
        asked = handle.parameters.get("as_of")
        as_of = datetime.fromisoformat(str(asked)) if asked else None
        handle.report(0.1, "Reading the event log")
        question, measured, seconds = _read(experiment, as_of)
        handle.check()
        handle.report(0.8, "Comparing variants")
        content = _answer(question, measured, seconds)
        made = _store(experiment, question, content, handle.job_id)
    verdict = made.content["verdict"]["decision"]
    return {"report": made.number, "look": made.look, "decision": verdict}


def request_due_analyses(now: datetime | None = None) -> Sequence[Job]:
    """Queue a look at each running experiment whose last one is old and log is not.

    An experiment whose last look decided something waits for a person instead.
    """
    from experiments.events.lake import Lake

    moment = now or timezone.now()
    batches = Lake(settings.LAKE_URL).batches()
    return [
        request_analysis(experiment)
        for experiment in Experiment.objects.filter(status=Status.RUNNING)
        if _is_due(experiment, batches, moment)
    ]


def reproduce(report: Report) -> list[str]:
    """Recompute a report from its own batches; what differs, to twelve digits."""
    from experiments.metrics.selectors import EventLog, measure

    stored = msgspec.convert(report.content, ReportContent)
    question = ask_again(report, stored)
    with EventLog.open(settings.LAKE_URL) as log:
        measured = measure(log, question.scope, question.definitions)
    found = _answer(question, measured, stored.seconds)
    return list(differences(report.content, msgspec.to_builtins(found)))


def _read(
    experiment: Experiment, as_of: datetime | None
) -> tuple[Question, Measurement, float]:
    from experiments.events.lake import Lake, read_twice
    from experiments.metrics.selectors import EventLog, latest_event, measure

    began = perf_counter()

    def read() -> tuple[Question, Measurement]:
        batches = Lake(settings.LAKE_URL).batches()
        question = ask(experiment, as_of=as_of, batches=batches)
        with EventLog.open(settings.LAKE_URL) as log:
            if as_of is None:
                moment = _moment(
                    experiment, question, latest_event(log, question.scope)
                )
                question = ask(experiment, as_of=moment, batches=batches)
            return question, measure(log, question.scope, question.definitions)

    question, measured = read_twice(read)
    return question, measured, perf_counter() - began


def _moment(
    experiment: Experiment, question: Question, latest: datetime | None
) -> datetime:
    """Return the planned look that has come and was not taken, else the latest event.

    The latest event is the experiment's clock: a simulated shop has its own.
    """
    plan, scope = question.plan, question.scope
    if latest is None:
        return scope.started_at
    reports = experiment.reports.filter(phase__number=scope.phase)
    done = reports.aggregate(last=Max("look"))["last"] or 0
    come = [moment for moment in plan.look_times[done:] if moment <= latest]
    return come[-1] if come else min(latest, plan.look_times[-1])


def _answer(question: Question, measured: Measurement, seconds: float) -> ReportContent:
    return answer(
        question,
        measured,
        import_string(settings.ANALYSIS_VERDICT),
        computed_at=timezone.now(),
        seconds=seconds,
    )


@transaction.atomic
def _store(
    experiment: Experiment, question: Question, content: ReportContent, job_id: int
) -> Report:
    Experiment.objects.select_for_update().get(pk=experiment.pk)
    last = experiment.reports.aggregate(last=Max("number"))["last"] or 0
    return Report.objects.create(
        experiment=experiment,
        phase=experiment.phases.get(number=question.scope.phase),
        job_id=job_id,
        number=last + 1,
        look=content.plan.look,
        as_of=question.scope.as_of,
        batches=dict(question.scope.batches),
        content=msgspec.json.decode(msgspec.json.encode(content)),
    )


def _is_due(experiment: Experiment, batches: dict[str, int], now: datetime) -> bool:
    report = experiment.reports.order_by("-number").first()
    changed = experiment.changes.aggregate(last=Max("made_at"))["last"]
    since = report.created_at if report else changed
    if since is None or since > now - REFRESH_AFTER:
        return False
    if Job.objects.filter(
        kind=KIND, state__in=_OPEN, parameters__experiment=experiment.key
    ).exists():
        return False
    if report is None:
        return bool(batches)
    settled = report.look > 0 and report.content["verdict"]["decision"] in SETTLED
    return not settled and report.batches != batches
