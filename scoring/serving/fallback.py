"""What fills a list that comes out short, and the reason that is logged (pure).

A fallback never changes the variant: the shopper stays in the arm and the fallback is
a fact of that arm, which a guardrail counts.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from experiments.assignment.plan import Plan
from scoring.engine.protocol import Ranked


class Fallback(StrEnum):
    """Why a list was filled, as it stands in the log and in the answer.

    Attributes:
        NONE: It was not: every item is the model's.
        NO_HISTORY: The model had nothing to go on for this unit.
        TOO_FEW: The model knew fewer items than were asked for.
        MODEL_UNAVAILABLE: The version is not loaded here.
        MODEL_FAILED: The model raised an error.
        EMPTY: Nothing could be listed at all.
    """

    NONE = "none"
    NO_HISTORY = "no_history"
    TOO_FEW = "too_few"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_FAILED = "model_failed"
    EMPTY = "empty"


class ListedItem(NamedTuple):
    """An item of the answer; ``score`` is None for one the fallback put there."""

    item_id: str
    score: float | None


class Filled(NamedTuple):
    """A list and why it was filled."""

    items: list[ListedItem]
    fallback: Fallback


def fallback_version_id(plan: Plan, *version_ids: int | None) -> int | None:
    """The popularity that fills a list: of the first version's model that has one."""
    for version_id in version_ids:
        version = plan.versions.get(version_id or 0)
        if version is not None and version.model in plan.fallback_version_ids:
            return plan.fallback_version_ids[version.model]
    return None


def fill(
    own: Ranked | None,
    k: int,
    popular: Callable[[], Ranked | None],
    *,
    reason: Fallback,
) -> Filled:
    """The model's list, filled up to k from the fallback's.

    Args:
        own: The model's list; None: it gave none.
        k: Items wanted.
        popular: Makes the fallback's list, of at least k items where there are as
            many; asked only when it is needed.
        reason: Why the list would be short.
    """
    items = [ListedItem(item_id, score) for item_id, score in own or ()]
    if len(items) >= k:
        return Filled(items[:k], Fallback.NONE)
    listed = {item.item_id for item in items}
    added = [
        ListedItem(item_id, None)
        for item_id, _ in popular() or ()
        if item_id not in listed
    ][: k - len(items)]
    items += added
    if not items:
        return Filled(items, Fallback.EMPTY)
    return Filled(items, reason if added or own is None else Fallback.NONE)
