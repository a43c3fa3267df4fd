"""Going on or not: published factors and simulated continuations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.aggregates import Moments
from experiments.statistics.always_valid import AlwaysValid
from experiments.statistics.mid_experiment import conditional_power, extra_traffic
from experiments.statistics.numeric import StatisticsError, normal_tail
from experiments.statistics.power import Design, Metric, sample_size
from experiments.statistics.sequential import Look, boundaries

CONTROL = Moments.from_power_sums(500, 500, 1500)
TREATMENT = Moments.from_power_sums(500, 525, 1551.25)
LIFT = 0.05
# gbstats takes the linear delta form at the effect looked for.
ERROR = np.sqrt(TREATMENT.standard_error2 + CONTROL.standard_error2 * (1 + LIFT) ** 2)


def test_extra_traffic_equals_growthbooks_mid_experiment_power() -> None:
    """25.4570, 55.6680 and 13.9404 there, by a search that stops 2e-5 off."""
    assert float(extra_traffic(LIFT, ERROR)) == pytest.approx(25.4565, abs=5e-5)
    watched = extra_traffic(
        LIFT,
        ERROR,
        critical_at=lambda times: (
            AlwaysValid(1000 * times, 0.05, optimised_for=5000).critical
        ),
    )
    assert float(watched) == pytest.approx(55.6680, rel=2e-5)
    bayes = extra_traffic(LIFT, ERROR, prior=(0.05, 0.001))
    assert float(bayes) == pytest.approx(13.9404, rel=2e-5)


def test_extra_traffic_is_the_sample_size_from_where_one_stands() -> None:
    metric = Metric(CONTROL.mean, CONTROL.variance)
    total = sample_size(metric, Design(), LIFT)
    plain = np.sqrt(CONTROL.standard_error2 + TREATMENT.standard_error2)
    factor = extra_traffic(LIFT * CONTROL.mean, plain)
    assert 1000 * (1 + float(factor)) == pytest.approx(float(total), rel=1e-3)


def test_enough_is_zero_and_never_is_infinite() -> None:
    found = extra_traffic([1.0, -1.0, 0.0, np.nan], 0.1)
    assert found[:3].tolist() == [0, 0, np.inf]
    assert np.isnan(found[3])


@given(st.floats(0.01, 3), st.floats(0.001, 1), st.floats(0.5, 0.95))
def test_extra_traffic_scales_with_the_squared_noise(
    effect: float, error: float, power: float
) -> None:
    one, two = extra_traffic(effect, np.array([error, 2 * error]), power=power)
    if np.isfinite(two) and one > 0:
        assert (1 + two) / (1 + one) == pytest.approx(4, rel=1e-6)
    mirrored = extra_traffic(-effect, error, power=power, prior=(-0.1, 0.05))
    ahead = extra_traffic(effect, error, power=power, prior=(0.1, 0.05))
    assert float(mirrored) == pytest.approx(float(ahead), rel=1e-6, abs=1e-9)


def test_one_look_to_come_is_the_textbook_formula() -> None:
    """Lachin 2005: Phi(b - c / root(1 - t)) with the B-value so far."""
    look, z, drift = Look((0.5,), 0.05), np.array([0.0, 1.0, 2.0]), 3.0
    critical = boundaries((0.5, 1.0), 0.05)[-1]
    expected = normal_tail((critical - z * 0.5**0.5 - drift * 0.5) / 0.5**0.5)
    assert conditional_power(z, look, (1.0,), drift=drift) == pytest.approx(expected)
    trend = normal_tail((critical - z * 0.5**0.5 - z * 0.5**0.5) / 0.5**0.5)
    assert conditional_power(z, look, (1.0,)) == pytest.approx(trend)


def test_several_looks_to_come_equal_a_simulation() -> None:
    """200,000 continuations from z = 1.2 at 40 %; 99.99 % band."""
    look, drift, remaining = Look((0.2, 0.4), 0.05), 2.5, (0.7, 1.0)
    found = float(conditional_power(1.2, look, remaining, drift=drift))
    bounds = boundaries((0.2, 0.4, 0.7, 1.0), 0.05)[2:]
    steps = np.random.default_rng(31).standard_normal((200_000, 2)) * 0.3**0.5
    score = 1.2 * 0.4**0.5 + (steps + drift * 0.3).cumsum(axis=1)
    crossed = (score / np.sqrt(remaining) > bounds).any(axis=1).mean()
    assert found == pytest.approx(float(crossed), abs=0.0044)


def test_an_overpowered_design_stays_finite() -> None:
    found = conditional_power([-3.0, 4.0], Look((0.5,), 0.05), (0.8, 1.0), drift=50.0)
    assert found == pytest.approx([1.0, 1.0])


def test_wrong_arguments_name_themselves() -> None:
    look = Look((0.5,), 0.05)
    with pytest.raises(StatisticsError, match=r"remaining must rise from above 0\.5"):
        conditional_power(1.0, look, (0.5, 1.0))
    with pytest.raises(StatisticsError, match=r"remaining must rise from above 0\.5"):
        conditional_power(1.0, look, ())
    with pytest.raises(StatisticsError, match=r"alpha must lie in \(0, 1\)"):
        extra_traffic(0.1, 0.1, alpha=2)
    with pytest.raises(StatisticsError, match="variance of the prior must be above 0"):
        extra_traffic(0.1, 0.1, prior=(0.0, 0.0))
