"""A run (any job): how far it is, its figures, its curve, its log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard

from experiments.analysis.presentation import charts, numbers
from experiments.analysis.presentation.charts import LIGHT, Chart, Spec
from experiments.analysis.presentation.wording import Tag
from models_registry.models import Job, JobState
from scoring.training.presentation.facts import Fact, facts
from scoring.training.presentation.scores import MEASURES, label, written

WIDE = 582
LOG_LINES = 40
TAGS = {
    JobState.QUEUED: Tag("quiet", "clock", "Queued"),
    JobState.RUNNING: Tag("info", "play", "Running"),
    JobState.SUCCEEDED: Tag("good", "check", "Done"),
    JobState.FAILED: Tag("bad", "x", "Failed"),
    JobState.CANCELLED: Tag("quiet", "minus", "Cancelled"),
}
KINDS = {"train": "Training", "analyse": "Analysis", "import": "Import"}
FIGURES = {
    "ndcg": ("Validation NDCG@10", "on later time that training has not seen"),
    "loss": ("Training loss", "lower is better"),
    "epoch": ("Epoch", ""),
    "tokens_per_second": ("Speed", "interactions a second"),
    "rows": ("Rows", "so far"),
    "events": ("Events", "so far"),
    "users": ("Shoppers", ""),
    "seconds": ("Time in the loop", ""),
}


@dataclass(frozen=True)
class RunFigure:
    """A figure the work reports."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class RunRow:
    """A run in the list."""

    id: int
    title: str
    kind: str
    tag: Tag
    by: str
    when: str
    took: str
    percent: int


@dataclass(frozen=True)
class RunPage:
    """Everything the run page shows, and whether it goes on."""

    title: str
    tag: Tag
    meta: tuple[str, ...]
    headline: str
    percent: int
    progress: float
    going_on: bool
    stopping: bool
    figures: tuple[RunFigure, ...]
    curve: Chart | None
    parameters: tuple[Fact, ...]
    results: tuple[Fact, ...]
    log: str
    error: str


def rows(jobs: Sequence[Job], now: datetime) -> tuple[RunRow, ...]:
    """The list of runs."""
    return tuple(
        RunRow(
            id=job.pk,
            title=job.title,
            kind=KINDS.get(job.kind, job.kind.capitalize()),
            tag=TAGS[JobState(job.state)],
            by=_by(job),
            when=numbers.ago(job.created_at, now),
            took=_took(job, now),
            percent=round(job.progress * 100),
        )
        for job in jobs
    )


def page(job: Job, now: datetime) -> RunPage:
    """The page of one run."""
    going_on = job.state in {JobState.QUEUED, JobState.RUNNING}
    by = _by(job)
    return RunPage(
        title=job.title,
        tag=TAGS[JobState(job.state)],
        meta=tuple(
            part
            for part in (
                by and f"asked for by {by}",
                f"created {numbers.moment(job.created_at)}",
                _took(job, now),
                f"attempt {job.attempts}" if job.attempts > 1 else "",
            )
            if part
        ),
        headline=_headline(job, now),
        percent=round(job.progress * 100),
        progress=job.progress,
        going_on=going_on,
        stopping=going_on and job.cancel_requested,
        figures=_figures(job.figures),
        curve=_curve(job),
        parameters=facts(job.parameters),
        results=facts(job.result),
        log="\n".join(str(line) for line in reversed(job.logs[-LOG_LINES:])),
        error=job.error.strip(),
    )


def _by(job: Job) -> str:
    user = job.created_by
    return (user.get_full_name() or user.get_username()) if user else ""


def _took(job: Job, now: datetime) -> str:
    if job.started_at is None:
        return ""
    seconds = ((job.finished_at or now) - job.started_at).total_seconds()
    word = "took" if job.finished_at else "running for"
    return f"{word} {numbers.duration(seconds)}"


def _headline(job: Job, now: datetime) -> str:
    state = JobState(job.state)
    if state == JobState.QUEUED:
        return "Waiting for a free worker"
    if state == JobState.RUNNING:
        doing = job.message or "Running"
        doing = doing[:1].upper() + doing[1:]
        left = _left(job, now)
        return f"{doing}, about {left} left" if left else doing
    return {
        JobState.SUCCEEDED: "Done",
        JobState.FAILED: "It failed; nothing was registered",
        JobState.CANCELLED: "Cancelled",
    }[state]


def _left(job: Job, now: datetime) -> str:
    reported = job.figures.get("seconds_left")
    if isinstance(reported, int | float) and reported > 0:
        return numbers.duration(reported)
    if job.started_at is None or not 0.02 < job.progress < 1:
        return ""
    elapsed = (now - job.started_at).total_seconds()
    return numbers.duration(elapsed * (1 - job.progress) / job.progress)


def _figures(figures: Mapping[str, object]) -> tuple[RunFigure, ...]:
    found = []
    for name, value in figures.items():
        if name == "seconds_left" or not _is_number(value):
            continue
        called, note = _named(name)
        found.append(RunFigure(called, _written(name, value), note))
    return tuple(found[:8])


def _named(name: str) -> tuple[str, str]:
    bare, _, k = name.partition("@")
    measure = MEASURES.get(bare)
    if k.isdecimal() and measure is not None:
        return label(measure, int(k)), "on later time"
    return FIGURES.get(name, (name.replace("_", " ").capitalize(), ""))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _written(name: str, value: float) -> str:
    if name == "seconds":
        return numbers.duration(value)
    measure = MEASURES.get(name.partition("@")[0])
    if measure is not None:
        return written(measure, value)
    if float(value).is_integer():
        return numbers.count(int(value))
    return numbers.decimal(value, 0 if abs(value) >= 1000 else 3)


def _curve(job: Job) -> Chart | None:
    name, points = _losses(job.figures)
    if len(points) < 2:
        return None
    return charts.draw(
        f"{name} while the run goes on; now {numbers.decimal(points[-1][1], 3)}.",
        lambda narrow: loss_curve(points, narrow=narrow),
        WIDE,
    )


def _losses(figures: Mapping[str, object]) -> tuple[str, list[tuple[float, float]]]:
    """The loss's series: (share of the stage done, value), the first stage's first."""
    series = figures.get("series")
    if not isinstance(series, Mapping):
        return "", []
    for name, points in series.items():
        if "loss" in name and isinstance(points, list):
            return str(name), [(float(x), float(y)) for x, y in points]
    return "", []


def loss_curve(points: Sequence[tuple[float, float]], *, narrow: bool) -> Spec:
    """Loss over the share of the work done; the last point is marked."""
    data = [{"done": done, "loss": loss} for done, loss in points]
    low = min(loss for _, loss in points)
    x = {
        "field": "done",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "nice": False},
        "axis": {"title": "share of the fit done", "tickCount": 5, "format": ".0%"},
    }
    y = {
        "field": "loss",
        "type": "quantitative",
        "scale": {"zero": low < 0.5},
        "axis": {"title": None, "tickCount": 5},
    }
    mark = {
        "type": "point",
        "size": 90,
        "fill": LIGHT["ink-2"],
        "stroke": LIGHT["card"],
        "strokeWidth": 2,
        "opacity": 1,
    }
    return {
        "height": 220 if narrow else 260,
        "data": {"values": data},
        "layer": [
            {
                "mark": {"type": "line", "color": LIGHT["ink-2"]},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": data[-1:]},
                "mark": mark,
                "encoding": {"x": x, "y": y},
            },
        ],
    }
