"""The checks of the validation that are no grid, one module a topic."""

from benchmarks.validation.checks import (
    adjustment,
    beliefs,
    families,
    looks,
    open_field,
    planned,
)
from benchmarks.validation.claims import Check

# A check keeps its place: its seed follows from it. New ones go to the end.
CHECKS: tuple[Check, ...] = (
    Check(looks.planned_looks, fewer=1_000),
    Check(looks.watched_means, fewer=200, again=False),
    Check(looks.watched_adjusted_means, fewer=200, again=False),
    Check(looks.watched_ratios, fewer=200, again=False),
    Check(looks.guardrail_at_its_margin),
    Check(adjustment.variance_left, 100_000, fewer=100_000, again=False),
    Check(families.sample_ratio_alarms, 100_000, fewer=20_000, again=False),
    Check(families.many_metrics, fewer=400),
    Check(families.views_as_independent),
    Check(planned.ended_plans, fewer=500),
    Check(planned.watched_sample_ratio, 100_000, fewer=10_000, again=False),
    Check(planned.equivalence_at_its_margin),
    Check(families.one_control_for_several, fewer=100, again=False),
    Check(families.selected_intervals, fewer=500),
    Check(beliefs.normal_beliefs, 100_000, fewer=50_000),
    Check(beliefs.several_variants, 20_000, fewer=300, again=False),
    Check(beliefs.beta_beliefs, 60_000, fewer=2_000, again=False),
    Check(beliefs.past_winners, 20_000, fewer=20_000),
    Check(open_field.interleaving_without_a_difference),
    Check(open_field.policies_from_logs, fewer=500),
    Check(open_field.segments_with_one_effect),
    Check(adjustment.predictions, 4_000, fewer=100, again=False),
    Check(adjustment.balance_before, fewer=500, again=False),
)
