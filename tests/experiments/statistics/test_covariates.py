"""Covariate adjustment beyond the reference cases: what it promises for any data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.aggregates import CrossMoments, JointMoments
from experiments.statistics.comparison import Status
from experiments.statistics.covariates import (
    Adjusted,
    adjust,
    adjust_ratio,
    adjusted_difference,
    adjusted_lift,
    missing_indicator,
)
from experiments.statistics.least_squares import inverse, solve
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError, student_tail
from tests.experiments.statistics.shared_data import columns
from tests.experiments.statistics.wishart import joint_moments

LARGE = np.array([1e6, 1e6])


def test_the_growthbook_p_value_follows_from_our_parts() -> None:
    """Case 8: that tool's delta slope at the plain means, its normal-sized df."""
    arms = CrossMoments.from_power_sums(
        [3001, 3000], [300, 222], [210, 120], [600, 555], [415, 405], [-20, -10]
    )
    lift = float(adjusted_lift(adjust(arms, slope="total")).estimate)
    assert lift == pytest.approx(-0.281707154, abs=5e-10)
    t = abs(lift) / 0.097104876
    assert 2 * float(student_tail(t, 5999.0)) == pytest.approx(0.003732549, rel=5e-6)


def test_a_ratio_metric_takes_a_ratio_as_its_covariate() -> None:
    """Case 7: orders per session with both covariates, to the digits given."""
    table = columns("tea_tasting_users_rng42.csv.gz")
    names = ("orders", "sessions", "orders_covariate", "sessions_covariate")
    parts = [
        JointMoments.from_units(
            np.stack([table[name][table["variant"] == arm] for name in names], -1)
        )
        for arm in (0, 1)
    ]
    arms = JointMoments(
        *(np.stack([getattr(p, n) for p in parts]) for n in ("count", "mean", "m2"))
    )
    adjusted = adjust_ratio(arms, [(0, 1), (2, 3)], slope="total")
    result = adjusted_difference(adjusted)
    assert adjusted.moments.mean.tolist() == pytest.approx(
        [0.2615585590795329, 0.293292822116314], rel=1e-12
    )
    assert float(result.estimate) == pytest.approx(0.03173426303678112, rel=1e-12)
    assert float(result.p_value) == pytest.approx(0.002292943842523004, rel=1e-10)
    within = adjusted_difference(adjust_ratio(arms, [(0, 1), (2, 3)]))
    assert float(within.estimate) == pytest.approx(0.0317, abs=2e-4)
    plain = [(0, 1), (2, None), (3, None)]
    both = adjust_ratio(arms, plain)
    assert both.used.all()
    assert float(both.reduction) > 0.1


def claimed_ratio(adjusted: Adjusted) -> float:
    plain = welch(adjusted.plain[..., 0], adjusted.plain[..., 1]).standard_error
    mine = adjusted_difference(adjusted).standard_error
    return float((mine**2).mean() / (plain**2).mean())


@pytest.mark.parametrize("correlation", [0.3, 0.7, 0.95])
def test_the_variance_falls_to_one_minus_the_squared_correlation(
    correlation: float,
) -> None:
    """Claimed and real variance, both within 2 %."""
    slope = correlation / np.sqrt(1 - correlation**2)
    arms = joint_moments(
        np.random.default_rng(7),
        60_000,
        np.array([500.0, 500.0]),
        np.zeros(2),
        np.full(2, slope),
    )
    adjusted = adjust(arms)
    wanted = 1 - correlation**2
    assert claimed_ratio(adjusted) == pytest.approx(wanted, rel=0.02)
    plain = adjusted.plain.mean[:, 1] - adjusted.plain.mean[:, 0]
    real = np.var(adjusted_difference(adjusted).estimate) / np.var(plain)
    assert float(real) == pytest.approx(wanted, rel=0.02)


def test_several_covariates_take_away_their_multiple_r_squared() -> None:
    rng = np.random.default_rng(8)
    arms = joint_moments(
        rng, 20_000, np.array([500.0, 500.0]), np.zeros(2), np.ones(2), covariates=3
    )
    adjusted = adjust(arms)
    assert claimed_ratio(adjusted) == pytest.approx(0.5, rel=0.02)
    assert float(adjusted.reduction.mean()) == pytest.approx(0.5, abs=0.01)


samplers = st.sampled_from(["normal", "rare", "heavy", "counts"])


