"""When looks come and what a moment counts as."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.plan import AnalysisPlan, PlanError
from tests.experiments.analysis.measurements import START, after, plan_of


def test_looks_lie_at_ends_of_whole_weeks_and_the_last_at_the_end() -> None:
    assert plan_of().look_days == (7, 14)
    assert plan_of(planned_days=28, looks=3).look_days == (7, 21, 28)
    assert plan_of(planned_days=30, looks=2).look_days == (14, 30)
    assert plan_of().look_times == (after(7), after(14))


@given(looks=st.integers(1, 6), extra=st.integers(0, 100))
def test_looks_rise_by_a_week_or_more_whatever_the_length(
    looks: int, extra: int
) -> None:
    plan = plan_of(planned_days=7 * looks + extra, looks=looks)
    days = plan.look_days
    assert len(days) == looks
    assert days[-1] == plan.planned_days
    assert all(day % 7 == 0 for day in days[:-1])
    assert all(b > a for a, b in zip((0, *days), days, strict=False))
    assert plan.information_at(looks)[-1] == 1.0


@pytest.mark.parametrize(
    ("days", "look"), [(6.999, 0), (7, 1), (7.001, 0), (13.9, 0), (14, 2), (20, 2)]
)
def test_a_moment_is_a_look_only_at_the_planned_time_or_past_the_end(
    days: float, look: int
) -> None:
    assert plan_of().look_at(after(days)) == look


def test_the_error_is_shared_by_the_treatments() -> None:
    assert plan_of(treatments=2).alpha_per_comparison == 0.025
    assert plan_of().information_at(1) == (0.5,)
    assert plan_of().days_at(START + timedelta(hours=36)) == 1.5


def test_looks_that_do_not_fit_and_a_lonely_control_are_refused() -> None:
    with pytest.raises(PlanError, match="3 looks do not fit into 14 days"):
        plan_of(looks=3)
    with pytest.raises(PlanError, match="no variant beside the control"):
        AnalysisPlan(START, 14, 2, 0.05, 0)
