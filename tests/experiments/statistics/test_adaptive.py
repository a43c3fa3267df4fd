"""Shares of the next epoch: who is best, and how much traffic follows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.adaptive import allocate, probability_best
from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Status
from experiments.statistics.estimates import as_moments
from experiments.statistics.guardrails import Direction
from experiments.statistics.numeric import StatisticsError

RULES = ("top_two", "thompson")


def arms(means: list[float], errors: list[float]) -> Moments:
    return as_moments(means, np.square(errors), 1000.0)


def test_two_arms_have_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    mean, error = rng.normal(size=(500, 2)), 10 ** rng.uniform(-4, 1, (500, 2))
    wanted = stats.norm.cdf((mean[:, 0] - mean[:, 1]) / np.hypot(*error.T))
    assert np.abs(probability_best(mean, error)[:, 0] - wanted).max() < 1e-12


def test_four_arms_agree_with_draws() -> None:
    mean, error = [0.0, 0.1, 0.3, -2.0], [1.0, 0.001, 0.3, 2.0]
    drawn = np.random.default_rng(1).normal(mean, error, (400_000, 4)).argmax(axis=-1)
    wanted = np.bincount(drawn, minlength=4) / 400_000
    assert probability_best(mean, error) == pytest.approx(wanted, abs=0.004)


def test_arms_that_are_alike_share_alike() -> None:
    for count in (2, 3, 8):
        best = probability_best(np.full(count, 7.0), 0.1)
        assert best == pytest.approx(np.full(count, 1 / count), abs=1e-12)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("direction", "order"), [("increase", [3, 2, 1, 0]), ("decrease", [0, 1, 2, 3])]
)
def test_traffic_goes_to_the_good_end_of_the_metric(
    rule: str, direction: Direction, order: list[int]
) -> None:
    found = allocate(
        arms([1.0, 2.0, 3.0, 4.0], [0.05] * 4),
        rule=rule,  # type: ignore[arg-type]  # one of two words
        direction=direction,
        floor=0.0,
    )
    assert found.probability_best[order] == pytest.approx([1, 0, 0, 0], abs=1e-12)
    shares = [0.5, 0.5, 0, 0] if rule == "top_two" else [1, 0, 0, 0]
    assert found.shares[order] == pytest.approx(shares, abs=1e-6)


def test_top_two_follows_russos_formula() -> None:
    found = allocate(arms([0.0, 0.1, 0.3], [0.2, 0.2, 0.3]), floor=0.0)
    best = found.probability_best
    for arm in range(3):
        others = sum(best[j] / (1 - best[j]) for j in range(3) if j != arm)
        wanted = best[arm] * (0.5 + 0.5 * others)
        assert float(found.shares[arm]) == pytest.approx(float(wanted))


def test_the_floor_is_added_below_every_share() -> None:
    found = allocate(arms([0.0, 9.0], [0.1, 0.1]), rule="thompson", floor=0.1)
    assert found.shares == pytest.approx([0.1, 0.9])
    crowded = allocate(arms([0.0, 9.0, 1.0], [0.1] * 3), floor=0.4)
    assert crowded.shares == pytest.approx(np.full(3, 1 / 3))


def test_arms_without_data_share_alike_and_say_so() -> None:
    empty = Moments.from_units(np.zeros((3, 0)))
    constant = Moments.from_units(np.ones((3, 5)))
    for cell, status in (
        (empty, Status.NOT_ENOUGH_DATA),
        (constant, Status.DEGENERATE),
    ):
        found = allocate(cell)
        assert found.status == status
        assert found.shares == pytest.approx(np.full(3, 1 / 3))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)), min_size=2, max_size=5
    ),
    st.sampled_from(RULES),
    st.floats(0, 0.9),
)
def test_shares_are_shares_whatever_the_arms(
    cells: list[tuple[float, float]], rule: str, floor: float
) -> None:
    mean, error = zip(*cells, strict=True)
    found = allocate(arms(list(mean), list(error)), rule=rule, floor=floor)  # type: ignore[arg-type]  # one of two words
    assert float(found.shares.sum()) == pytest.approx(1.0)
    assert (found.shares >= min(floor, 1 / len(cells)) - 1e-12).all()
    if found.status == Status.OK:
        flipped = allocate(
            arms([-value for value in mean], list(error)),
            rule=rule,  # type: ignore[arg-type]  # one of two words
            floor=floor,
            direction="decrease",
        )
        assert flipped.shares == pytest.approx(found.shares, abs=1e-9)


def test_wrong_arguments_are_named() -> None:
    two = arms([0.0, 1.0], [1.0, 1.0])
    with pytest.raises(StatisticsError, match="rule must be one of"):
        allocate(two, rule="greedy")  # type: ignore[arg-type]  # wrong
    with pytest.raises(StatisticsError, match="direction must be"):
        allocate(two, direction="up")  # type: ignore[arg-type]  # wrong
    with pytest.raises(StatisticsError, match="floor must lie in"):
        allocate(two, floor=1.0)
    with pytest.raises(StatisticsError, match="arm >= 2"):
        probability_best([1.0], [1.0])
