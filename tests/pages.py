"""Rich content for the pages' tests: one experiment for every state of a report."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
from django.contrib.auth.models import Group, User

from experiments.analysis.models import Report
from experiments.analysis.results import ReportContent
from experiments.decisions.models import Decision
from experiments.design.models import Change, Experiment, Phase, Placement, Variant
from models_registry.models import (
    Alias,
    AliasMove,
    Evaluation,
    Job,
    JobState,
    Model,
    Version,
)
from tests.page_content import LONG, MODELS, START, content

SCORES = {"popularity": 0.0765, "item_knn": 0.0921, "transformer": 0.1025}


def person(role: str) -> User:
    """Someone with this role."""
    user, made = User.objects.get_or_create(username=f"{role}-person")
    if made:
        user.first_name, user.last_name = "Mara", role.title()
        user.is_staff = True
        user.set_password("correct horse battery")
        user.save()
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


def _evaluate(version: Version) -> None:
    base = SCORES[version.kind]
    shoppers = [base + math.sin(i * version.number) * 0.2 for i in range(300)]
    figures: dict[str, dict[str, float | None]] = {
        name: {"value": value, "lower": value * 0.96, "upper": value * 1.04}
        for name, value in (
            ("ndcg@10", base),
            ("precision@10", base / 2),
            ("recall@10", base * 1.5),
            ("f1@10", base * 0.6),
            ("hit_rate@10", base * 3),
        )
    }
    figures["coverage@10"] = {
        "value": 0.12 * version.number,
        "lower": None,
        "upper": None,
    }
    figures["accuracy@10"] = {"value": 0.9961, "lower": 0.9959, "upper": 0.9963}
    figures["always_no_accuracy@10"] = {
        "value": 0.9968,
        "lower": 0.9966,
        "upper": 0.997,
    }
    Evaluation.objects.create(
        version=version,
        figures=figures,
        per_unit={"ndcg@10": shoppers},
        protocol={
            "method": "global time cut",
            "cut": START.timestamp(),
            "gap_seconds": 86400.0,
            "horizon_seconds": 604800.0,
            "users": 300,
            "items": 24_318,
            "k": 10,
            "confidence": 0.95,
            "exclusion_rule": "items in the case's exclude set are not ranked",
            "tie_rule": "a relevant item stands behind every other item",
            "cases_hash": "ab" * 32,
        },
    )


def versions() -> list[Version]:
    """Three evaluated versions; the first is champion."""
    model, made = Model.objects.get_or_create(
        name="home", defaults={"description": "Ranks the home page."}
    )
    if not made:
        return list(Version.objects.filter(model=model).order_by("number"))
    found = []
    for number, (kind, _, _) in enumerate(MODELS, start=1):
        job = Job.objects.create(
            kind="train",
            title=f"Train {kind}",
            state=JobState.SUCCEEDED,
            progress=1.0,
            started_at=START,
            finished_at=START + timedelta(minutes=9),
        )
        version = Version.objects.create(
            model=model,
            number=number,
            kind=kind,
            artifact_digest=f"{number:x}" * 64,
            size_bytes=3_600_000,
            job=job,
            manifest={
                "parameters": {"layers": 2, "width": 64},
                "split": {"cut": START.timestamp(), "gap_seconds": 86400.0},
                "seed": 7,
                "data": {"interactions": 1_940_000, "fingerprint": "9c41" * 16},
            },
        )
        _evaluate(version)
        found.append(version)
    Alias.objects.create(model=model, name="champion", version=found[0])
    AliasMove.objects.create(
        alias_model=model,
        alias_name="champion",
        to_version=found[0],
        moved_by=person("growth"),
        reason="First champion.",
    )
    return found


def experiment(
    key: str, *, status: str = "running", long: bool = False, name: str = ""
) -> Experiment:
    """An experiment with three variants."""
    made_versions = versions()
    placement, _ = Placement.objects.get_or_create(
        key="home",
        defaults={"name": "Home page", "default_model": made_versions[0].model},
    )
    made = Experiment.objects.create(
        key=key,
        name=name or (LONG if long else f"Home-page recommender, {key}"),
        placement=placement,
        owner=person("growth"),
        status=status,
        started_at=None if status == "draft" else START,
        hypothesis="A sequence model finds what shoppers look for next.",
    )
    for position, version in enumerate(made_versions):
        Variant.objects.create(
            experiment=made,
            key="abc"[position],
            name=str(version),
            position=position,
            is_control=position == 0,
            weight=1 / 3,
            version=version,
        )
    Phase.objects.create(
        experiment=made, number=1, seed=key, weights={}, started_at=START
    )
    Change.objects.create(
        experiment=made,
        action="start",
        summary="Started with three variants.",
        made_by=person("growth"),
    )
    return made


def report(of: Experiment, what: ReportContent, number: int = 1) -> Report:
    """A stored report."""
    return Report.objects.create(
        experiment=of,
        phase=of.phases.get(),
        number=number,
        look=what.plan.look,
        as_of=datetime.fromisoformat(what.as_of),
        content=msgspec.to_builtins(what),
    )


STATES = (
    "ship",
    "not_distinguishable",
    "keep_running",
    "keep_control",
    "no_verdict",
    "long",
    "draft",
    "empty",
    "computing",
    "paused",
    "shipped",
    "concluded",
    "archived",
)


def every_state() -> None:
    """One experiment for each state of a report."""
    for state in ("ship", "not_distinguishable", "keep_running", "keep_control"):
        days = 9 if state == "keep_running" else 14
        report(experiment(state.replace("_", "-")), content(state, days=days))
    report(experiment("no-verdict", name="Product page"), content("no_verdict"))
    report(experiment("long", long=True), content("ship", long=True))
    experiment("draft", status="draft")
    experiment("empty")
    of = experiment("computing")
    report(of, content("keep_running", days=8))
    Job.objects.create(
        kind="analyse",
        title="Analyse computing",
        parameters={"experiment": "computing"},
        state=JobState.RUNNING,
        progress=0.6,
        message="3 of 5 metrics",
        started_at=START,
    )
    report(experiment("paused", status="paused"), content("keep_running", days=5))
    for key, status, action in (
        ("shipped", "shipped", "ship"),
        ("concluded", "concluded", "keep_control"),
        ("archived", "archived", "ship"),
    ):
        of = experiment(key, status=status)
        made = report(of, content("ship"))
        Decision.objects.create(
            experiment=of,
            report=made,
            action=action,
            variant=of.variants.get(key="c") if action == "ship" else None,
            reason="The rule is met; next we look at returning shoppers.",
            decided_by=person("growth"),
        )


def training_run() -> Job:
    """A training run that goes on."""
    return Job.objects.create(
        kind="train",
        title="Train transformer",
        parameters={"kind": "transformer", "epochs": 30, "seed": 7},
        state=JobState.RUNNING,
        progress=22 / 30,
        message="epoch 22 of 30",
        figures={
            "epoch": 22.0,
            "loss": 3.536,
            "tokens_per_second": 16540.2,
            "seconds_left": 296.0,
            "series": {"fit: loss": [[e / 30, 3.4 + 6 / e] for e in range(1, 23)]},
        },
        logs=[
            f"10:{e:02d}:41 epoch {e} of 30, loss {3.4 + 6 / e:.3f}"
            for e in range(1, 23)
        ],
        started_at=datetime.now(UTC) - timedelta(minutes=13),
        created_by=person("engineer"),
    )
