"""Looks at a real log: reports, their numbers, which moment they read, reproduction."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from deltalake import DeltaTable
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from experiments.analysis import services
from experiments.analysis.models import Report
from experiments.analysis.results import ReportContent
from experiments.design.models import Experiment
from experiments.design.services import (
    ExperimentSpec,
    MetricSpec,
    create_experiment,
    transition,
)
from experiments.metrics.definitions import Conversion
from experiments.metrics.services import ensure_metric
from models_registry import jobs
from models_registry.errors import InvalidError
from models_registry.jobs import JobHandle
from models_registry.models import Job, JobState
from tests.experiments.metrics.logs import START, LogBuilder, write_rows
from tests.factories import experiment_spec

pytestmark = pytest.mark.django_db
KEY = "home-page-recommender"


def _spec() -> ExperimentSpec:
    spec = experiment_spec(KEY)
    roles = {
        "recommended_click_share": "primary",
        "revenue_per_shopper": "secondary",
        "fallback_share": "guardrail",
    }
    metrics = [
        MetricSpec(metric=ensure_metric(key), role=role, margin=0.3)
        for key, role in roles.items()
    ]
    return replace(spec, metrics=metrics)


@pytest.fixture
def experiment() -> Experiment:
    """A running experiment that started with the shop's log."""
    made = create_experiment(_spec(), by=None)
    return transition(made, "start", by=None, now=START)


def _shop(
    clickers: Mapping[str, int], *, shoppers: int = 400, days: int = 14
) -> LogBuilder:
    """Each shopper asks for one list; the first so many of a variant click an item.

    Everybody comes within the first five days; half of the shoppers get a fallback.
    """
    log = LogBuilder()
    for variant, clicking in clickers.items():
        for number in range(shoppers):
            who = f"{variant}-{number}"
            at = START + timedelta(minutes=18 * number)
            log.expose(who, variant, at, experiment=KEY)
            log.add(
                who,
                "served",
                at,
                request_id=who,
                item_id="item",
                placement="home",
                fallback="cold" if number % 2 else "none",
            )
            if number < clicking:
                click = at + timedelta(minutes=5)
                log.add(who, "click", click, request_id=who, item_id="item")
            if number % 3 == 0:
                log.add(
                    who,
                    "purchase",
                    at + timedelta(hours=1),
                    order_id=who,
                    value=f"{10 + number % 7}.25",
                    currency="GBP",
                )
    log.add("bystander", "view", START + timedelta(days=days))
    return log


def _analyse(experiment: Experiment, as_of: datetime | None = None) -> Report:
    job = services.request_analysis(experiment, as_of)
    services.run_analysis(JobHandle(job))
    Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED)
    return Report.objects.get(job=job)


def _content(report: Report) -> ReportContent:
    return msgspec.convert(report.content, ReportContent)


def test_a_look_at_the_log_becomes_a_report_with_the_verdict(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 60, "treatment": 130}).write(lake)
    report = _analyse(experiment, START + timedelta(days=14))
    content = _content(report)
    assert (report.number, report.look) == (1, 2)
    assert report.batches == {"0": 1}
    assert content.verdict.decision == "ship"
    assert content.verdict.winner == "treatment"
    assert [info.key for info in content.variants] == ["control", "treatment"]
    assert [info.users for info in content.variants] == [400, 400]
    primary, revenue, fallback = content.metrics
    assert [v.value for v in primary.variants] == [60 / 400, 130 / 400]
    assert primary.variants[1].reading == "better"
    assert revenue.variants[0].value == pytest.approx(
        sum(10.25 + n % 7 for n in range(0, 400, 3)) / 400
    )
    assert [v.value for v in fallback.variants] == [0.5, 0.5]
    assert fallback.variants[1].reading == "holds"
    assert {check.state for check in content.checks} == {"good"}
    assert len(content.days) == 2 * 14


def test_without_a_moment_the_planned_look_that_has_come_is_read(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 60, "treatment": 62}, days=9).write(lake)
    first = _analyse(experiment)
    assert (first.look, first.as_of) == (1, START + timedelta(days=7))
    between = _analyse(experiment)
    assert (between.look, between.as_of) == (0, START + timedelta(days=9))
    assert between.content["verdict"]["decision"] == "keep_running"
    assert between.number == 2


def test_past_the_planned_end_the_last_look_is_read(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 60, "treatment": 62}, days=30).write(lake)
    for _ in range(2):
        report = _analyse(experiment)
        assert (report.look, report.as_of) == (2, START + timedelta(days=14))


def test_a_report_before_any_event_says_that_nothing_arrived(
    experiment: Experiment, lake: Path
) -> None:
    content = _content(_analyse(experiment))
    assert content.users == 0
    assert content.verdict.decision == "no_verdict"
    assert content.checks[0].state == "bad"


def test_a_job_delivered_twice_makes_one_report(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 6, "treatment": 6}, shoppers=20).write(lake)
    job = services.request_analysis(experiment)
    results = [services.run_analysis(JobHandle(job)) for _ in range(2)]
    assert results[0] == results[1]
    assert Report.objects.count() == 1


def test_asking_twice_for_the_same_look_queues_one_job(experiment: Experiment) -> None:
    one, two = (services.request_analysis(experiment) for _ in range(2))
    assert one == two


