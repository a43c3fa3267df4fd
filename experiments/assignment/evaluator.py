"""One placement on its own, outside a plan: what a unit gets there, and why (pure)."""

from collections.abc import Mapping
from functools import lru_cache

from experiments.assignment.answers import Assignment, Reason, Step, UnitContext
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.javascript import Json
from experiments.assignment.plan import PlacementPlan, Plan

__all__ = ["Assignment", "Reason", "Step", "assign", "explain"]


def assign(
    placement: PlacementPlan, unit_id: str, attributes: Mapping[str, Json], now: float
) -> Assignment:
    """What a unit gets at a placement.

    Args:
        placement: Its rules; compiled when first met.
        unit_id: The raw id; also the attribute ``id``.
        attributes: What is known of the unit, for audiences.
        now: Unix seconds, for phases that start later.
    """
    context = UnitContext(unit_id, attributes, now)
    return _compiled(placement).assign(placement.key, context)


def explain(
    placement: PlacementPlan, unit_id: str, attributes: Mapping[str, Json], now: float
) -> tuple[Assignment, tuple[Step, ...]]:
    """``assign``'s answer and the walk to it: each rule met, the deciding one last."""
    context = UnitContext(unit_id, attributes, now)
    return _compiled(placement).explain(placement.key, context)


@lru_cache(maxsize=64)
def _compiled(placement: PlacementPlan) -> CompiledPlan:
    return CompiledPlan(
        Plan(revision="", built_at=0.0, placements={placement.key: placement})
    )
