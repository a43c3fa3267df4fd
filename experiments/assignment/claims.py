"""What clients say they showed, held against what the plan gives (pure).

A client that evaluates by itself reports its exposures. One that the plan would not
give (an old payload, a wrong hash, a forced variant) is kept apart under the name
``variant_mismatch``: it counts in no analysis, and is there to be looked into.
"""

import uuid
from typing import cast

from experiments.assignment.answers import Reason, UnitContext
from experiments.assignment.bucketing import bucket
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.holder import PlanHolder
from experiments.assignment.javascript import Json
from experiments.assignment.plan import ExperimentPlan, PlacementPlan
from experiments.events.contract import IncomingEvent
from experiments.events.ingestion import ExposureCheck

EXPOSURE = "exposure"
MISMATCH = "variant_mismatch"
UNKNOWN = "UNKNOWN_EXPERIMENT"
# What the unit's attributes decide; without them it cannot be known.
_BY_ATTRIBUTES = frozenset({Reason.NOT_IN_AUDIENCE, Reason.PREREQUISITE})


class Claims(ExposureCheck):
    """Checks and completes exposures by the plan of the moment."""

    def __init__(self, holder: PlanHolder) -> None:
        self._holder = holder

    def check(self, event: IncomingEvent, now: float) -> None:
        """Complete an exposure from the plan, or set it apart."""
        if (
            event.name != EXPOSURE
            or event.experiment is None
            or not self._holder.loaded
        ):
            return
        compiled = self._holder.compiled()
        found = find_experiment(compiled, event.experiment)
        if found is None:
            _set_apart(event, UNKNOWN)
            return
        placement, rule = found
        if event.phase not in {None, rule.phase} or rule.status != "running":
            return  # an earlier split, which this plan cannot repeat
        event.placement = event.placement or placement.key
        event.phase, event.epoch = rule.phase, event.epoch or rule.epoch
        verdict = _verdict(compiled, placement, rule, event, now)
        if verdict is not None:
            _set_apart(event, verdict)
            return
        variant = next((v for v in rule.variants if v.key == event.variant), None)
        if variant is not None and event.assignment_probability is None:
            event.assignment_probability = min(variant.weight, 1.0)
        event.reason = event.reason or Reason.SPLIT.value


def _set_apart(event: IncomingEvent, reason: str) -> None:
    """Rename it, with an id of its own: it may not stand in the true one's place."""
    event.name, event.reason = MISMATCH, reason
    event.event_id = uuid.uuid5(event.event_id, f"{MISMATCH} {event.variant}")


def find_experiment(
    compiled: CompiledPlan, key: str
) -> tuple[PlacementPlan, ExperimentPlan] | None:
    """An experiment of the plan with its placement."""
    for placement in compiled.plan.placements.values():
        for rule in placement.experiments:
            if rule.key == key:
                return placement, rule
    return None


def _verdict(
    compiled: CompiledPlan,
    placement: PlacementPlan,
    rule: ExperimentPlan,
    event: IncomingEvent,
    now: float,
) -> str | None:
    """Why the plan would not give this; None: it would, or cannot tell."""
    if (event.unit_id, event.variant) in rule.forced or not rule.disable_sticky:
        return None
    attributes = cast("dict[str, Json]", event.attributes or {})
    context = UnitContext(event.unit_id, attributes, now)
    answer, steps = compiled.explain(placement.key, context)
    if answer.experiment == rule.key:
        return None if answer.variant == event.variant else answer.reason.value
    step = next((step for step in steps if step.experiment == rule.key), None)
    if step is None:  # a rule ahead of it decided
        return answer.reason.value
    if step.reason in _BY_ATTRIBUTES and event.attributes is None:
        return _verdict_of_bucket(rule, event)
    return step.reason.value


def _verdict_of_bucket(rule: ExperimentPlan, event: IncomingEvent) -> str | None:
    if rule.hash_attribute != "id" or rule.hash_version != 2:  # GrowthBook's
        return None
    at = bucket(rule.seed, event.unit_id)
    for variant in rule.variants:
        if variant.start <= at < variant.end:
            return None if variant.key == event.variant else Reason.SPLIT.value
    return Reason.NOT_IN_COVERAGE.value
