"""The plan made ready to answer: everything that can be done before a unit asks (pure).

Built off the request path, immutable, swapped whole. Bucket edges are whole numbers,
conditions are closures, and a call hashes a unit once for each seed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from experiments.assignment.answers import Assignment, Reason, Step, UnitContext
from experiments.assignment.conditions import Groups
from experiments.assignment.faults import Faults
from experiments.assignment.javascript import Json
from experiments.assignment.plan import ExperimentPlan, PlacementPlan, Plan
from experiments.assignment.rules import Rule, RuleError, decoded
from experiments.assignment.subject import CYCLIC, Cyclic, Subject

__all__ = [
    "Assignment",
    "CompiledPlan",
    "Reason",
    "Step",
    "UnitContext",
    "UnknownPlacementError",
]


class UnknownPlacementError(KeyError):
    """The plan has no placement of that key."""


class CompiledPlan:
    """Who gets what, for every placement of one plan.

    Args:
        faults: Where wrong rules are counted; one for the process.
        stale: Whether the plan is now too old to serve what was withdrawn for harm.

    Attributes:
        plan: What it was made from.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        faults: Faults | None = None,
        stale: Callable[[], bool] = lambda: True,
    ) -> None:
        self.plan = plan
        self.faults = faults or Faults()
        self._stale = stale
        groups: Groups = plan.saved_groups
        self._placements = {
            key: _Placement(placement, self, groups)
            for key, placement in plan.placements.items()
        }

    def assign(self, placement_key: str, context: UnitContext) -> Assignment:
        """What a unit gets at a placement; never an error for what a rule says.

        Raises:
            UnknownPlacementError: The plan has no such placement.
        """
        try:
            placement = self._placements[placement_key]
        except KeyError:
            raise UnknownPlacementError(placement_key) from None
        quick = placement.quick
        if quick is None or context.forced:
            return placement.walk(context, self._subject(context))
        return quick(context)

    def assign_all(
        self, context: UnitContext, keys: Sequence[str] | None = None
    ) -> list[Assignment]:
        """What a unit gets at many placements, in their order; None: at all.

        Raises:
            UnknownPlacementError: The plan has no placement of one of the keys.
        """
        placements = self._chosen(keys)
        if context.forced:
            known = self._subject(context)
            return [each.walk(context, known) for each in placements]
        subject: Subject | None = None
        answers = []
        for each in placements:
            quick = each.quick
            if quick is None:
                subject = subject or self._subject(context)
                answers.append(each.walk(context, subject))
            else:
                answers.append(quick(context))
        return answers

    def explain(
        self, placement_key: str, context: UnitContext
    ) -> tuple[Assignment, tuple[Step, ...]]:
        """``assign``'s answer and the walk to it: each rule met, the decider last.

        Raises:
            UnknownPlacementError: The plan has no such placement.
        """
        [placement] = self._chosen([placement_key])
        steps: list[Step] = []
        answer = placement.walk(context, self._subject(context), steps)
        return answer, tuple(steps)

    def stale(self) -> bool:
        """Whether what was withdrawn for harm is refused by now."""
        return self._stale()

    def value(self, answer: Assignment) -> Json:
        """The value of an assignment, as clients get it."""
        if answer.payload is not None:
            return decoded(answer.payload, "value")
        version = self.plan.versions.get(answer.version_id or 0)
        if version is None:
            return None
        return {"model": version.model, "version": version.number}

    def _chosen(self, keys: Sequence[str] | None) -> "Sequence[_Placement]":
        if keys is None:
            return tuple(self._placements.values())
        try:
            return [self._placements[key] for key in keys]
        except KeyError as error:
            raise UnknownPlacementError(error.args[0]) from None

    def _subject(self, context: UnitContext) -> Subject:
        def evaluate(key: str, subject: Subject) -> "Json | Cyclic":
            placement = self._placements.get(key)
            if placement is None:
                return None
            if key in subject.path:
                return CYCLIC
            answer = placement.walk(context, subject)
            cyclic = answer.reason is Reason.CYCLIC_PREREQUISITE
            return CYCLIC if cyclic else self.value(answer)

        return Subject(
            {**context.attributes, "id": context.unit_id},
            evaluate,
            now=context.now,
            stored=lambda _, __: context.sticky,
        )


class _Met(NamedTuple):
    """What a rule did: an answer, or a reason to go on, or to stop at the default."""

    reason: Reason
    bucket: float | None = None
    answer: Assignment | None = None
    last: bool = False


