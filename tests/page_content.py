"""Rich report content for the pages' tests, one verdict each."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

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
METHOD = "Miettinen-Nurminen score, repeated at 2 looks"


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
    QualityCheck(
        "sample_ratio",
        "Shoppers are split as planned",
        "good",
        "33.4% / 33.3% / 33.3%, p = 0.76.",
    ),
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
        "sample_ratio",
        "Shoppers are split as planned",
        "bad",
        "Variant C has 6,012 shoppers where 7,003 were planned, p < 0.001.",
        "Send the exposure before the list is requested, then start a new phase.",
    ),
    *CHECKS[1:],
)


def _verdict(decision: str, qualify: tuple[str, ...], days: int) -> VerdictResult:
    reached = "met" if decision != "keep_running" else "waiting"
    return VerdictResult(
        decision=decision,
        winner="c" if decision == "ship" else None,
        candidates=qualify,
        reasons=(
            ReasonResult(
                "data_quality",
                "failed" if decision == "no_verdict" else "met",
                "Quality checks pass",
                "1 advisory, which does not block",
            ),
            ReasonResult("minimum_days", "met", "Ran for 7 full days", f"{days} days"),
            ReasonResult(
                "better_than_control",
                "met" if qualify else "unmet",
                "Gain is clear",
                "+9.3%",
            ),
            ReasonResult(
                "planned_looks", reached, "A planned look is reached", "look 2"
            ),
        ),
        against=(
            ("Fallback lists may rise by up to 17.8%; the limit is +10.0%.",)
            if qualify
            else ()
        ),
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
        verdict=_verdict(decision, qualify, days),
        notes=("41 shoppers met two variants and are left out.",),
        seconds=3.2,
    )
