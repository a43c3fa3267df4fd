"""What serving writes to the log: a row for each item listed (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from experiments.assignment.evaluator import Assignment
from experiments.events.rows import EventRow
from scoring.serving.fallback import Fallback, ListedItem


@dataclass(frozen=True, slots=True)
class Occasion:
    """What all rows of one answer have in common.

    Attributes:
        now: Unix seconds, on the shop's own clock where its key may state one.
        model_version: ``name/number`` of the assigned version.
    """

    unit_key: bytes
    request_id: str
    now: float
    assignment: Assignment
    model_version: str | None


def served_rows(
    occasion: Occasion, items: Sequence[ListedItem], fallback: Fallback
) -> list[EventRow]:
    """A ``served`` row an item; for an empty list one row without an item.

    A list is the model's own order, so each item stands at its position for certain.
    """
    if not items:
        return [_row(occasion, "served", fallback=fallback.value)]
    return [
        _row(
            occasion,
            "served",
            item_id=item.item_id,
            position=position,
            propensity=1.0,
            fallback=fallback.value,
        )
        for position, item in enumerate(items, 1)
    ]


def _row(occasion: Occasion, name: str, **fields: object) -> EventRow:
    assignment = occasion.assignment
    moment = datetime.fromtimestamp(occasion.now, UTC)
    return EventRow(
        name=name,
        unit_key=occasion.unit_key,
        timestamp=moment,
        source="server",
        placement=assignment.placement,
        request_id=occasion.request_id,
        experiment=assignment.experiment,
        phase=assignment.phase if assignment.experiment else None,
        epoch=assignment.epoch if assignment.experiment else None,
        variant=assignment.variant,
        assignment_probability=(
            assignment.probability if assignment.experiment else None
        ),
        reason=assignment.reason.value,
        model_version=occasion.model_version,
        **fields,  # type: ignore[arg-type]  # the two callers name columns
    )