def sample(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    match kind:
        case "rare":
            return rng.binomial(1, 0.05, shape).astype(np.float64)
        case "heavy":
            return rng.lognormal(0.0, 1.0, shape)
        case "counts":
            return rng.poisson(0.4, shape).astype(np.float64)
        case _:
            return rng.standard_normal(shape)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    metric=samplers,
    covariate=samplers,
    sizes=st.tuples(st.integers(500, 900), st.integers(500, 3000)),
    covariates=st.integers(1, 3),
)
def test_a_useless_covariate_never_costs_more_than_two_percent(
    seed: int, metric: str, covariate: str, sizes: tuple[int, int], covariates: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = []
    for size in sizes:
        y = sample(metric, rng, (size, 1))
        x = sample(covariate, rng, (size, covariates))
        parts.append(JointMoments.from_units(np.concatenate([y, x], axis=-1)))
    arms = JointMoments(
        *(np.stack([getattr(p, n) for p in parts]) for n in ("count", "mean", "m2"))
    )
    assert claimed_ratio(adjust(arms)) <= 1.02


def test_a_useless_covariate_costs_nothing_in_the_long_run() -> None:
    """The real variance over many experiments, with five useless covariates."""
    rng = np.random.default_rng(9)
    arms = joint_moments(
        rng, 60_000, np.array([500.0, 500.0]), np.zeros(2), np.zeros(2), covariates=5
    )
    adjusted = adjust(arms)
    plain = adjusted.plain.mean[:, 1] - adjusted.plain.mean[:, 0]
    real = np.var(adjusted_difference(adjusted).estimate) / np.var(plain)
    assert float(real) <= 1.02
    assert 0.98 <= claimed_ratio(adjusted) <= 1.0


def test_new_shoppers_without_a_pre_period_get_an_indicator() -> None:
    got = missing_indicator([[2.0, np.nan], [0.0, 1.0]])
    np.testing.assert_array_equal(got[0], [[2.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(got[1], [[0.0, 0.0], [1.0, 0.0]])


def test_what_fills_the_gap_does_not_matter_beside_the_indicator() -> None:
    rng = np.random.default_rng(10)
    x = rng.gamma(2.0, size=(2, 800))
    y = 3 * x + rng.standard_normal(x.shape)
    x[:, ::3] = np.nan
    pair = missing_indicator(x)
    other = pair.copy()
    other[..., 0] += 17.0 * pair[..., 1]
    results = [
        adjust(JointMoments.from_units(np.concatenate([y[..., None], p], axis=-1)))
        for p in (pair, other)
    ]
    np.testing.assert_allclose(results[0].moments.mean, results[1].moments.mean)
    known = ~np.isnan(x[0])
    alone = np.corrcoef(x[0][known], y[0][known])[0, 1] ** 2
    assert 0 < float(results[0].reduction) < alone
    nothing_missing = missing_indicator(rng.gamma(2.0, size=(2, 800)))
    rows = np.concatenate([y[..., None], nothing_missing], axis=-1)
    assert adjust(JointMoments.from_units(rows)).used.tolist() == [True, False]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_solving_equals_numpy_and_the_inverse(seed: int, size: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((size + 3, size))
    left, right = rows.T @ rows, rows.T @ np.ones(size + 3)
    got, used = solve(left, right)
    assert used.all()
    np.testing.assert_allclose(got, np.linalg.solve(left, right), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(inverse(left) @ left, np.eye(size), atol=1e-6)


def test_dropped_columns_leave_the_inverse_of_the_rest() -> None:
    x = np.random.default_rng(3).standard_normal((40, 2))
    rows = np.column_stack([x[:, 0], np.zeros(40), 2 * x[:, 0], x[:, 1]])
    got = inverse(rows.T @ rows)
    rest = np.linalg.inv(x.T @ x)
    np.testing.assert_allclose(got[np.ix_([0, 3], [0, 3])], rest)
    assert not got[1:3].any()
    assert not got[:, 1:3].any()


def test_an_empty_arm_is_said_and_moves_no_other() -> None:
    arms = CrossMoments(
        *np.array([[50, 5, 2, 90, 40, 30], [0] * 6, [60, 6, 3, 99, 50, 40]]).T
    )
    adjusted = adjust(arms)
    assert adjusted_difference(adjusted).status[()] == Status.NOT_ENOUGH_DATA
    assert adjusted_difference(adjusted, 0, 2).status[()] == Status.OK


def test_at_least_one_covariate_is_asked_for() -> None:
    table = JointMoments.from_units(np.ones((2, 5, 1)))
    with pytest.raises(StatisticsError, match=r"at least one covariate, got \(2, 1\)"):
        adjust(table)
    with pytest.raises(StatisticsError, match=r"arms must have shape \(..., arm\)"):
        adjust(table[0])
