"""The plan as clients hold it: its state, and GrowthBook's form of it (pure).

GrowthBook's SDKs split for themselves by this payload; bucket for bucket it says what
our evaluator does. References: GrowthBook SDK specification 0.8.0; PLATFORMS of its
API: ``GET /api/features/{clientKey}``.
"""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from experiments.assignment.plan import (
    ExperimentPlan,
    FilterPlan,
    PlacementPlan,
    Plan,
    PrerequisitePlan,
)

_ENCODE = msgspec.json.Encoder().encode
_KEPT = 3  # plans: the present one, the next, and one that is tried again
_NULL = msgspec.Raw(b"null")


def value_of(
    plan: Plan, version_id: int | None, payload: str | None
) -> msgspec.Raw | None:
    """A value's JSON as it was written, so that 5.0 stays a float.

    Returns:
        For a model ``{"model", "version"}``; None: the model has no version yet.
    """
    if payload is not None:
        return msgspec.Raw(payload.encode())
    version = plan.versions.get(version_id or 0)
    if version is None:
        return None
    return msgspec.Raw(_ENCODE({"model": version.model, "version": version.number}))


class Configuration:
    """What clients hold of one plan: keys, items and models' files left out.

    Attributes:
        changed_at: When the plan with this content was built, unix seconds.
        has_withdrawn: Whether a variant was withdrawn for harm.
        rendered: Whatever is rendered once a plan, by whoever renders it.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        versions = {str(pk): version for pk, version in plan.versions.items()}
        content = msgspec.json.encode(
            (plan.placements, versions, plan.saved_groups), order="deterministic"
        )
        self._content = blake2b(content, digest_size=8).hexdigest()
        self._starts = sorted(
            rule.started_at
            for placement in plan.placements.values()
            for rule in placement.experiments
        )
        self.has_withdrawn = any(
            variant.withdrawn
            for placement in plan.placements.values()
            for rule in placement.experiments
            for variant in rule.variants
        )
        self._named = (math.inf, -math.inf, "")  # the last state: from, until, name
        self._payloads: dict[int, bytes] = {}
        self.changed_at = plan.built_at
        self.rendered: dict[tuple[object, ...], bytes] = {}

    def state(self, now: float) -> str:
        """Names what clients should hold now: the content, and what has started."""
        since, until, name = self._named
        if since <= now < until:
            return name
        started = bisect_right(self._starts, now)
        bounds = [-math.inf, *self._starts, math.inf]
        name = f"{self._content}-{started}"
        self._named = (bounds[started], bounds[started + 1], name)
        return name

    def modified_at(self, now: float) -> float:
        """When this state began, unix seconds."""
        started = bisect_right(self._starts, now)
        return max(self.changed_at, self._starts[started - 1] if started else 0.0)

    def updated(self, now: float) -> str:
        """``modified_at`` as GrowthBook's ``dateUpdated``."""
        return datetime.fromtimestamp(self.modified_at(now), UTC).isoformat()

    def payload(self, now: float) -> bytes:
        """GrowthBook's payload, rendered once a state."""
        started = bisect_right(self._starts, now)
        made = self._payloads.get(started)
        if made is None:
            made = _ENCODE(features_payload(self._plan, now, self.updated(now)))
            self._payloads = {started: made}
        return made


class Configurations:
    """The configurations of the last plans; one object per process."""

    def __init__(self) -> None:
        self._kept: dict[str, Configuration] = {}

    def of(self, plan: Plan) -> Configuration:
        """A plan's configuration."""
        made = self._kept.get(plan.revision)
        return made if made is not None else self._keep(plan, Configuration(plan))

    async def prepare(self, plan: Plan, now: float) -> None:
        """Make a plan's configuration and payload off the request path."""
        if plan.revision not in self._kept:
            made = await asyncio.to_thread(Configuration, plan)
            await asyncio.to_thread(made.payload, now)
            self._keep(plan, made)

    def _keep(self, plan: Plan, made: Configuration) -> Configuration:
        for known in self._kept.values():  # the same content is as old as it was
            if known.state(0.0) == made.state(0.0):
                made.changed_at = min(made.changed_at, known.changed_at)
        while len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[plan.revision] = made
        return made


