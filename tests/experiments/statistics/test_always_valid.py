"""The always-valid boundary against published figures; its promise by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from experiments.statistics import proportions
from experiments.statistics.aggregates import CrossMoments, JointMoments
from experiments.statistics.always_valid import (
    AlwaysValid,
    always_valid,
    mixture_rate,
    running_p,
)
from experiments.statistics.covariates import adjust, adjusted_difference
from experiments.statistics.numeric import StatisticsError
from experiments.statistics.ratios import ratio_difference


def test_the_boundary_is_confseqs_two_sided_normal_mixture() -> None:
    # confseq (Howard, Ramdas et al.): v_opt = v = 100, alpha 0.05: bound 30.35209.
    critical = AlwaysValid(100, 0.05, optimised_for=100).critical
    assert float(critical) * 10 == pytest.approx(30.35209, abs=5e-5)


def test_the_interval_is_growthbooks_for_the_same_sums() -> None:
    # gbstats, relative, 3,000 and 3,461 units, tuned for 1,000.
    critical = AlwaysValid(6461, 0.05, optimised_for=1000).critical
    half = float(critical) * 0.3334122146400735
    assert 0.50336 - half == pytest.approx(-0.55844, abs=2e-5)
    assert 0.50336 + half == pytest.approx(1.56516, abs=2e-5)


@given(
    z=st.floats(0, 8),
    units=st.integers(200, 10**7),
    alpha=st.floats(0.001, 0.2),
)
def test_p_is_below_alpha_exactly_beyond_the_boundary(
    z: float, units: int, alpha: float
) -> None:
    boundary = AlwaysValid(units, alpha)
    p_value = float(boundary.repeated_p(2 * norm.sf(z)))
    if abs(z - float(boundary.critical)) > 1e-6:
        assert (p_value < alpha) == (z > float(boundary.critical))


def test_one_boundary_serves_cells_of_different_sizes() -> None:
    units = np.array([1000, 10_000])
    found = proportions.difference(
        [50, 500],
        units // 2,
        [60, 600],
        units // 2,
        quantile=AlwaysValid(units, 0.05),
    )
    alone = proportions.difference(
        500, 5000, 600, 5000, quantile=AlwaysValid(10_000, 0.05)
    )
    assert found.lower[1] == pytest.approx(float(alone.lower))
    assert found.p_value[1] == pytest.approx(float(alone.p_value))


def test_watching_every_day_errs_in_no_more_than_alpha_of_experiments() -> None:
    dice = np.random.default_rng(7)
    runs, days, users = 4000, 30, 2000
    z = dice.standard_normal((runs, days)).cumsum(axis=1) / np.sqrt(np.arange(1, 31))
    critical = AlwaysValid(users * np.arange(1, days + 1), 0.05).critical
    crossed = (np.abs(z) > critical).any(axis=1).mean()
    # Published for daily looks: 1.5 % tuned for 5,000; a naive test errs in 27 %.
    assert 0.002 < crossed < 0.03
    assert (np.abs(z) > 1.96).any(axis=1).mean() > 0.2


@pytest.mark.parametrize(("units", "alpha"), [(0, 0.05), (100, 0.0), (100, 1.0)])
def test_impossible_arguments_are_refused(units: float, alpha: float) -> None:
    with pytest.raises(StatisticsError):
        AlwaysValid(units, alpha)


def test_the_one_sided_mixture_is_confseqs() -> None:
    """v = v_opt = 100, alpha 0.05: log mixture -0.06502391, bound 27.66071.

    Ours bounds that mixture from above in closed form: 2 (e^x - 1) for 2 Phi(s) e^x.
    """
    rate = float(mixture_rate(2 * 0.05, 100))
    seen = 100 * rate

    def log_mixture(total: float) -> float:
        s = total / 10 * np.sqrt(seen / (1 + seen))
        return float(np.log(2) + norm.logcdf(s) + s * s / 2 - 0.5 * np.log1p(seen))

    assert log_mixture(10) == pytest.approx(-0.06502391, abs=5e-9)
    exact = brentq(lambda total: log_mixture(total) - np.log(1 / 0.05), 1, 100)
    assert exact == pytest.approx(27.66071, abs=5e-6)
    assert 1 / mixture_rate(0.05, 100) == pytest.approx(12.60056, abs=5e-6)
    ours = always_valid(0.1, 0.1, 100, n_opt=100, one_sided=True, burn_in=0)
    assert exact < float(ours.half_width) * 100 < 1.005 * exact


@pytest.mark.parametrize("direction", ["increase", "decrease"])
def test_a_one_sided_p_value_agrees_with_its_end_of_the_interval(
    direction: str,
) -> None:
    effects = np.linspace(-1, 1, 401)
    found = always_valid(
        effects,
        0.1,
        5000,
        one_sided=True,
        direction=direction,  # type: ignore[arg-type]  # one of the two
    )
    clear = found.lower > 0 if direction == "increase" else found.upper < 0
    assert ((found.p_value < 0.05) == clear).all()
    assert np.isinf(found.upper if direction == "increase" else found.lower).all()
    two = always_valid(effects, 0.1, 5000)
    assert (found.half_width < two.half_width).all()


def test_nothing_is_claimed_before_the_burn_in() -> None:
    found = always_valid([5.0, 5.0], 0.1, [199, 200])
    assert found.status.tolist() == ["not_enough_data", "ok"]
    assert (found.p_value[0], found.p_value[1] < 0.05) == (1.0, True)
    assert (found.lower[0], found.upper[0]) == (-np.inf, np.inf)
    uneven = always_valid(5.0, 0.1, 2000, smaller=[99, 100])
    assert uneven.status.tolist() == ["not_enough_data", "ok"]


def test_an_unknown_error_has_no_always_valid_interval() -> None:
    got = always_valid([0.1, 0.1], [np.nan, 0.0], 1000, n_opt=100)
    assert np.isnan(got.half_width).all()
    assert np.isnan(got.p_value).all()
    assert got.status.tolist() == ["degenerate", "degenerate"]


def test_an_always_valid_interval_is_wider_than_a_single_look() -> None:
    got = always_valid(0.1, 0.0447, 2000, n_opt=2000)
    assert float(got.half_width) > 1.96 * 0.0447
    assert 0.025 < float(got.p_value) <= 1


def test_the_boundary_and_the_sequence_are_one_formula() -> None:
    units = np.array([300, 5000, 10**9])
    sequence = always_valid(0.02, 0.01, units, alpha=0.01, n_opt=700)
    boundary = AlwaysValid(units, 0.01, optimised_for=700)
    assert sequence.half_width == pytest.approx(boundary.critical * 0.01)
    assert sequence.p_value == pytest.approx(boundary.repeated_p(2 * norm.sf(2.0)))


def test_the_running_p_value_never_rises_and_skips_what_is_unknown() -> None:
    found = running_p([[0.5, np.nan, 0.7, 0.2, 0.9], [np.nan, 0.1, 0.3, 0.05, 1.0]])
    assert found[0].tolist() == [0.5, 0.5, 0.5, 0.2, 0.2]
    assert np.isnan(found[1, 0])
    assert found[1, 1:].tolist() == [0.1, 0.1, 0.05, 0.05]


LOOKS, STEP, RUNS = 1000, 5, 400


def correlated(seed: int) -> np.ndarray:
    """Draw running sums of (y, x, yy, xx, xy, 1), shape (run, arm, look, 6)."""
    dice = np.random.default_rng(seed)
    x = dice.gamma(2.0, 1.0, (RUNS, 2, LOOKS * STEP)).astype(np.float32)
    y = 0.5 * x + dice.gamma(1.0, 1.0, x.shape).astype(np.float32)
    rows = np.stack([y, x, y * y, x * x, x * y, np.ones_like(x)], axis=-1)
    batches = rows.reshape(RUNS, 2, LOOKS, STEP, 6).sum(axis=3, dtype=np.float64)
    return np.asarray(batches.cumsum(axis=2))


@pytest.fixture(scope="module")
def looks() -> CrossMoments:
    y, x, yy, xx, xy, n = np.moveaxis(correlated(12), -1, 0)
    return CrossMoments.from_power_sums(n, y, x, yy, xx, xy)


def ever(
    estimate: np.ndarray, error: np.ndarray, n: np.ndarray, **how: object
) -> float:
    found = always_valid(estimate, error, n, **how)  # type: ignore[arg-type]  # by name
    carried = running_p(found.p_value)
    assert (np.diff(carried) <= 0).all()
    return float((carried[:, -1] < 0.05).mean())


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("kind", ["ratio", "covariate"])
def test_a_thousand_looks_err_in_no_more_than_alpha_of_experiments(
    looks: CrossMoments, kind: str, *, one_sided: bool
) -> None:
    """400 experiments without an effect: differences of ratios and of CUPED means."""
    n = looks.count.sum(axis=1)
    if kind == "ratio":
        found = ratio_difference(looks[:, 0], looks[:, 1])
    else:
        joint: JointMoments = CrossMoments(
            *(np.moveaxis(getattr(looks, f), 1, -1) for f in looks.__slots__)
        ).joint()
        found = adjusted_difference(adjust(joint))
    wrong = ever(found.estimate, found.standard_error, n, one_sided=one_sided)
    # At most alpha, and the 99.99 % binomial band above it for 400 runs.
    assert wrong <= 0.05
    peeked = np.abs(found.estimate / found.standard_error)[:, 40:] > 1.96
    assert peeked.any(axis=1).mean() > 0.2
