"""From a look's figures to the rule's answer."""

from collections.abc import Sequence

import pytest

from experiments.analysis.comparisons import Watched
from experiments.analysis.report import Question, answer
from experiments.analysis.results import ReportContent, VariantInfo
from experiments.decisions.verdict import verdict_of
from experiments.metrics.sums import Measurement, Scope
from tests.experiments.analysis.measurements import (
    FALLBACK,
    START,
    after,
    known,
    measured,
    plan_of,
    watched,
)

WATCHED = (watched(), watched("guardrail", FALLBACK, key="fallback"))


def _report(
    found: Measurement,
    days: float = 14,
    *,
    minimum_effect: float = 0.0,
    watching: tuple[Watched, ...] = WATCHED,
) -> ReportContent:
    treatments = len(found.variants) - 1
    question = Question(
        title="Home-page recommender",
        plan=plan_of(treatments, minimum_effect=minimum_effect),
        scope=Scope("home", "home", 1, START, after(days), found.variants, {"0": 1}),
        variants=tuple(
            VariantInfo(key, "ABCD"[i], key, i == 0, 1 / (treatments + 1), 0)
            for i, key in enumerate(found.variants)
        ),
        watched=watching,
    )
    return answer(question, found, verdict_of, computed_at=after(days), seconds=1.0)


def _found(
    clicks: Sequence[int], fallback: int = 6000, worse: int = 6000
) -> Measurement:
    users = [10_000] * len(clicks)
    fallbacks = [fallback, worse, *[fallback] * (len(clicks) - 2)]
    return measured(
        users, {"clicks": list(clicks), "fallback": fallbacks}, last_event_at=after(19)
    )


@pytest.mark.parametrize(
    ("clicks", "days", "decision", "winner"),
    [
        ((1000, 1250, 1020), 7, "ship", "variant-1"),  # at the first look
        ((1000, 1110, 1020), 7, "keep_running", None),
        ((1000, 1110, 1020), 14, "ship", "variant-1"),
        ((1000, 1250, 1020), 10, "keep_running", None),  # between looks
        ((1000, 1020, 1010), 14, "keep_control", None),
        ((1000, 800, 810), 14, "keep_control", None),
        ((1000, 1250, 1240), 14, "not_distinguishable", None),
        ((1000, 1100, 1400), 14, "ship", "variant-2"),
        ((1000, 1250, 1020), 20, "ship", "variant-1"),  # past the planned end
    ],
)
def test_the_rule_is_told_the_looks_figures(
    clicks: tuple[int, int, int], days: float, decision: str, winner: str | None
) -> None:
    verdict = _report(_found(clicks), days).verdict
    assert (verdict.decision, verdict.winner) == (decision, winner)


def test_a_harmed_guardrail_keeps_a_better_variant_from_shipping() -> None:
    verdict = _report(_found((1000, 1400), worse=7500)).verdict
    assert verdict.decision == "keep_control"
    assert any("Fallback" in sentence for sentence in verdict.against)


def test_a_broken_split_forbids_a_verdict() -> None:
    found = measured(
        (10_000, 9_300), {"clicks": (1000, 1400), "fallback": (6000, 5600)}
    )
    report = _report(found)
    assert report.checks[0].code == "sample_ratio"
    assert report.verdict.decision == "no_verdict"
    assert report.verdict.winner is None


def test_two_qualifiers_are_both_named_and_their_comparison_shown() -> None:
    report = _report(_found((1000, 1250, 1260)))
    assert report.verdict.candidates == ("variant-2", "variant-1")
    (pair,) = report.pairs
    _, lower, upper, _ = known(pair.effect)
    assert lower < 0 < upper


def test_a_minimum_effect_must_be_cleared() -> None:
    found = _found((1000, 1140))
    assert _report(found).verdict.decision == "ship"
    assert _report(found, minimum_effect=0.1).verdict.decision == "keep_control"


def test_between_looks_the_reason_says_so() -> None:
    report = _report(_found((1000, 1250)), 10)
    (reason,) = [r for r in report.verdict.reasons if r.code == "planned_looks"]
    assert "between the planned looks" in reason.sentence
    assert report.plan.look == 0
    assert report.plan.critical_value is None


def test_nobody_exposed_gives_no_verdict_and_no_error() -> None:
    found = measured((0, 0), {"clicks": (0, 0), "fallback": (0, 0)}, last_event_at=None)
    assert _report(found, 3).verdict.decision == "no_verdict"


def test_secondary_metrics_share_their_error_over_metrics_and_variants() -> None:
    found = measured(
        (10_000, 10_000, 10_000),
        dict.fromkeys(("clicks", "carts", "orders"), (1000, 1100, 1000)),
    )
    report = _report(
        found,
        watching=(
            watched(),
            watched("secondary", key="carts"),
            watched("secondary", key="orders"),
        ),
    )
    primary, carts, _ = report.metrics
    # Two treatments share the primary's error; two metrics of two the secondary's.
    assert known(carts.variants[1].relative)[3] == pytest.approx(
        2 * known(primary.variants[1].relative)[3], rel=0.02
    )
    assert known(carts.variants[1].relative)[1] < known(primary.variants[1].relative)[1]
