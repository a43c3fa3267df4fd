"""Days until enough units have come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.duration import duration
from experiments.statistics.numeric import StatisticsError


def test_days_are_counted_from_the_history_of_new_units() -> None:
    found = duration([1, 500, 501, 900, 1200], [500, 400, 300])
    assert found.days.tolist() == [1, 1, 2, 2, 3]
    assert found.weeks.tolist() == [1, 1, 1, 1, 1]
    assert not found.extrapolated.any()


def test_returning_visitors_do_not_count_twice() -> None:
    """1,000 visitors a day, fewer of them new: not 5 days, 3 weeks."""
    new = 1000 * 0.8 ** np.arange(28)
    found = duration(4_950, new)
    assert (float(found.days), float(found.weeks)) == (21, 3)
    assert duration(5_000, new).extrapolated


def test_past_the_history_its_last_week_goes_on() -> None:
    week = [100] * 7 + [50] * 7
    found = duration(1_050 + 75, week)
    assert float(found.days) == 16
    assert bool(found.extrapolated)


def test_a_share_of_the_traffic_takes_longer() -> None:
    assert float(duration(700, [100] * 14).days) == 7
    assert float(duration(700, [100] * 14, traffic=0.5).days) == 14


def test_what_never_comes_is_infinite_and_what_is_unknown_stays_so() -> None:
    assert float(duration(10, [5] + [0] * 7).days) == np.inf
    assert np.isnan(duration(np.nan, [5]).days)
    assert float(duration(np.inf, [5]).days) == np.inf


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=30),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_more_units_never_take_fewer_days(
    arrivals: list[int], one: int, other: int
) -> None:
    few, many = sorted((one, other))
    found = duration([few, many], arrivals)
    assert found.days[0] <= found.days[1]
    assert found.days[0] >= 1


@pytest.mark.parametrize(
    ("arrivals", "traffic", "said"),
    [
        ([], 1.0, r"a day at least, got \(0,\)"),
        ([[1]], 1.0, r"got \(1, 1\)"),
        ([-1], 1.0, "arrivals must be finite and >= 0, got -1"),
        ([1], 0.0, "traffic must lie in"),
        ([1], 1.5, "traffic must lie in"),
    ],
)
def test_wrong_arguments_name_themselves(
    arrivals: list[object], traffic: float, said: str
) -> None:
    with pytest.raises(StatisticsError, match=said):
        duration(1, arrivals, traffic=traffic)  # type: ignore[arg-type]  # wrong on purpose
