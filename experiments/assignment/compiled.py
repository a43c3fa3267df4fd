"""The plan made ready to answer: everything that can be done before a unit asks (pure).

Built off the request path, immutable, swapped whole.
"""

from collections.abc import Sequence

from experiments.assignment import evaluator
from experiments.assignment.answers import Assignment, Reason, Step, UnitContext
from experiments.assignment.plan import PlacementPlan, Plan

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

    Attributes:
        plan: What it was made from.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def assign(self, placement_key: str, context: UnitContext) -> Assignment:
        """What a unit gets at a placement.

        Raises:
            UnknownPlacementError: The plan has no such placement.
        """
        placement = self._placement(placement_key)
        return evaluator.assign(
            placement, context.unit_id, context.attributes, context.now
        )

    def assign_all(
        self, context: UnitContext, keys: Sequence[str] | None = None
    ) -> list[Assignment]:
        """What a unit gets at many placements, in their order; None: at all.

        Raises:
            UnknownPlacementError: The plan has no placement of one of the keys.
        """
        wanted = self.plan.placements if keys is None else keys
        return [self.assign(key, context) for key in wanted]

    def explain(
        self, placement_key: str, context: UnitContext
    ) -> tuple[Assignment, tuple[Step, ...]]:
        """``assign``'s answer and the walk to it: each rule met, the decider last.

        Raises:
            UnknownPlacementError: The plan has no such placement.
        """
        placement = self._placement(placement_key)
        return evaluator.explain(
            placement, context.unit_id, context.attributes, context.now
        )

    def _placement(self, key: str) -> PlacementPlan:
        try:
            return self.plan.placements[key]
        except KeyError:
            raise UnknownPlacementError(key) from None