def features_payload(plan: Plan, now: float, updated: str) -> dict[str, object]:
    """All placements as GrowthBook features.

    QA lists stay out: they name shoppers, and the payload is public.

    Args:
        plan: What to show.
        now: Phases that start later are left out.
        updated: ``dateUpdated``, by which SDKs tell payloads apart.
    """
    payload: dict[str, object] = {
        "status": 200,
        "features": {
            key: feature(plan, placement, now)
            for key, placement in plan.placements.items()
        },
        "dateUpdated": updated,
    }
    if plan.saved_groups:
        payload["savedGroups"] = plan.saved_groups
    return payload


def feature(plan: Plan, placement: PlacementPlan, now: float) -> dict[str, object]:
    """A placement as a GrowthBook feature."""
    value = value_of(plan, placement.default_version_id, placement.default_payload)
    made: dict[str, object] = {"defaultValue": _NULL if value is None else value}
    rules = [_rule(plan, placement, rule, now) for rule in placement.experiments]
    if kept := [rule for rule in rules if rule is not None]:
        made["rules"] = kept
    return made


def _rule(
    plan: Plan, placement: PlacementPlan, rule: ExperimentPlan, now: float
) -> dict[str, object] | None:
    """An experiment as a rule; None: it decides for nobody."""
    values = variant_values(plan, placement, rule)
    if rule.status != "running":
        outcome = values.get(rule.outcome or "")
        return None if outcome is None else {"force": outcome}
    condition = read_condition(rule.condition)
    if now < rule.started_at or condition is None:
        return None
    made = experiment_definition(rule)
    made["variations"] = list(values.values())
    if condition:
        made["condition"] = condition
    if rule.filters:
        made["filters"] = [_filter(one) for one in rule.filters]
    if rule.prerequisites:
        made["parentConditions"] = [_parent(one) for one in rule.prerequisites]
    if rule.fallback_attribute:
        made["fallbackAttribute"] = rule.fallback_attribute
    if rule.disable_sticky:
        made["disableStickyBucketing"] = True
    else:
        made["bucketVersion"] = rule.bucket_version
        made["minBucketVersion"] = rule.min_bucket_version
    return made


def experiment_definition(rule: ExperimentPlan) -> dict[str, object]:
    """What a rule says of the split itself: no values, no audience."""
    return {
        "key": rule.key,
        "name": rule.key,
        "phase": str(rule.phase),
        "seed": rule.seed,
        "hashVersion": rule.hash_version,
        "hashAttribute": rule.hash_attribute,
        "coverage": rule.coverage,
        "weights": [variant.weight for variant in rule.variants],
        "ranges": [(variant.start, variant.end) for variant in rule.variants],
        "meta": [{"key": each.key, "name": each.key} for each in rule.variants],
    }


def variant_values(
    plan: Plan, placement: PlacementPlan, rule: ExperimentPlan
) -> Mapping[str, msgspec.Raw]:
    """Each variant's value; one without a value of its own carries the default."""
    values = {}
    for variant in rule.variants:
        version_id, payload = variant.version_id, variant.payload
        if version_id is None and payload is None:
            version_id = placement.default_version_id
            payload = placement.default_payload
        value = value_of(plan, version_id, payload)
        values[variant.key] = _NULL if value is None else value
    return values


def read_condition(text: str) -> dict[str, object] | None:
    """A condition's JSON; None: it is none, so its rule decides for nobody."""
    try:
        condition = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None
    return condition if isinstance(condition, dict) else None


def _filter(one: FilterPlan) -> dict[str, object]:
    return {
        "seed": one.seed,
        "ranges": one.ranges,
        "hashVersion": one.hash_version,
        "attribute": one.attribute,
    }


def _parent(one: PrerequisitePlan) -> dict[str, object]:
    return {
        "id": one.placement,
        "condition": read_condition(one.condition) or {},
        "gate": one.gate,
    }
