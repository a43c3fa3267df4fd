"""Exact always-valid quantiles."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.comparison import Status
from experiments.statistics.numeric import StatisticsError
from experiments.statistics.quantile_sequences import (
    always_valid_quantile_difference,
    always_valid_ranks,
)

rows = st.lists(st.integers(-5, 40).map(float), min_size=0, max_size=150)


def test_ranks_hold_the_true_quantile_at_all_times() -> None:
    """2,000 streams of 1,500 coin tosses: rows below the 90th percentile."""
    generator = np.random.default_rng(1)
    below = (generator.uniform(size=(2000, 1500)) <= 0.9).cumsum(axis=1)
    seen = np.arange(1, 1501)
    lower, upper = always_valid_ranks(seen, level=0.9, optimised_for=500)
    missed = ((below < lower) | (below >= upper)).any(axis=1)
    assert 0.005 < float(missed.mean()) < 0.05


def test_ranks_are_wider_than_a_fixed_interval_and_narrow_like_a_root() -> None:
    lower, upper = always_valid_ranks([1000, 100_000, 10**10], level=0.5)
    width = (upper - lower) / np.array([1000, 100_000, 10**10])
    fixed = 2 * stats.norm.isf(0.025) * 0.5 / np.sqrt([1000, 100_000, 10**10])
    assert (width > fixed).all()
    assert (width < 3 * fixed).all()
    assert (lower <= 0.5 * np.array([1000, 100_000, 10**10])).all()


def test_ranks_are_open_while_there_are_few_rows() -> None:
    lower, upper = always_valid_ranks([0, 1, 5], level=0.9)
    np.testing.assert_array_equal(lower, 0)
    np.testing.assert_array_equal(upper, [1, 2, 6])


@pytest.mark.parametrize("discrete", [False, True])
def test_watching_an_aa_test_errs_less_than_stated(discrete: bool) -> None:
    generator = np.random.default_rng(2)
    arms = generator.exponential(2.0, (2, 200, 1000))
    arms = np.floor(arms) if discrete else arms
    ever = np.zeros(200, dtype=bool)
    for seen in np.geomspace(30, 1000, 12).astype(int):
        result = always_valid_quantile_difference(
            arms[0, :, :seen], arms[1, :, :seen], level=0.5
        )
        ever |= result.p_value < 0.05
    assert float(ever.mean()) <= 0.05


def test_a_large_difference_is_found_on_counts_that_the_window_refuses() -> None:
    generator = np.random.default_rng(3)
    result = always_valid_quantile_difference(
        generator.poisson(3.5, 3000), generator.poisson(5.5, 3000), level=0.5
    )
    assert result.status == Status.OK
    assert float(result.lower) >= 1
    assert float(result.estimate) == 2
    assert float(result.p_value) < 1e-6


@settings(deadline=None)
@given(rows, rows, st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from([0.05, 0.3]))
def test_interval_and_p_value_never_contradict_and_nothing_warns(
    a: list[float], b: list[float], level: float, alpha: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        there = always_valid_quantile_difference(a, b, level=level, alpha=alpha)
        back = always_valid_quantile_difference(b, a, level=level, alpha=alpha)
    assert float(there.lower) == -float(back.upper)
    if there.status == Status.OK:
        assert bool(there.excludes_zero) == bool(there.p_value < alpha)
        assert float(there.p_value) == pytest.approx(float(back.p_value))
        large = always_valid_quantile_difference(
            3 * np.array(a), 3 * np.array(b), level=level, alpha=alpha
        )
        assert float(large.p_value) == float(there.p_value)
        assert float(large.upper) == 3 * float(there.upper)
    else:
        assert there.status == Status.NOT_ENOUGH_DATA


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match="level must lie in"):
        always_valid_ranks(10, level=1.0)
    with pytest.raises(StatisticsError, match="rows must be finite and >= 0"):
        always_valid_ranks(-1, level=0.5)
    with pytest.raises(StatisticsError, match="optimised_for must be finite and >= 1"):
        always_valid_ranks(10, level=0.5, optimised_for=0)
    with pytest.raises(StatisticsError, match="share their leading axes"):
        always_valid_quantile_difference([1.0], [[1.0]], level=0.5)
