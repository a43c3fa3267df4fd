"""Switching everyone over time: blocks, burn-in, redrawn schedules and paths."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Status
from experiments.statistics.means import welch
from experiments.statistics.numeric import BoolArray, FloatArray, StatisticsError
from experiments.statistics.switchback import (
    Schedule,
    block_difference,
    randomisation_test,
)
from experiments.statistics.switchback_paths import path_difference
from tests.experiments.statistics.test_laws import agree, known_or_marked


def schedule(
    arms: list[int], length: int, burn_in: int, probability: float = 0.5
) -> Schedule:
    return Schedule.of(
        np.repeat(range(len(arms)), length),
        np.repeat(arms, length),
        burn_in=burn_in,
        probability=probability,
    )


def outcomes(treated: BoolArray, a: FloatArray, b: FloatArray, lag: int) -> FloatArray:
    """What a path shows: a or b where it was steady, something wild where mixed."""
    shown = np.full(treated.size, 77.0)
    for period in range(treated.size):
        window = treated[max(0, period - lag) : period + 1]
        if window.all():
            shown[period] = a[period]
        elif not window.any():
            shown[period] = b[period]
    return shown


@pytest.mark.parametrize(
    ("length", "burn_in", "probability"),
    [(2, 2, 0.5), (3, 2, 0.5), (3, 1, 0.4), (2, 3, 0.5), (2, 0, 0.3)],
)
def test_over_all_schedules_paths_are_unbiased_with_a_variance_not_too_small(
    length: int, burn_in: int, probability: float
) -> None:
    rng = np.random.default_rng(length)
    a, b = (rng.normal(level, 1.0, 6 * length) for level in (2.0, 1.0))
    chance, found, claimed = [], [], []
    for arms in product((0, 1), repeat=6):
        plan = schedule(list(arms), length, burn_in, probability)
        shown = outcomes(plan.treated, a, b, burn_in)
        result = path_difference(shown, plan, centre=0.0)
        treated = sum(arms)
        chance.append(probability**treated * (1 - probability) ** (6 - treated))
        found.append(float(result.estimate))
        claimed.append(float(result.standard_error) ** 2)
    mean = float(np.dot(chance, found))
    assert mean == pytest.approx(float((a - b)[burn_in:].mean()))
    true = float(np.dot(chance, (np.array(found) - mean) ** 2))
    assert true <= float(np.dot(chance, claimed)) < 1.6 * true


def test_the_variance_over_paths_is_the_bound_by_hand() -> None:
    rows = np.array([1.0, 2.0, 3.0, 5.0])
    result = path_difference(rows, schedule([1, 1, 1, 0], 1, 1), centre=0.0)
    # Spans (0, 1), (1, 2), (2, 3): two steady and dependent, the last mixed.
    single = 4 * (4 + 1) * 2.0**2 + 4 * (4 + 2) * 3.0**2
    pair = 2 * 8 * 2.0 * 3.0
    assert float(result.standard_error) == pytest.approx((single + pair) ** 0.5 / 3)
    assert float(result.estimate) == pytest.approx(4 * (2 + 3) / 3)


def test_the_block_comparison_is_welch_of_settled_blocks() -> None:
    rng = np.random.default_rng(0)
    arms = [0, 1, 1, 0, 1, 0, 0, 1]
    rows = rng.normal(0, 1, (2, 8, 5))
    rows[..., :2] += 50.0
    means = rows[..., 2:].mean(axis=-1)
    wanted = welch(
        *(Moments.from_units(means[:, np.array(arms) == arm]) for arm in (0, 1))
    )
    found = block_difference(rows.reshape(2, 40), schedule(arms, 5, 2))
    for name in ("estimate", "standard_error", "p_value", "degrees_of_freedom"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name))


def test_a_ratio_of_totals_uses_the_sizes_of_the_periods() -> None:
    plan = schedule([0, 1, 0, 1], 2, 1)
    size = np.array([9.0, 10, 9, 20, 9, 30, 9, 40])
    total = np.array([0.0, 1, 0, 4, 0, 3, 0, 20])
    found = block_difference(total, plan, size=size)
    assert float(found.estimate) == pytest.approx(24 / 60 - 4 / 40)


def drifting(
    seed: int, blocks: int, effect: float
) -> list[tuple[FloatArray, Schedule]]:
    """Schedules under a daily swing, autocorrelated noise and a lingering effect."""
    rng = np.random.default_rng(seed)
    days = []
    for _ in range(600):
        arms = rng.random(blocks) < 0.5
        while arms.all() or not arms.any():
            arms = rng.random(blocks) < 0.5
        plan = schedule(arms.astype(int).tolist(), 4, 1)
        treated = plan.treated.astype(float)
        before = np.append(treated[:1], treated[:-1])
        level = (
            np.sin(np.arange(4 * blocks) / 4)
            + np.convolve(rng.normal(size=4 * blocks), [1, 0.7, 0.5])[: 4 * blocks]
        )
        days.append((level + effect * (treated + before) / 2, plan))
    return days


def test_drift_and_carry_over_leave_the_error_rates_alone() -> None:
    rng, missed = np.random.default_rng(9), np.zeros(3)
    for rows, plan in drifting(1, 14, 0.5):
        for place, result in enumerate(
            (
                block_difference(rows, plan),
                randomisation_test(rows, plan, rng=rng, draws=199),
                path_difference(rows, plan),
            )
        ):
            missed[place] += not float(result.lower) <= 0.5 <= float(result.upper)
    rates = missed / 600
    assert 0.02 <= rates[0] <= 0.085
    assert 0.02 <= rates[1] <= 0.085
    assert rates[2] <= 0.085


def test_a_redrawn_schedule_has_an_exact_level() -> None:
    rng, rejected = np.random.default_rng(3), 0
    for rows, plan in drifting(2, 8, 0.0):
        result = randomisation_test(rows, plan, rng=rng, draws=99)
        assert agree(result)
        rejected += float(result.p_value) < 0.05
    assert rejected / 600 <= 0.08


def test_the_interval_holds_the_effects_that_the_same_draws_accept() -> None:
    rows, plan = drifting(4, 10, 0.3)[0]
    settled = plan.treated & plan.settled

    def p_value(effect: float) -> float:
        return float(
            randomisation_test(
                rows - effect * settled, plan, rng=np.random.default_rng(0), draws=199
            ).p_value
        )

    found = randomisation_test(rows, plan, rng=np.random.default_rng(0), draws=199)
    for bound, outward in ((float(found.lower), -1), (float(found.upper), 1)):
        assert p_value(bound - 1e-6 * outward) >= 0.05
        assert p_value(bound + 1e-6 * outward) < 0.05


def test_two_regions_draw_and_burn_in_on_their_own() -> None:
    plan = Schedule.of(
        [0, 0, 1, 1, 0, 0, 1, 1],
        [1, 1, 0, 0, 0, 0, 0, 0],
        region=["n"] * 4 + ["s"] * 4,
        burn_in=1,
    )
    assert plan.blocks == 4
    assert plan.arms.tolist() == [True, False, False, False]
    assert plan.window_start.tolist() == [-1, 0, 0, 1, -1, 2, 2, 3]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=6),
    st.integers(1, 3),
    st.integers(0, 4),
    st.data(),
)
def test_any_schedule_gives_figures_or_a_status(
    arms: list[int], length: int, burn_in: int, data: st.DataObject
) -> None:
    periods = len(arms) * length
    rows = data.draw(
        st.lists(
            st.floats(-1e6, 1e6, allow_subnormal=False),
            min_size=periods,
            max_size=periods,
        )
    )
    plan = schedule(arms, length, burn_in)
    for result in (
        block_difference(rows, plan),
        randomisation_test(rows, plan, rng=np.random.default_rng(0), draws=59),
        path_difference(rows, plan),
    ):
        assert agree(result)
        assert known_or_marked(result)


def test_too_few_blocks_say_so() -> None:
    plan = schedule([0, 1], 3, 1)
    rows = np.arange(6.0)
    assert block_difference(rows, plan).status == Status.NOT_ENOUGH_DATA
    test = randomisation_test(rows, plan, rng=np.random.default_rng(0), draws=99)
    assert test.status == Status.NOT_ENOUGH_DATA
    assert float(test.p_value) == 1.0
    lone = schedule([1], 4, 1)
    for result in (
        path_difference(np.arange(4.0), lone),
        randomisation_test(np.arange(4.0), lone, rng=np.random.default_rng(0)),
    ):
        assert result.status == Status.NOT_ENOUGH_DATA


def test_wrong_schedules_are_named() -> None:
    with pytest.raises(StatisticsError, match="block must have one arm"):
        Schedule.of([0, 0, 1], [0, 1, 1], burn_in=0)
    with pytest.raises(StatisticsError, match="share one shape"):
        Schedule.of([0, 1], [0, 1, 1], burn_in=0)
    with pytest.raises(StatisticsError, match="0 and 1 alone"):
        Schedule.of([0, 1], [0, 2], burn_in=0)
    with pytest.raises(StatisticsError, match="burn_in must be >= 0, got -1"):
        Schedule.of([0, 1], [0, 1], burn_in=-1)
    plan = schedule([0, 1], 2, 0)
    with pytest.raises(StatisticsError, match="shapes do not fit"):
        block_difference([1.0, 2.0], plan)
    with pytest.raises(StatisticsError, match=r"outcome must have shape \(..., 1\)"):
        block_difference([1.0, 2.0], schedule([1], 1, 0))
    with pytest.raises(StatisticsError, match="draws must be >= 2 / alpha, got 10"):
        randomisation_test(np.zeros(4), plan, rng=np.random.default_rng(0), draws=10)
