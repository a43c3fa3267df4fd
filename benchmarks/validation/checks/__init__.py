"""The checks of the validation that are no grid, one module a topic."""

from benchmarks.validation.checks import adjustment, families, looks
from benchmarks.validation.claims import Check

# A check keeps its place: its seed follows from it. New ones go to the end.
CHECKS: tuple[Check, ...] = (
    Check(looks.planned_looks),
    Check(looks.watched_means, fewer=200, again=False),
    Check(looks.watched_adjusted_means, fewer=200, again=False),
    Check(looks.watched_ratios, fewer=200, again=False),
    Check(looks.guardrail_at_its_margin),
    Check(adjustment.variance_left, 100_000, fewer=100_000, again=False),
    Check(families.sample_ratio_alarms, 100_000, fewer=50_000, again=False),
    Check(families.many_metrics, fewer=1_000),
    Check(families.views_as_independent),
)
