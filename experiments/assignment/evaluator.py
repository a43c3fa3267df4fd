"""Who gets what, and why: a placement's rules walked for one unit (pure).

Within an experiment the order is that of DESIGN section 5: stopped, audience,
coverage and weights, next rule; last the placement's default.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from experiments.assignment import conditions
from experiments.assignment.bucketing import bucket
from experiments.assignment.javascript import Json
from experiments.assignment.plan import ExperimentPlan, PlacementPlan, VariantPlan


class Reason(StrEnum):
    """Why a unit got what it got, or why a rule passed it on.

    Attributes:
        SPLIT: The unit's bucket lies in the variant's range.
        STOPPED: The experiment is over and its outcome answers (or, without an
            outcome, the next rule).
        DEFAULT: No experiment runs here.
        NOT_STARTED: The phase starts later.
        NOT_IN_AUDIENCE: The attributes do not satisfy the condition.
        NOT_IN_COVERAGE: The bucket lies in no variant's range.
        NO_UNIT: The unit id is empty.
        BROKEN_RULE: The rule itself is wrong; it is passed over.
    """

    SPLIT = "SPLIT"
    STOPPED = "STOPPED"
    DEFAULT = "DEFAULT"
    NOT_STARTED = "NOT_STARTED"
    NOT_IN_AUDIENCE = "NOT_IN_AUDIENCE"
    NOT_IN_COVERAGE = "NOT_IN_COVERAGE"
    NO_UNIT = "NO_UNIT"
    BROKEN_RULE = "BROKEN_RULE"


class Assignment(msgspec.Struct, frozen=True):
    """The deterministic answer to "what does this unit get here?".

    Attributes:
        experiment: Key of the experiment that decided; None: the default did.
        phase: Its phase and epoch numbers; 0 without an experiment.
        variant: Key of the variant; None without an experiment.
        reason: Without an experiment: why the first rule passed the unit on.
        probability: Chance of this variant among the experiment's units, 0 to 1.
        version_id: The model version to serve; None: ``payload`` is the value.
        payload: JSON text of the value.
        bucket: Where the unit fell, 0 to 1; None when no hash was needed.
        exposure: ``server`` or ``client`` logs the exposure; empty: it is none.
    """

    placement: str
    reason: Reason
    experiment: str | None = None
    phase: int = 0
    epoch: int = 0
    variant: str | None = None
    probability: float = 1.0
    version_id: int | None = None
    payload: str | None = None
    bucket: float | None = None
    exposure: str = ""


class Step(NamedTuple):
    """What one rule did with the unit."""

    experiment: str
    reason: Reason
    bucket: float | None
    variant: str | None


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