class _Placement:
    """One placement's rules, then its default."""

    __slots__ = ("_compiled", "_plan", "_rules", "quick")

    def __init__(
        self, plan: PlacementPlan, compiled: CompiledPlan, groups: Groups
    ) -> None:
        self._compiled = compiled
        self._plan = self._with_a_default(plan)
        self._rules = [
            (each.key, self._rule(each, groups)) for each in plan.experiments
        ]
        self.quick = self._quick()

    def walk(
        self, context: UnitContext, subject: Subject, steps: list[Step] | None = None
    ) -> Assignment:
        """Every rule until one decides; ``steps`` is told of each."""
        first = None
        subject.path.append(self._plan.key)
        try:
            for key, met in self._met(context, subject):
                if steps is not None:
                    variant = met.answer.variant if met.answer else None
                    steps.append(Step(key, met.reason, met.bucket, variant))
                if met.answer is not None:
                    return met.answer
                if met.last:
                    return self._default(met.reason)
                first = first or met.reason
        finally:
            subject.path.pop()
        return self._default(first or Reason.DEFAULT)

    def _met(
        self, context: UnitContext, subject: Subject
    ) -> Iterator[tuple[str, _Met]]:
        for key, rule in self._rules:
            forced = rule.forced(context) if rule else None
            if rule is not None and forced is not None:
                yield key, self._unless_withdrawn(rule, Reason.FORCED, None, forced)
                return
        for key, rule in self._rules:
            try:
                met = self._apply(rule, subject) if rule else _BROKEN
            except Exception as error:  # noqa: BLE001 # a shop's rule, not ours
                self._compiled.faults.found(self._plan.key, key, str(error))
                met = _BROKEN
            if met.reason is Reason.BROKEN_RULE:
                self._compiled.faults.passed_over(self._plan.key, key)
            yield key, met

    def _apply(self, rule: Rule, subject: Subject) -> _Met:
        if not rule.running:
            outcome = rule.outcome()
            if isinstance(outcome, Reason):
                return _Met(outcome)
            return self._unless_withdrawn(rule, outcome.reason, None, outcome)
        for gate in rule.gates:
            refused = gate(subject, None)
            if refused is not None:
                return _Met(refused, last=True)
        decision = rule.decide(subject)
        if decision.variant < 0:
            cyclic = decision.reason is Reason.CYCLIC_PREREQUISITE
            return _Met(decision.reason, decision.bucket, last=cyclic)
        answer = rule.dealt(decision)
        return self._unless_withdrawn(rule, decision.reason, decision.bucket, answer)

    def _unless_withdrawn(
        self, rule: Rule, reason: Reason, at: float | None, answer: Assignment
    ) -> _Met:
        if rule.withdrawn(answer.variant) and self._compiled.stale():
            return _Met(Reason.WITHDRAWN, at, last=True)
        return _Met(reason, at, answer)

    def _quick(self) -> Callable[[UnitContext], Assignment] | None:
        """The same walk without a subject, where every rule can do without."""
        rules = [rule.quick() if rule else None for _, rule in self._rules]
        default = self._default
        if not rules:
            answer = default(Reason.DEFAULT)
            return lambda _: answer
        known = [rule for rule in rules if rule is not None]
        if len(known) < len(rules):
            return None

        def quick(context: UnitContext) -> Assignment:
            first = None
            for rule in known:
                found = rule(context)
                if isinstance(found, Assignment):
                    return found
                first = first or found
            return default(first or Reason.DEFAULT)

        return quick

    def _default(self, reason: Reason) -> Assignment:
        plan = self._plan
        return Assignment(
            plan.key,
            reason,
            version_id=plan.default_version_id,
            payload=plan.default_payload,
        )

    def _with_a_default(self, plan: PlacementPlan) -> PlacementPlan:
        """The plan; without its default where that is no JSON."""
        if plan.default_payload is not None:
            try:
                decoded(plan.default_payload, "default")
            except RuleError as error:
                self._compiled.faults.found(plan.key, "", str(error))
                return msgspec.structs.replace(plan, default_payload=None)
        return plan

    def _rule(self, plan: ExperimentPlan, groups: Groups) -> Rule | None:
        try:
            return Rule(plan, self._plan, groups)
        except (RuleError, TypeError, ValueError, RecursionError) as error:
            self._compiled.faults.found(self._plan.key, plan.key, str(error))
            return None


_BROKEN = _Met(Reason.BROKEN_RULE)
