"""Were the variants alike before, and do units stay where they belong?"""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.aggregates import JointMoments, Moments
from experiments.statistics.balance import (
    State,
    covariate_balance,
    crossover,
    pre_exposure,
)
from experiments.statistics.comparison import Comparison
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray, StatisticsError
from tests.experiments.statistics.wishart import joint_moments


def arms_of(*rows: FloatArray) -> JointMoments:
    parts = [JointMoments.from_units(arm) for arm in rows]
    return JointMoments(
        *(
            np.stack([getattr(p, name) for p in parts])
            for name in ("count", "mean", "m2")
        )
    )


def test_one_covariate_of_two_arms_is_the_pooled_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.gamma(2.0, size=(30, 1)), rng.gamma(2.5, size=(50, 1))
    got = covariate_balance(arms_of(a, b), names=["orders"])
    other = stats.ttest_ind(b[:, 0], a[:, 0])
    assert got.p_value == pytest.approx(float(other.pvalue), rel=1e-10)
    assert got.statistic == pytest.approx(float(other.statistic) ** 2, rel=1e-10)
    spread = (a.var(ddof=1) + b.var(ddof=1)) / 2
    wanted = (b.mean() - a.mean()) / np.sqrt(spread)
    assert got.standardised.tolist() == [[pytest.approx(float(wanted))]]


def test_one_covariate_of_several_arms_is_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=(n, 1)) for n in (20, 35, 50)]
    got = covariate_balance(arms_of(*rows))
    other = stats.f_oneway(*(arm[:, 0] for arm in rows))
    assert got.p_value == pytest.approx(float(other.pvalue), rel=1e-10)


