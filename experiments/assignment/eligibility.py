"""Compile who may meet an experiment: layers, holdouts, prerequisites, forced units."""

import json
from collections.abc import Iterable
from datetime import datetime

from experiments.assignment.plan import FilterPlan, PrerequisitePlan
from experiments.design.models import Experiment, Holdout, LayerMembership
from experiments.design.segments import bucket_ranges


def filters(
    experiment: Experiment, holdouts: Iterable[Holdout], started_at: datetime
) -> tuple[FilterPlan, ...]:
    """Holdouts first, then layers: who fails one is not looked at.

    A holdout binds the experiments that started while it was open, until they end, so
    that opening or ending one moves nobody in a running experiment.

    Args:
        experiment: With its memberships and their segments.
        holdouts: All there are.
        started_at: When the experiment's first phase opened.
    """
    tags = set(experiment.tags)
    held = (
        FilterPlan(seed=each.seed, ranges=((each.share, 1.0),), holdout=True)
        for each in holdouts
        if (not each.tags or tags.intersection(each.tags))
        and each.started_at <= started_at
        and (each.ended_at is None or started_at < each.ended_at)
    )
    layered = (
        FilterPlan(
            seed=membership.layer.seed,
            ranges=bucket_ranges(row.number for row in membership.segments.all()),
        )
        for membership in _memberships(experiment)
    )
    return (*held, *layered)


def prerequisites(experiment: Experiment) -> tuple[PrerequisitePlan, ...]:
    """What other placements must answer first."""
    return tuple(
        PrerequisitePlan(
            placement=row.placement.key,
            condition=json.dumps(row.condition),
            gate=row.gate,
        )
        for row in experiment.prerequisites.all()
    )


def forced(experiment: Experiment) -> tuple[tuple[str, str], ...]:
    """(unit id, variant key) pairs for quality assurance."""
    return tuple((row.unit_id, row.variant.key) for row in experiment.forced.all())


def _memberships(experiment: Experiment) -> list[LayerMembership]:
    return sorted(experiment.memberships.all(), key=lambda row: row.layer.key)
