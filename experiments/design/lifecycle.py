"""The life of an experiment: which action is allowed in which state (pure)."""

from enum import StrEnum


class Status(StrEnum):
    """Where an experiment stands."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    CONCLUDED = "concluded"
    SHIPPED = "shipped"
    ARCHIVED = "archived"


class Action(StrEnum):
    """What a person may do to it."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CONCLUDE = "conclude"
    SHIP = "ship"
    ROLL_BACK = "roll_back"
    ARCHIVE = "archive"


TRANSITIONS: dict[tuple[Status, Action], Status] = {
    (Status.DRAFT, Action.START): Status.RUNNING,
    (Status.DRAFT, Action.ARCHIVE): Status.ARCHIVED,
    (Status.RUNNING, Action.PAUSE): Status.PAUSED,
    (Status.RUNNING, Action.CONCLUDE): Status.CONCLUDED,
    (Status.RUNNING, Action.SHIP): Status.SHIPPED,
    (Status.PAUSED, Action.RESUME): Status.RUNNING,
    (Status.PAUSED, Action.CONCLUDE): Status.CONCLUDED,
    (Status.PAUSED, Action.SHIP): Status.SHIPPED,
    (Status.CONCLUDED, Action.SHIP): Status.SHIPPED,
    (Status.CONCLUDED, Action.ARCHIVE): Status.ARCHIVED,
    (Status.SHIPPED, Action.ROLL_BACK): Status.CONCLUDED,
    (Status.SHIPPED, Action.ARCHIVE): Status.ARCHIVED,
}
# In these states shoppers are split, so what decides the split may not be edited.
SPLITTING = frozenset({Status.RUNNING, Status.PAUSED})


def allowed_actions(status: str) -> tuple[Action, ...]:
    """The actions that may follow, in the order of the table."""
    return tuple(action for (state, action) in TRANSITIONS if state == status)


def next_status(status: str, action: str) -> Status | None:
    """The state after the action, or None where the table does not allow it."""
    return TRANSITIONS.get((Status(status), Action(action)))