def test_two_arms_are_hotellings_test() -> None:
    """T^2 = n m / (n + m) d' S^-1 d, times (N - p - 1) / (p (N - 2)) as F."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(25, 3)), rng.normal(size=(40, 3)) + 0.3
    pooled = (24 * np.cov(a.T) + 39 * np.cov(b.T)) / 63
    d = b.mean(axis=0) - a.mean(axis=0)
    t2 = 25 * 40 / 65 * d @ np.linalg.solve(pooled, d)
    f = t2 * (65 - 3 - 1) / (3 * 63)
    got = covariate_balance(arms_of(a, b))
    assert got.statistic == pytest.approx(f, rel=1e-10)
    assert got.p_value == pytest.approx(float(stats.f.sf(f, 3, 61)), rel=1e-10)


def test_a_leaked_covariate_is_red_and_named() -> None:
    rng = np.random.default_rng(3)
    rows = [rng.normal(size=(4000, 2)) for _ in range(3)]
    sound = covariate_balance(arms_of(*rows), names=["orders", "visits"])
    assert sound.state == State.GOOD
    assert "were alike" in sound.sentence
    rows[2][:, 1] += 0.15
    off = covariate_balance(arms_of(*rows), names=["orders", "visits"])
    assert off.state == State.BAD
    assert off.p_value < 0.001
    assert "0.1" in off.sentence
    assert "visits" in off.sentence
    assert abs(off.standardised[1, 1]) > 0.1


def test_constant_and_repeated_covariates_do_not_count() -> None:
    x = np.random.default_rng(4).normal(size=(2, 60, 1))
    rows = np.concatenate([x, 2 * x, np.ones_like(x)], axis=-1)
    got = covariate_balance(arms_of(*rows))
    alone = covariate_balance(arms_of(*x))
    assert got.covariates == 1
    assert got.p_value == pytest.approx(alone.p_value)
    assert np.isnan(got.standardised[0, 2])
    constant = covariate_balance(arms_of(np.ones((5, 1)), np.ones((6, 1))))
    assert constant.state == State.WARN
    assert np.isnan(constant.p_value)


def test_the_alarm_is_rung_as_often_as_stated() -> None:
    rng = np.random.default_rng(5)
    counts = np.array([900.0, 60.0, 40.0])
    arms = joint_moments(rng, 1500, counts, np.zeros(3), np.full(3, 0.8), covariates=2)
    p = np.array([covariate_balance(arms[i]).p_value for i in range(1500)])
    assert 0.03 <= float((p < 0.05).mean()) <= 0.07
    assert float((p < 0.001).mean()) <= 0.004


def pre_period(gap: float) -> list[Comparison]:
    """Clicks and revenue of a control and two treatments; revenue of one is moved."""
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(2, 3, 5000))
    rows[1, 1] += gap
    arms = Moments.from_units(rows)
    return [welch(arms[k, :1], arms[k, 1:]) for k in (0, 1)]


def test_an_a_a_test_before_exposure_names_the_metric_that_differed() -> None:
    sound = pre_exposure(pre_period(0.0), names=["clicks", "revenue"])
    assert sound.state == State.GOOD
    assert "did not differ in clicks and revenue" in sound.sentence
    off = pre_exposure(pre_period(0.2), names=["clicks", "revenue"])
    assert off.state == State.BAD
    assert off.off == (1,)
    assert "before the experiment in revenue (adjusted p < 0.001)" in off.sentence
    assert off.p_values[1].shape == (2,)
    nothing = Moments(*np.zeros((4, 1)))
    nobody = pre_exposure([welch(nothing, nothing)])
    assert nobody.state == State.WARN
    assert "No unit has a pre-period" in nobody.sentence


def test_crossing_beyond_one_percent_is_red() -> None:
    few = crossover([5000, 5000], [30, 34])
    assert few.state == State.GOOD
    assert few.share == pytest.approx(0.0064)
    assert "64 of 10,000 units (0.64%)" in few.sentence
    many = crossover([5000, 5000], [80, 90])
    assert many.state == State.BAD
    assert "more than 0.01 of all" in many.sentence
    assert crossover([5000, 5000], 170).state == State.BAD
    nobody = crossover([5000, 5000], [0, 0])
    assert nobody.sentence == "No unit met more than one variant."


def test_crossing_out_of_one_variant_only_is_pointed_out() -> None:
    got = crossover([50_000, 50_000], [10, 90])
    assert got.state == State.WARN
    assert got.p_value < 0.001
    assert got.shares.tolist() == [0.0002, 0.0018]
    assert "unlike shares" in got.sentence
    assert np.isnan(crossover([50, 50], 1).p_value)
    assert crossover([0, 0], [0, 0]).state == State.GOOD


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=0, max_size=6
    ),
    st.lists(
        st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=0, max_size=6
    ),
)
def test_any_rows_give_a_state_and_a_sentence(
    a: list[list[float]], b: list[list[float]]
) -> None:
    rows = [np.array(arm).reshape(-1, 2) for arm in (a, b)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        balance = covariate_balance(arms_of(*rows))
        arms = [[Moments.from_units(arm[:, k]) for arm in rows] for k in (0, 1)]
        before = pre_exposure([welch(*pair) for pair in arms])
    assert np.isnan(balance.p_value) == (balance.state == State.WARN)
    assert 0 <= balance.p_value <= 1 or np.isnan(balance.p_value)
    assert balance.sentence.endswith(".")
    assert before.sentence.endswith(".")


def test_a_wrong_argument_is_named() -> None:
    arms = arms_of(np.ones((4, 2)), np.ones((4, 2)))
    with pytest.raises(StatisticsError, match="names must hold 2, got 1"):
        covariate_balance(arms, names=["one"])
    with pytest.raises(StatisticsError, match=r"alert must lie in \(0, 1\), got 2"):
        covariate_balance(arms, alert=2.0)
    with pytest.raises(StatisticsError, match=r"shape \(arm, covariate\).*got \(2,\)"):
        covariate_balance(arms[0])
    with pytest.raises(StatisticsError, match="before must hold at least one"):
        pre_exposure([])
    with pytest.raises(StatisticsError, match="crossed must be <= units, got 9"):
        crossover([5, 50], [9, 1])
    with pytest.raises(StatisticsError, match=r"got \(2,\) and \(3,\)"):
        crossover([5, 50], [1, 1, 1])
