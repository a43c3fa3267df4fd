"""What is true of an experiment now, around whichever report is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.urls import reverse

from experiments.analysis.models import Report
from experiments.analysis.presentation import numbers
from experiments.analysis.presentation.banner import Banner, Button, Decided, Reader
from experiments.analysis.presentation.wording import Tag
from experiments.analysis.results import ReportContent
from experiments.design.lifecycle import Action, Status, allowed_actions
from experiments.design.models import Experiment
from models_registry.models import Job, JobState

if TYPE_CHECKING:
    from experiments.decisions.models import Decision

STALE_AFTER = timedelta(hours=36)
STATUS_TAGS = {
    Status.DRAFT: Tag("quiet", "clock", "Draft"),
    Status.RUNNING: Tag("info", "play", "Running"),
    Status.PAUSED: Tag("warn", "pause", "Paused"),
    Status.CONCLUDED: Tag("quiet", "flag", "Concluded"),
    Status.SHIPPED: Tag("good", "check", "Shipped"),
    Status.ARCHIVED: Tag("quiet", "box", "Archived"),
}


@dataclass(frozen=True)
class Notice:
    """A line above the verdict: something about the page, not about the result."""

    tone: str
    icon: str
    strong: str
    text: str
    href: str = ""
    link: str = ""
    job: int | None = None
    progress: float | None = None


STATUS_NOTICES = {
    Status.PAUSED: Notice(
        "warn",
        "pause",
        "The experiment is paused.",
        "Every shopper gets the default; nobody is added until it resumes.",
    ),
    Status.ARCHIVED: Notice(
        "quiet",
        "box",
        "This experiment is archived.",
        "Its reports are kept; nothing of it can change any more.",
    ),
}


@dataclass(frozen=True)
class Transition:
    """A button that moves the experiment on."""

    action: str
    label: str
    style: str = ""
    icon: str = ""


BUTTONS = {
    Action.START: Transition("start", "Start", "main", "play"),
    Action.PAUSE: Transition("pause", "Pause", icon="pause"),
    Action.RESUME: Transition("resume", "Resume", "main", "play"),
    Action.ARCHIVE: Transition("archive", "Archive", icon="box"),
}


def status_tag(status: str) -> Tag:
    """The word of an experiment's state."""
    return STATUS_TAGS[Status(status)]


def transitions(experiment: Experiment, reader: Reader) -> tuple[Transition, ...]:
    """What the reader may do next with the experiment, by its life cycle."""
    if not reader.may_change:
        return ()
    allowed = allowed_actions(experiment.status)
    return tuple(button for action, button in BUTTONS.items() if action in allowed)


def decided(decisions: "Sequence[Decision]") -> Decided | None:
    """The newest decision; ``roll_back`` when the last one was undone."""
    if not decisions:
        return None
    newest = decisions[0]
    by = newest.decided_by
    return Decided(
        action=newest.action,
        variant=newest.variant.key if newest.variant else "",
        by=(by.get_full_name() or by.get_username()) if by else "",
        at=newest.decided_at,
        reason=newest.reason,
        against_rule=newest.against_rule,
        report=newest.report.number if newest.report else None,
    )


def meta(
    experiment: Experiment, report: Report | None, content: ReportContent | None
) -> tuple[str, ...]:
    """Facts under the title: day, owner, dates, shoppers."""
    owner = experiment.owner
    facts = [owner.get_full_name() or owner.get_username()] if owner else []
    if experiment.started_at is not None:
        end = experiment.ended_at or (report.as_of if report else None)
        facts.append(
            numbers.span(experiment.started_at, end)
            if end
            else f"since {numbers.day(experiment.started_at)}"
        )
    if content is not None:
        day = max(1, int(content.plan.days))
        facts.insert(0, f"day {day} of {content.plan.planned_days}")
        facts.append(numbers.plural(content.users, "shopper"))
    return tuple(facts)


