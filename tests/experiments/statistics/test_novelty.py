"""Effects that fade or grow with the days since a user's first exposure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.aggregates import JointMoments
from experiments.statistics.comparison import Status
from experiments.statistics.means import welch
from experiments.statistics.novelty import (
    contrast,
    effect_by_day,
    mature,
    mature_shares,
)
from experiments.statistics.numeric import FloatArray, StatisticsError
from tests.experiments.statistics.test_laws import agree, known_or_marked

DAYS = 14


def users(seed: int, effect: FloatArray, shape: tuple[int, ...] = (300,)) -> FloatArray:
    """Days of users who differ from each other more than from day to day."""
    rng = np.random.default_rng(seed)
    habit = rng.normal(2.0, 1.0, (*shape, 1))
    return habit + rng.normal(0, 0.5, (*shape, effect.size)) + effect


def test_each_contrast_is_a_t_test_of_the_users_own_sums() -> None:
    a, b = users(0, np.zeros(DAYS)), users(1, np.linspace(0.5, 0.0, DAYS))
    found = effect_by_day(JointMoments.from_units(a), JointMoments.from_units(b))
    slope = (np.arange(DAYS) - 6.5) / ((np.arange(DAYS) - 6.5) ** 2).sum()
    halves = np.repeat([-1 / 7, 1 / 7], 7)
    for result, weights in ((found.trend, slope), (found.later, halves)):
        other = stats.ttest_ind(b @ weights, a @ weights, equal_var=False)
        assert float(result.p_value) == pytest.approx(other.pvalue, rel=1e-8)
        gap = (b @ weights).mean() - (a @ weights).mean()
        assert float(result.estimate) == pytest.approx(gap)
    day = stats.ttest_ind(b[:, 3], a[:, 3], equal_var=False)
    assert found.daily.p_value.shape == (DAYS,)
    assert float(found.daily.p_value[3]) == pytest.approx(day.pvalue, rel=1e-8)


def test_a_fading_effect_is_told_from_a_lasting_one() -> None:
    still = JointMoments.from_units(users(2, np.zeros(DAYS)))
    fading = JointMoments.from_units(users(3, 0.5 * 0.7 ** np.arange(float(DAYS))))
    lasting = JointMoments.from_units(users(4, np.full(DAYS, 0.5)))
    found = effect_by_day(still, fading)
    assert float(found.later.upper) < 0
    assert float(found.trend.upper) < 0
    steady = effect_by_day(still, lasting)
    assert not steady.later.excludes_zero
    assert not steady.trend.excludes_zero
    assert (steady.daily.lower > 0).any()


def test_lasting_effects_raise_the_alarm_at_its_level_alone() -> None:
    arms = [
        JointMoments.from_units(users(seed, np.full(DAYS, 0.3 * seed), (2000, 60)))
        for seed in (0, 1)
    ]
    found = effect_by_day(*arms)
    for result in (found.trend, found.later):
        assert 0.031 <= float(result.excludes_zero.mean()) <= 0.069


def test_the_days_together_are_the_mean_of_the_days() -> None:
    a, b = users(5, np.zeros(4)), users(6, np.zeros(4))
    control, treatment = (JointMoments.from_units(rows) for rows in (a, b))
    found = contrast(control, treatment, np.full(4, 0.25))
    wanted = welch(
        *(JointMoments.from_units(r.mean(-1, keepdims=True)).column(0) for r in (a, b))
    )
    assert float(found.p_value) == pytest.approx(float(wanted.p_value))


def test_a_window_is_whole_when_its_last_day_was_seen() -> None:
    exposed = [0, 7, 8, 14]
    assert mature(exposed, window=7, last_day=13).tolist() == [True, True, False, False]
    assert mature(exposed, window=1, last_day=14).all()
    shares = mature_shares(exposed, days=8, last_day=14)
    assert shares.tolist() == [1.0, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.5]
    weighted = mature_shares([0, 10], days=2, last_day=10, counts=[1, 3])
    assert weighted.tolist() == [1.0, 0.25]


rows = st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), max_size=6)


@settings(deadline=None)
@given(rows, rows)
def test_any_days_give_figures_or_a_status(
    control: list[list[float]], treatment: list[list[float]]
) -> None:
    arms = [
        JointMoments.from_units(np.array(days).reshape(-1, 3).round(3))
        for days in (control, treatment)
    ]
    found = effect_by_day(*arms, first_days=1)
    for result in (found.daily, found.trend, found.later):
        assert agree(result)
        assert known_or_marked(result)
    if min(len(control), len(treatment)) < 2:
        assert found.trend.status == Status.NOT_ENOUGH_DATA


def test_wrong_arguments_are_named() -> None:
    days = JointMoments.from_units(np.zeros((5, 3)))
    with pytest.raises(StatisticsError, match=r"first_days must lie in \[1, 2\]"):
        effect_by_day(days, days)
    with pytest.raises(StatisticsError, match="same days"):
        effect_by_day(days, JointMoments.from_units(np.zeros((5, 2))))
    with pytest.raises(StatisticsError, match=r"weights must have shape \(..., 3\)"):
        contrast(days, days, [1.0, 2.0])
    with pytest.raises(StatisticsError, match="window must be >= 1, got 0"):
        mature([0], window=0, last_day=1)
    with pytest.raises(StatisticsError, match="days must be >= 1"):
        mature_shares([0], days=0, last_day=1)
