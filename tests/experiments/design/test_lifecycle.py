import pytest

from experiments.design.lifecycle import (
    SPLITTING,
    TRANSITIONS,
    Action,
    Status,
    allowed_actions,
    next_status,
)


def test_a_draft_can_only_be_started_or_archived() -> None:
    assert set(allowed_actions(Status.DRAFT)) == {Action.START, Action.ARCHIVE}


def test_an_archived_experiment_stays_archived() -> None:
    assert allowed_actions(Status.ARCHIVED) == ()


def test_every_state_but_the_draft_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) | {Status.DRAFT} == set(Status)


@pytest.mark.parametrize("status", [s for s in Status if s not in SPLITTING])
def test_only_what_splits_shoppers_can_be_concluded(status: Status) -> None:
    assert next_status(status, Action.CONCLUDE) is None


def test_only_something_shipped_can_be_rolled_back() -> None:
    able = {state for (state, action) in TRANSITIONS if action == Action.ROLL_BACK}
    assert able == {Status.SHIPPED}
