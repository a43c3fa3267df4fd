"""Rich content for the pages' tests: one experiment for every state of a report."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.contrib.auth.models import Group, User

from experiments.analysis.models import Report
from experiments.analysis.results import (
    DayPoint,
    Interval,
    LookPlan,
    MetricResult,
    QualityCheck,
    ReasonResult,
    ReportContent,
    VariantInfo,
    VariantResult,
    VerdictResult,
)
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

START = datetime(2026, 8, 3, tzinfo=UTC)
LONG = (
    "Wiederkehrende_Kundinnen_und_Kunden_auf_der_Startseite_mit_einem_sehr_langen_"
    "Namen_ohne_ein_einziges_Leerzeichen, und noch etwas mehr"
)
MODELS = (
    ("popularity", 1, "popularity v1"),
    ("item_knn", 1, "item-knn v1"),
    ("transformer", 3, "transformer v3"),
)
SCORES = {"popularity": 0.0765, "item_knn": 0.0921, "transformer": 0.1025}
METHOD = "Miettinen-Nurminen score, repeated at 2 looks"


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


def interval(estimate: float, half: float, p: float | None = 0.01) -> Interval:
    """An interval around an estimate."""
    return Interval(estimate, estimate - half, estimate + half, p, "ok", METHOD)


def _metric(
    key: str,
    name: str,
    role: str,
    base: float,
    effects: Sequence[tuple[float, float, float | None, str]],
    **more: Any,
) -> MetricResult:
    results = [VariantResult("a", 7012, base)]
    for variant, (estimate, half, p, reading) in zip("bc", effects, strict=True):
        results.append(
            VariantResult(
                variant,
                6998,
                base * (1 + estimate),
                relative=interval(estimate, half, p),
                absolute=interval(base * estimate, base * half, p),
                uncorrected=interval(estimate, half * 0.85, p),
                reading=reading,
            )
        )
    return MetricResult(
        key=key,
        name=name,
        description=f"{name}, over all exposed shoppers.",
        role=role,
        version=1,
        variants=tuple(results),
        kind=more.pop("kind", "conversion"),
        unit=more.pop("unit", "share"),
        direction=more.pop("direction", "increase"),
        **more,
    )


def _metrics(b: float, c: float, half: float) -> tuple[MetricResult, ...]:
    def says(effect: float) -> str:
        low, high = effect - half, effect + half
        return "better" if low > 0 else "worse" if high < 0 else "unclear"

    return (
        _metric(
            "recommended_click_share",
            "Shoppers who clicked a recommendation",
            "primary",
            0.2194,
            [(b, half, 0.0004, says(b)), (c, half, 0.00001, says(c))],
        ),
        _metric(
            "revenue_per_shopper",
            "Revenue per shopper",
            "secondary",
            5.53,
            [(0.024, 0.041, 0.96, "unclear"), (0.045, 0.042, 0.03, "better")],
            kind="sum",
            unit="GBP",
        ),
        _metric(
            "fallback_share",
            "Shoppers who got an empty or fallback list",
            "guardrail",
            0.0123,
            [(-0.028, 0.06, None, "holds"), (0.058, 0.12, None, "not_shown_safe")],
            direction="decrease",
            margin=0.1,
        ),
    )


def _days(b: float, c: float, half: float, days: int) -> tuple[DayPoint, ...]:
    points = []
    for day in range(1, days + 1):
        for variant, effect in (("a", None), ("b", b), ("c", c)):
            wide = half * math.sqrt(14 / day)
            shift = math.sin(day * 1.7 + ord(variant)) * wide * 0.3
            moved = None if effect is None else effect + shift * (day < 14)
            points.append(
                DayPoint(
                    day=day,
                    date=(START + timedelta(days=day - 1)).date().isoformat(),
                    variant=variant,
                    users=500 * day,
                    value=0.2194 * (1 + (effect or 0)),
                    daily_value=0.2194 * (1 + (effect or 0)) + shift / 9,
                    estimate=moved,
                    lower=None if moved is None else moved - wide,
                    upper=None if moved is None else moved + wide,
                    is_look=day in {7, 14},
                )
            )
    return tuple(points)


CHECKS = (
    QualityCheck("srm", "Split as planned", "good", "33.4% / 33.3% / 33.3%, p = 0.76."),
    QualityCheck("one", "One variant per shopper", "good", "No shopper met two."),
    QualityCheck("data", "Data complete", "good", "No hour is missing up to 17 Aug."),
    QualityCheck(
        "shared",
        "Shared training log",
        "warn",
        "Variants learn from each other's clicks.",
        "Read the gain as a lower bound.",
    ),
)
BROKEN = (
    QualityCheck(
        "srm",
        "The split is broken",
        "bad",
        "Variant C has 6,012 shoppers where 7,003 were planned, p < 0.001.",
        "Send the exposure before the list is requested, then start a new phase.",
    ),
    *CHECKS[1:],
)


def content(
    decision: str = "ship", *, long: bool = False, days: int = 14
) -> ReportContent:
    """The content of a report with this verdict."""
    b, c, half = {
        "ship": (0.061, 0.131, 0.038),
        "not_distinguishable": (0.101, 0.112, 0.045),
        "keep_control": (-0.004, 0.006, 0.022),
    }.get(decision, (0.021, 0.044, 0.06))
    qualify = {"ship": ("c", "b"), "not_distinguishable": ("c", "b")}.get(decision, ())
    labels = [LONG] * 3 if long else [label for _, _, label in MODELS]
    users = (7012, 6998, 6012) if decision == "no_verdict" else (7012, 6998, 7001)
    reached = "met" if decision != "keep_running" else "waiting"
    return ReportContent(
        experiment="home-page-recommender",
        title="Home-page recommender",
        placement="home",
        phase=1,
        started_at=START.isoformat(),
        as_of=(START + timedelta(days=days)).isoformat(),
        computed_at=(START + timedelta(days=days, minutes=4)).isoformat(),
        events_read=412_800,
        users=sum(users),
        excluded_users=41,
        plan=LookPlan(0.05, 2, 1 + (days >= 14), 14, float(days), days / 14, 2.264, 2),
        variants=tuple(
            VariantInfo(
                key,
                key.upper(),
                label,
                key == "a",
                1 / 3,
                n,
                model="home",
                model_version=1,
            )
            for key, label, n in zip("abc", labels, users, strict=True)
        ),
        checks=BROKEN if decision == "no_verdict" else CHECKS,
        metrics=_metrics(b, c, half),
        days=_days(b, c, half, days),
        verdict=VerdictResult(
            decision=decision,
            winner="c" if decision == "ship" else None,
            candidates=qualify,
            reasons=(
                ReasonResult(
                    "quality",
                    "failed" if decision == "no_verdict" else "met",
                    "Quality checks pass",
                    "1 advisory, which does not block",
                ),
                ReasonResult("days", "met", "Ran for 7 full days", f"{days} days"),
                ReasonResult(
                    "gain", "met" if qualify else "unmet", "Gain is clear", "+9.3%"
                ),
                ReasonResult("look", reached, "A planned look is reached", "look 2"),
            ),
            against=(
                ("Fallback lists may rise by up to 17.8%; the limit is +10.0%.",)
                if qualify
                else ()
            ),
        ),
        notes=("41 shoppers met two variants and are left out.",),
        seconds=3.2,
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
        base = SCORES[kind]
        shoppers = [base + math.sin(i * number) * 0.2 for i in range(300)]
        figures = {
            name: {"value": value, "lower": value * 0.96, "upper": value * 1.04}
            for name, value in (
                ("ndcg@10", base),
                ("precision@10", base / 2),
                ("recall@10", base * 1.5),
                ("f1@10", base * 0.6),
                ("hit_rate@10", base * 3),
            )
        }
        figures["coverage@10"] = {"value": 0.12 * number, "lower": None, "upper": None}
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