def notices(
    experiment: Experiment,
    *,
    report: Report | None,
    latest: int | None,
    job: Job | None,
    undone: Decided | None,
    now: datetime,
) -> tuple[Notice, ...]:
    """What to know before reading: frozen, computing, failed, stale, paused, undone."""
    found = [
        *_frozen(report, latest),
        *_about_job(report, job),
        *_stale(experiment, report, job, now),
    ]
    if experiment.status in STATUS_NOTICES:
        found.append(STATUS_NOTICES[Status(experiment.status)])
    if undone is not None and undone.action == "roll_back":
        who = undone.by or "The platform"
        reason = f" Reason: {undone.reason}" if undone.reason else ""
        found.append(
            Notice(
                "bad",
                "x",
                f"{who} rolled back on {numbers.moment(undone.at)}.",
                f"Shoppers get what was served before.{reason}",
            )
        )
    return tuple(found)


def _frozen(report: Report | None, latest: int | None) -> list[Notice]:
    if report is None or latest is None or report.number == latest:
        return []
    return [
        Notice(
            "info",
            "clock",
            f"You are reading report {report.number}, which is frozen.",
            f"The newest is report {latest}.",
            href="?",
            link="Read the newest",
        )
    ]


def _about_job(report: Report | None, job: Job | None) -> list[Notice]:
    if job is None:
        return []
    kept = f"You are reading report {report.number}." if report else ""
    if job.state in {JobState.QUEUED, JobState.RUNNING}:
        doing = f"{job.message}. " if job.message else ""
        return [
            Notice(
                "info",
                "info",
                "A report is being computed.",
                f"{doing}{kept}",
                job=job.pk,
                progress=job.progress,
            )
        ]
    failed_after = report is None or job.created_at > report.created_at
    if job.state == JobState.FAILED and failed_after:
        cause = job.error.strip().splitlines()[-1][:300] if job.error.strip() else ""
        return [
            Notice(
                "warn",
                "warn",
                "The last analysis failed.",
                f"{cause} {kept}".strip(),
                job=job.pk,
            )
        ]
    return []


def _stale(
    experiment: Experiment, report: Report | None, job: Job | None, now: datetime
) -> list[Notice]:
    going_on = job is not None and job.state in {JobState.QUEUED, JobState.RUNNING}
    if report is None or going_on or experiment.status != Status.RUNNING:
        return []
    age = now - report.created_at
    if age <= STALE_AFTER:
        return []
    return [
        Notice(
            "warn",
            "clock",
            f"These figures are {numbers.duration(age.total_seconds())} old.",
            "No analysis has ended since; the last good report stays.",
        )
    ]


def without_report(experiment: Experiment, job: Job | None, reader: Reader) -> Banner:
    """The banner while there is nothing to read: it says when there will be."""
    if experiment.status == Status.DRAFT:
        return _draft(experiment, reader)
    if job is not None and job.state in {JobState.QUEUED, JobState.RUNNING}:
        return Banner(
            "info",
            "clock",
            "Computing",
            "The first report is being computed",
            ("This page shows it when it is done; reload in about a minute.",),
        )
    since = experiment.started_at
    started = (f"Started {numbers.moment(since)}.",) if since else ()
    if experiment.status not in {Status.RUNNING, Status.PAUSED}:
        return Banner(
            "quiet",
            "flag",
            "Ended",
            "This experiment ended without a report",
            (*started, "It was never analysed, so nothing can be said."),
        )
    conclude = Button("Conclude without a report…", dialog="otherwise")
    return Banner(
        "quiet",
        "clock",
        "No report yet",
        "Too early: no report has been made yet",
        (
            *started,
            "The first report comes with the first daily analysis.",
            "A verdict needs 7 full days, so that each weekday counts once.",
        ),
        buttons=(conclude,) if reader.may_keep else (),
    )


def _draft(experiment: Experiment, reader: Reader) -> Banner:
    edit = Button(
        "Edit the experiment",
        href=reverse("admin:design_experiment_change", args=(experiment.pk,)),
    )
    return Banner(
        "quiet",
        "clock",
        "Not started",
        "No shopper is in this experiment yet",
        (
            "Check the variants, the metrics and the length, then start it.",
            "Results appear after the first analysis.",
        ),
        buttons=(edit,) if reader.may_change else (),
    )
