"""Interactions and histories: what may not enter; popularity's formula."""

from typing import Any

import numpy as np
import pytest

from scoring.engine.errors import InvalidInteractionsError
from scoring.engine.protocol import History, Interactions
from scoring.engine.rankers.popularity import decayed_counts
from tests.scoring.engine.data import interactions, walks

GOOD: dict[str, Any] = {
    "unit": np.array([0, 1], np.int32),
    "item": np.array([1, 0], np.int32),
    "timestamp": np.array([1.0, 2.0]),
    "weight": np.array([1.0, 0.5], np.float32),
    "n_units": 2,
    "item_ids": ("a", "b"),
}
DAY = 86_400.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": np.array([0], np.int32)}, "differ in length"),
        ({"unit": np.array([0, 2], np.int32)}, "unit spans 0 to 2"),
        ({"unit": np.array([-1, 0], np.int32)}, "unit spans -1 to 0"),
        ({"item_ids": ("a",)}, "item spans 0 to 1"),
        ({"item_ids": ("a", "a")}, "an id twice"),
        ({"timestamp": np.array([2.0, 1.0])}, "backwards"),
        ({"timestamp": np.array([1.0, np.nan])}, "NaN"),
        ({"weight": np.array([1.0, -1.0], np.float32)}, "negative"),
        ({"weight": np.array([1.0, np.inf], np.float32)}, "non-finite"),
    ],
)
def test_a_column_that_breaks_a_rule_is_named(
    changes: dict[str, Any], message: str
) -> None:
    Interactions(**GOOD)
    with pytest.raises(InvalidInteractionsError, match=message):
        Interactions(**GOOD | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": np.array([1, 0], np.int32)},
        {"item": np.array([0, 1], np.int32)},
        {"timestamp": np.array([1.0, 2.5])},
        {"weight": np.array([1.0, 1.0], np.float32)},
        {"n_units": 3},
        {"item_ids": ("a", "c")},
    ],
)
def test_any_change_changes_the_fingerprint(changes: dict[str, Any]) -> None:
    first = Interactions(**GOOD).fingerprint()
    assert first == Interactions(**GOOD).fingerprint()
    assert first != Interactions(**GOOD | changes).fingerprint()


def test_rows_by_unit_keep_the_order_of_the_log() -> None:
    log = walks(4)
    order, offsets = log.by_unit()
    assert offsets.tolist() == [0, 6, 12, 19, 25]
    for unit in range(4):
        rows = order[offsets[unit] : offsets[unit + 1]]
        assert (log.unit[rows] == unit).all()
        assert (np.diff(rows) > 0).all()


def test_a_history_needs_a_time_per_item() -> None:
    with pytest.raises(ValueError, match="2 items but 1 timestamps"):
        History(("a", "b"), (0.0,), 1.0)


def test_popularity_halves_every_half_life() -> None:
    # Reference sum: half-life 7 days, ages 0, 1, 7, 30 sum to 2.456995.
    rows = [(n, "a", -age * DAY) for n, age in enumerate((30, 7, 1, 0))]
    counts = decayed_counts(interactions(rows), half_life_days=7.0, window_days=0.0)
    assert counts == pytest.approx([2.456995], abs=1e-6)


def test_popularity_forgets_what_lies_before_its_window() -> None:
    rows = [(0, "a", 0.0), (1, "a", 1.0), (2, "b", 10 * DAY)]
    counts = decayed_counts(interactions(rows), half_life_days=0.0, window_days=5.0)
    assert counts.tolist() == [0.0, 1.0]
    counts = decayed_counts(interactions(rows), half_life_days=0.0, window_days=0.0)
    assert counts.tolist() == [2.0, 1.0]
