"""Report content for tests that need a report but not its numbers."""

from typing import Any

import msgspec

from experiments.analysis.results import LookPlan, ReportContent, VerdictResult


def report_content(*, decision: str, winner: str | None = None) -> dict[str, Any]:
    """A report that says little more than its verdict, as stored."""
    content = ReportContent(
        experiment="home-page-recommender",
        title="Home-page recommender",
        placement="home",
        phase=1,
        started_at="2026-08-03T00:00:00Z",
        as_of="2026-08-17T00:00:00Z",
        computed_at="2026-08-17T00:01:00Z",
        events_read=1000,
        users=200,
        excluded_users=0,
        plan=LookPlan(
            alpha=0.05,
            looks=2,
            look=2,
            planned_days=14,
            days=14.0,
            information=1.0,
            critical_value=2.0,
            comparisons=1,
        ),
        variants=(),
        checks=(),
        metrics=(),
        days=(),
        verdict=VerdictResult(
            decision=decision,
            winner=winner,
            candidates=(winner,) if winner else (),
            reasons=(),
        ),
    )
    made: dict[str, Any] = msgspec.to_builtins(content)
    return made
