"""Who gets what, and why: a placement's rules walked for one unit (pure).

Within an experiment the order is that of DESIGN section 5: stopped, audience,
coverage and weights, next rule; last the placement's default.
"""

from collections.abc import Mapping

from experiments.assignment import conditions
from experiments.assignment.answers import Assignment, Reason, Step
from experiments.assignment.bucketing import bucket
from experiments.assignment.javascript import Json
from experiments.assignment.plan import ExperimentPlan, PlacementPlan, VariantPlan

__all__ = ["Assignment", "Reason", "Step", "assign", "explain"]


def assign(
    placement: PlacementPlan, unit_id: str, attributes: Mapping[str, Json], now: float
) -> Assignment:
    """What a unit gets at a placement.

    Args:
        placement: Its compiled rules.
        unit_id: The raw id; also the attribute ``id``.
        attributes: What is known of the unit, for audiences.
        now: Unix seconds, for phases that start later.
    """
    first: Reason | None = None
    for rule in placement.experiments:
        reason, at, variant = _apply(rule, unit_id, attributes, now)
        if variant is not None:
            return _answer(placement, rule, reason, at, variant)
        first = first or reason
    return Assignment(
        placement=placement.key,
        reason=first or Reason.DEFAULT,
        version_id=placement.default_version_id,
        payload=placement.default_payload,
    )


def explain(
    placement: PlacementPlan, unit_id: str, attributes: Mapping[str, Json], now: float
) -> tuple[Assignment, tuple[Step, ...]]:
    """``assign``'s answer and the walk to it: each rule met, the deciding one last."""
    steps = []
    for rule in placement.experiments:
        reason, at, variant = _apply(rule, unit_id, attributes, now)
        steps.append(Step(rule.key, reason, at, variant.key if variant else None))
        if variant is not None:
            break
    return assign(placement, unit_id, attributes, now), tuple(steps)


def _apply(
    rule: ExperimentPlan, unit_id: str, attributes: Mapping[str, Json], now: float
) -> tuple[Reason, float | None, VariantPlan | None]:
    if rule.status != "running":
        return Reason.STOPPED, None, _variant(rule, rule.outcome)
    refused = _refusal(rule, unit_id, attributes, now)
    if refused is not None:
        return refused, None, None
    at = bucket(rule.seed, unit_id)
    for variant in rule.variants:
        if variant.start <= at < variant.end:
            return Reason.SPLIT, at, variant
    return Reason.NOT_IN_COVERAGE, at, None


def _refusal(
    rule: ExperimentPlan, unit_id: str, attributes: Mapping[str, Json], now: float
) -> Reason | None:
    """Why a running rule does not look at the unit's bucket; None: it does."""
    if now < rule.started_at:
        return Reason.NOT_STARTED
    if not unit_id:
        return Reason.NO_UNIT
    if not rule.condition:
        return None
    try:
        test = conditions.compile_text(rule.condition)
    except conditions.ConditionError:
        return Reason.BROKEN_RULE
    return None if test({**attributes, "id": unit_id}) else Reason.NOT_IN_AUDIENCE


def _variant(rule: ExperimentPlan, key: str | None) -> VariantPlan | None:
    return next((v for v in rule.variants if v.key == key), None)


def _answer(
    placement: PlacementPlan,
    rule: ExperimentPlan,
    reason: Reason,
    at: float | None,
    variant: VariantPlan,
) -> Assignment:
    split = reason is Reason.SPLIT
    version_id, payload = variant.version_id, variant.payload
    if version_id is None and payload is None:  # "as it is now"
        version_id, payload = placement.default_version_id, placement.default_payload
    return Assignment(
        placement=placement.key,
        reason=reason,
        experiment=rule.key,
        phase=rule.phase,
        epoch=rule.epoch,
        variant=variant.key,
        probability=variant.weight if split else 1.0,
        version_id=version_id,
        payload=payload,
        bucket=at,
        exposure=rule.exposure if split else "",
    )