def test_the_job_is_sent_once_the_request_is_committed(
    experiment: Experiment,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        services.request_analysis(experiment)
    assert len(callbacks) == 1


def test_what_cannot_be_analysed_is_refused_at_once(experiment: Experiment) -> None:
    with pytest.raises(InvalidError, match="before experiment"):
        services.request_analysis(experiment, START - timedelta(days=1))
    draft = create_experiment(experiment_spec("draft"), by=None)
    with pytest.raises(InvalidError, match="draft has not started"):
        services.request_analysis(draft)
    experiment.metrics.filter(role="primary").delete()
    with pytest.raises(InvalidError, match="has no primary metric"):
        services.request_analysis(experiment)


def test_a_report_is_reproduced_after_later_events_compaction_and_new_versions(
    experiment: Experiment, lake: Path
) -> None:
    log = _shop({"control": 60, "treatment": 130})
    for place, row in enumerate(log.rows):
        row["batch"] = 1 + place % 3
    for batch in (1, 2, 3):
        write_rows(lake, [r for r in log.rows if r["batch"] == batch])
    report = _analyse(experiment, START + timedelta(days=14))
    late = LogBuilder()
    late.add(
        "control-399",
        "click",
        START + timedelta(days=6, minutes=1),
        item_id="item",
        request_id="control-399",
        batch=4,
    )
    write_rows(lake, late.rows)
    ensure_metric("recommended_click_share", definition=Conversion(events=("view",)))
    table = DeltaTable(lake / "events")
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert services.reproduce(report) == []
    out = StringIO()
    call_command("reproduce", KEY, "1", stdout=out)
    assert "is reproduced" in out.getvalue()


def test_a_report_whose_figures_do_not_follow_from_the_log_is_not_reproduced(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 30, "treatment": 30}, shoppers=120).write(lake)
    report = _analyse(experiment, START + timedelta(days=14))
    report.content["metrics"][0]["variants"][1]["value"] *= 1 + 1e-9
    report.save()
    with pytest.raises(CommandError, match=r"differs in 1 figures:\n\.metrics\[0\]"):
        call_command("reproduce", KEY, "1")
    with pytest.raises(CommandError, match="no report 7"):
        call_command("reproduce", KEY, "7")


def test_a_second_phase_is_analysed_by_itself(
    experiment: Experiment, lake: Path
) -> None:
    second = START + timedelta(days=20)
    experiment.phases.create(
        number=2,
        seed="anew",
        weights={"control": 0.5, "treatment": 0.5},
        started_at=second,
    )
    log = _shop({"control": 60, "treatment": 130})
    for number in range(150):
        variant = ("control", "treatment")[number % 2]
        log.expose(f"new-{number}", variant, second, experiment=KEY, phase=2)
    write_rows(lake, log.rows)
    report = _analyse(experiment, second + timedelta(days=1))
    assert _content(report).users == 150
    earlier = _analyse(experiment, START + timedelta(days=7))
    assert _content(earlier).users == 800


def test_running_experiments_are_looked_at_when_the_log_has_grown(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 30, "treatment": 30}, shoppers=120, days=9).write(lake)
    now = timezone.now()
    later = now + timedelta(minutes=11)
    assert services.request_due_analyses(now) == []  # it has only just begun
    (job,) = services.request_due_analyses(later)
    assert services.request_due_analyses(later) == []  # one is on its way
    services.run_analysis(JobHandle(job))
    Job.objects.update(state=JobState.SUCCEEDED)
    assert services.request_due_analyses(later) == []  # nothing new
    log = LogBuilder()
    log.add("control-1", "view", START + timedelta(days=9), batch=2)
    write_rows(lake, log.rows)
    assert len(services.request_due_analyses(later)) == 1


def test_an_experiment_that_waits_for_a_decision_is_left_alone(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 60, "treatment": 160}, days=9).write(lake)
    report = _analyse(experiment)
    assert report.content["verdict"]["decision"] == "ship"
    log = LogBuilder()
    log.add("control-1", "view", START + timedelta(days=9), batch=2)
    write_rows(lake, log.rows)
    later = timezone.now() + timedelta(minutes=11)
    assert services.request_due_analyses(later) == []


@pytest.mark.django_db(transaction=True)
def test_the_command_computes_a_report_here(experiment: Experiment, lake: Path) -> None:
    _shop({"control": 30, "treatment": 30}, shoppers=120, days=6).write(lake)
    out = StringIO()
    call_command("analyse", KEY, "--as-of", "2025-03-10T08:30:00.25Z", stdout=out)
    assert "Report 1 of home-page-recommender: keep_running." in out.getvalue()
    assert Report.objects.get().look == 1


@pytest.mark.django_db(transaction=True)
def test_a_failed_analysis_keeps_the_last_report_and_the_job_says_why(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 30, "treatment": 30}, shoppers=120).write(lake)
    call_command("analyse", KEY, stdout=StringIO())
    for file in (lake / "events").glob("date=*/*.parquet"):
        file.unlink()
    job = services.request_analysis(experiment)
    jobs.run(job.pk, services.run_analysis)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert ".parquet" in job.error
    assert Report.objects.count() == 1


def test_the_command_names_what_is_wrong() -> None:
    with pytest.raises(CommandError, match="There is no experiment 'nothing'"):
        call_command("analyse", "nothing")
    with pytest.raises(CommandError, match="no moment with a zone"):
        call_command("analyse", "nothing", "--as-of", "yesterday")


def test_the_logged_shoppers_can_be_dealt_anew(
    experiment: Experiment, lake: Path
) -> None:
    _shop({"control": 60, "treatment": 62}).write(lake)
    found = services.resplit(experiment, ["one", "two", "three"])
    assert set(found) == {"one", "two", "three"}
    assert {v.decision for v in found.values()} <= {"keep_control", "no_verdict"}
