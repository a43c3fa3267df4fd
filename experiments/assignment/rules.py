"""A placement's rules, compiled: who gets what, and why (pure).

Within an experiment the order is that of DESIGN section 5: stopped, sticky, layers and
holdouts, audience, prerequisites, coverage and weights, next rule; forced variants come
before everything.
"""

from bisect import bisect_right
from collections.abc import Callable
from functools import partial

import msgspec

from experiments.assignment.answers import Assignment, Reason, UnitContext
from experiments.assignment.conditions import Groups
from experiments.assignment.javascript import Json
from experiments.assignment.plan import ExperimentPlan, PlacementPlan, VariantPlan
from experiments.assignment.splitting import (
    Decision,
    Filter,
    Prerequisite,
    Split,
    SplitRule,
    compile_prerequisite,
)
from experiments.assignment.subject import Subject

Quick = Callable[[UnitContext], "Assignment | Reason"]
Answer = Callable[[float | None], Assignment]
"""An assignment but for the bucket."""


class RuleError(ValueError):
    """A rule of the plan is wrong; the message says what."""


class Rule:
    """One experiment of a placement.

    Raises:
        RuleError: It cannot be compiled.
    """

    def __init__(
        self, plan: ExperimentPlan, placement: PlacementPlan, groups: Groups
    ) -> None:
        self.plan = plan
        self.key = plan.key
        prerequisites = [
            Prerequisite(
                each.placement, decoded(each.condition, "prerequisite"), each.gate
            )
            for each in plan.prerequisites
        ]
        self.gates = tuple(
            compile_prerequisite(each, groups) for each in prerequisites if each.gate
        )
        self._split = Split(_split_rule(plan, prerequisites), groups)
        self._forced = dict(plan.forced)
        self._by_key = {v.key: v for v in plan.variants}
        for variant in plan.variants:
            if variant.payload is not None:
                decoded(variant.payload, f"value of variant {variant.key!r}")
        self._placement = placement
        self._dealt = [self._answer(v, Reason.SPLIT) for v in plan.variants]
        self._outcome = self._by_key.get(plan.outcome or "")

    def outcome(self) -> Assignment | Reason:
        """What a stopped experiment answers."""
        if self._outcome is None:
            return Reason.STOPPED
        return self._answer(self._outcome, Reason.STOPPED)(None)

    def forced(self, context: UnitContext) -> Assignment | None:
        """The variant that a link or a list names for the unit."""
        name = context.forced.get(self.key) or self._forced.get(context.unit_id)
        variant = self._by_key.get(name) if name else None
        return self._answer(variant, Reason.FORCED)(None) if variant else None

    @property
    def running(self) -> bool:
        """Whether it splits."""
        return self.plan.status == "running"

    def withdrawn(self, variant: str | None) -> bool:
        """Whether a variant was withdrawn for harm."""
        found = self._by_key.get(variant or "")
        return found is not None and found.withdrawn

    def decide(self, subject: Subject) -> Decision:
        """What the split makes of a subject."""
        return self._split.decide(subject)

    def dealt(self, decision: Decision) -> Assignment:
        """The assignment of a decision that names a variant."""
        if decision.reason is Reason.SPLIT and decision.attribute == "id":
            return self._dealt[decision.variant](decision.bucket)
        variant = self.plan.variants[decision.variant]
        answer = self._answer(variant, decision.reason, decision.attribute)
        return answer(decision.bucket)

    def quick(self) -> Quick | None:
        """The rule for units that nothing but the bucket decides about.

        The same hash and the same partition as ``decide``'s; None where more than
        these has to be looked at.
        """
        if self._forced or any(variant.withdrawn for variant in self.plan.variants):
            return None
        if not self.running:
            outcome = self.outcome()
            return lambda _: outcome
        split = self._split
        number_of = split.number_of
        if not split.plain or number_of is None or self.gates:
            return None
        edges, owners = split.partition.edges, split.partition.owners
        answers, starts_at = self._dealt, self.plan.started_at
        slots = split.slots

        def quick(context: UnitContext) -> Assignment | Reason:
            if context.now < starts_at:
                return Reason.NOT_STARTED
            unit_id = context.unit_id
            if not unit_id:
                return Reason.NO_UNIT
            number = number_of(unit_id)
            owner = owners[bisect_right(edges, number)]
            if owner < 0:
                return Reason.NOT_IN_COVERAGE
            return answers[owner](number / slots)

        return quick

    def _answer(
        self, variant: VariantPlan, reason: Reason, attribute: str = "id"
    ) -> Answer:
        plan, placement = self.plan, self._placement
        in_test = reason in {Reason.SPLIT, Reason.STICKY}
        version_id, payload = variant.version_id, variant.payload
        if version_id is None and payload is None:  # "as it is now"
            version_id, payload = (
                placement.default_version_id,
                placement.default_payload,
            )
        sticky = in_test and not plan.disable_sticky
        return partial(
            Assignment,
            placement.key,
            reason,
            plan.key,
            plan.phase,
            plan.epoch,
            variant.key,
            variant.weight if in_test else 1.0,
            version_id,
            payload,
            plan.exposure if in_test else "",
            attribute,
            f"{plan.key}__{plan.bucket_version}" if sticky else "",
        )


def decoded(text: str, what: str) -> Json:
    """The value of a JSON text of the plan.

    Raises:
        RuleError: It is none.
    """
    try:
        value: Json = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RuleError(f"The {what} {text[:80]!r} is no JSON: {error}.") from None
    return value


def _split_rule(plan: ExperimentPlan, prerequisites: list[Prerequisite]) -> SplitRule:
    if plan.hash_version not in {1, 2}:
        raise RuleError(f"The hash version is {plan.hash_version}; there are 1 and 2.")
    condition: Json = None
    if plan.condition:
        condition = decoded(plan.condition, "audience")
        if not isinstance(condition, dict):
            raise RuleError(f"The audience {plan.condition[:80]!r} is no JSON object.")
    return SplitRule(
        key=plan.key,
        seed=plan.seed,
        count=len(plan.variants),
        ranges=tuple((variant.start, variant.end) for variant in plan.variants),
        names=tuple(variant.key for variant in plan.variants),
        hash_version=plan.hash_version,
        hash_attribute=plan.hash_attribute,
        fallback_attribute=plan.fallback_attribute,
        starts_at=plan.started_at,
        filters=tuple(
            Filter(
                each.seed,
                each.ranges,
                each.attribute,
                each.hash_version,
                Reason.HOLDOUT if each.holdout else Reason.NOT_IN_LAYER,
            )
            for each in plan.filters
        ),
        condition=condition or None,
        prerequisites=tuple(each for each in prerequisites if not each.gate),
        sticky=not plan.disable_sticky,
        bucket_version=plan.bucket_version,
        min_bucket_version=plan.min_bucket_version,
    )
