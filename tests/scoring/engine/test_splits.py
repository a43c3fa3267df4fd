"""Splits by time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.engine.errors import EvaluationError
from scoring.engine.splits import cut_at_share, time_split
from tests.scoring.engine.data import interactions

LOG = [
    (0, "a", 0.0),
    (1, "a", 1.0),
    (0, "b", 2.0),
    (1, "b", 3.0),
    (2, "c", 4.0),
    (0, "c", 10.0),
    (0, "a", 11.0),
    (1, "new", 12.0),
    (3, "a", 13.0),
    (1, "c", 20.0),
]


def test_training_sees_nothing_from_the_cut_on() -> None:
    split = time_split(interactions(LOG), 10.0)
    assert len(split.train) == 5
    assert split.train.timestamp.max() < 10.0
    assert split.train.item_ids == ("a", "b", "c")
    assert split.train.n_units == 4


def test_a_case_is_a_unit_with_a_past_and_a_new_known_item() -> None:
    split = time_split(interactions(LOG), 10.0)
    assert split.units.tolist() == [0, 1]
    first, second = split.cases
    assert first.history.item_ids == ("a", "b")
    assert first.history.timestamps == (0.0, 2.0)
    assert first.history.now == 10.0
    assert first.relevant == {"c"}
    assert first.exclude == {"a", "b"}
    assert second.relevant == {"c"}


def test_what_was_left_out_is_counted() -> None:
    facts = time_split(interactions(LOG), 10.0).facts
    assert facts["cold_targets"] == 1
    assert facts["units_without_past"] == 1
    assert facts["units_without_target"] == 0
    assert facts["cases"] == 2


def test_repeat_purchases_count_where_allowed() -> None:
    first = time_split(interactions(LOG), 10.0, exclude_seen=False).cases[0]
    assert first.relevant == {"a", "c"}
    assert first.exclude == frozenset()


def test_a_gap_and_a_horizon_bound_what_is_judged() -> None:
    with pytest.raises(EvaluationError, match="no unit has a past"):
        time_split(interactions(LOG), 10.0, gap=1.0, horizon=5.0)
    split = time_split(interactions(LOG), 10.0, gap=1.0)
    assert split.units.tolist() == [1]
    split = time_split(interactions(LOG), 10.0, horizon=5.0)
    assert split.units.tolist() == [0]


@pytest.mark.parametrize("cut", [-5.0, 0.0, 21.0])
def test_a_cut_with_an_empty_side_is_refused(cut: float) -> None:
    with pytest.raises(EvaluationError, match=r"the log spans 0.0 to 20.0"):
        time_split(interactions(LOG), cut)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no time at all"):
        time_split(interactions([]), 1.0)
    with pytest.raises(EvaluationError, match="longer log"):
        cut_at_share(interactions([]))
    with pytest.raises(EvaluationError, match="longer log"):
        cut_at_share(interactions([(0, "a", 1.0), (0, "b", 1.0)]))


@pytest.mark.parametrize(("gap", "horizon"), [(-1.0, None), (0.0, 0.0), (0.0, -1.0)])
def test_negative_lengths_are_refused(gap: float, horizon: float | None) -> None:
    with pytest.raises(EvaluationError, match="at least 0"):
        time_split(interactions(LOG), 10.0, gap=gap, horizon=horizon)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_outside_zero_to_one_is_refused(share: float) -> None:
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        cut_at_share(interactions(LOG), share)


def test_a_share_leaves_about_that_many_after_the_cut() -> None:
    log = interactions([(0, "a", float(t)) for t in range(1000)])
    cut = cut_at_share(log, 0.1)
    assert (log.timestamp >= cut).sum() == pytest.approx(100, abs=2)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4), st.sampled_from("abcde"), st.integers(0, 30).map(float)
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 30).map(float),
    st.integers(0, 5).map(float),
)
def test_no_case_knows_its_future(
    rows: list[tuple[int, str, float]], cut: float, gap: float
) -> None:
    log = interactions(sorted(rows, key=lambda row: row[2]))
    try:
        split = time_split(log, cut, gap=gap)
    except EvaluationError:
        return
    for unit, each in zip(split.units, split.cases, strict=True):
        assert max(each.history.timestamps) < cut
        assert not each.relevant & set(each.history.item_ids)
        assert each.relevant <= set(split.train.item_ids)
        own = (log.unit == unit) & (log.timestamp < cut)
        assert len(each.history.item_ids) == own.sum()
    assert np.all(np.diff(split.train.timestamp) >= 0)
