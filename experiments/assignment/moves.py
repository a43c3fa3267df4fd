"""Whom an edit of the plan would move, told before it is made (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.assignment.answers import Assignment, UnitContext
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.javascript import Json


@dataclass(frozen=True)
class Shopper:
    """A unit seen lately, with what was known of it."""

    unit_id: str
    attributes: Mapping[str, Json]


@dataclass(frozen=True)
class Moves:
    """What an edit does to the units looked at.

    Attributes:
        looked_at: How many.
        before, after: How many are inside the experiment, before and after.
        stay: Inside both times, with the same variant.
        change: Inside both times, with another variant.
        join, leave: Inside only after, or only before.
    """

    looked_at: int
    before: int
    after: int
    stay: int
    change: int
    join: int
    leave: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        if not self.looked_at:
            return "No shopper was seen lately, so nothing can be said beforehand."
        parts = [
            f"{count:,} {verb}"
            for count, verb in (
                (self.stay, "keep their variant"),
                (self.change, "change to another variant"),
                (self.join, "join"),
                (self.leave, "leave"),
            )
            if count
        ]
        told = ", ".join(parts) or "nobody is inside, before or after"
        return f"Of {self.looked_at:,} recent shoppers: {told}."


def moves(
    experiment: str,
    placement: str,
    before: CompiledPlan,
    after: CompiledPlan,
    shoppers: Iterable[Shopper],
    *,
    now: float,
) -> Moves:
    """Compare what two plans give the same units.

    Args:
        experiment: Key of the experiment that is edited.
        placement: Its placement.
        before: The plan as it is.
        after: The plan as it would be.
        shoppers: Units seen lately.
        now: Unix seconds.
    """
    looked_at = inside_before = inside_after = stay = change = 0
    for shopper in shoppers:
        looked_at += 1
        context = UnitContext(shopper.unit_id, shopper.attributes, now)
        old = _variant(before.assign(placement, context), experiment)
        new = _variant(after.assign(placement, context), experiment)
        inside_before += old is not None
        inside_after += new is not None
        if old is not None and new is not None:
            stay += old == new
            change += old != new
    both = stay + change
    return Moves(
        looked_at=looked_at,
        before=inside_before,
        after=inside_after,
        stay=stay,
        change=change,
        join=inside_after - both,
        leave=inside_before - both,
    )


def _variant(answer: Assignment, experiment: str) -> str | None:
    return answer.variant if answer.experiment == experiment else None
