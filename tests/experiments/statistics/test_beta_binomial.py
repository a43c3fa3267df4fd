"""Bayesian proportions by quadrature."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from experiments.statistics.bayesian import NOT_PEEKING_PROOF
from experiments.statistics.beta_binomial import beta_binomial
from experiments.statistics.comparison import Status
from experiments.statistics.numeric import StatisticsError


def closed_form(x: tuple[int, int], n: tuple[int, int]) -> float:
    """Miller (2015): P(p_B > p_A) as a finite sum, uniform priors."""
    a, b = x[0] + 1, n[0] - x[0] + 1
    c, d = x[1] + 1, n[1] - x[1] + 1
    i = np.arange(c)
    log = special.betaln(a + i, b + d) - np.log(d + i) - special.betaln(1 + i, d)
    return float(np.exp(log - special.betaln(a, b)).sum())


@pytest.mark.parametrize(
    ("events", "units"),
    [
        ((120, 140), (1000, 1000)),
        ((0, 3), (20, 25)),
        ((0, 0), (5, 9)),
        ((5, 50), (1000, 1000)),
        ((50, 5), (10_000, 1000)),
    ],
)
def test_the_chance_equals_the_closed_form(
    events: tuple[int, int], units: tuple[int, int]
) -> None:
    result = beta_binomial(events, units)
    wanted = closed_form(events, units)
    assert float(result.probability_best[1]) == pytest.approx(wanted, rel=1e-9)
    assert float(result.probability_better[1]) == pytest.approx(wanted, rel=1e-9)
    assert np.isnan(result.probability_better[0])
    assert result.label == NOT_PEEKING_PROOF


@pytest.mark.parametrize("direction", ["increase", "decrease"])
def test_four_variants_equal_a_large_simulation(direction: str) -> None:
    x, n = np.array([20, 25, 22, 9]), np.array([200, 220, 190, 100])
    result = beta_binomial(x, n, direction=direction, prior=(0.5, 0.5))  # type: ignore[arg-type]  # a name
    draws = np.random.default_rng(1).beta(x + 0.5, n - x + 0.5, (400_000, 4))
    good = draws if direction == "increase" else -draws
    lost = good.max(axis=1, keepdims=True) - good
    share = np.bincount(good.argmax(axis=1)) / len(good)
    np.testing.assert_allclose(result.probability_best, share, atol=0.003)
    np.testing.assert_allclose(result.expected_loss, lost.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(
        result.relative_loss, (lost / draws[:, :1]).mean(axis=0), rtol=0.01
    )
    np.testing.assert_allclose(
        result.probability_better[1:],
        (good > good[:, :1]).mean(axis=0)[1:],
        atol=0.003,
    )


def test_credible_intervals_are_those_of_the_beta_distribution() -> None:
    result = beta_binomial([49, 51], [100, 100], alpha=0.1)
    lower, upper = stats.beta(50, 52).interval(0.9)
    assert (float(result.lower[0]), float(result.upper[0])) == pytest.approx(
        (lower, upper)
    )
    assert float(result.standard_error[0]) == pytest.approx(stats.beta(50, 52).std())


@pytest.mark.parametrize("units", [10**4, 10**6, 10**10])
def test_digits_survive_any_number_of_units(units: int) -> None:
    more = int(0.4 * units**0.5)
    result = beta_binomial([units // 10, units // 10 + more], [units, units])
    z = more / units / np.sqrt(2 * 0.09 / units)
    limit = float(stats.norm.cdf(z))
    assert float(result.probability_best[1]) == pytest.approx(
        limit, abs=0.3 / units**0.5
    )
    assert float(result.probability_best.sum()) == pytest.approx(1.0, abs=1e-6)


def test_chances_are_calibrated_when_the_truth_comes_from_the_prior() -> None:
    generator = np.random.default_rng(2)
    truth = generator.beta(3, 30, (2000, 3))
    events = generator.binomial(300, truth)
    result = beta_binomial(events, 300, prior=(3, 30))
    chosen = result.probability_best.argmax(axis=-1)
    won = float((chosen == truth.argmax(axis=-1)).mean())
    assert won == pytest.approx(
        float(result.probability_best.max(axis=-1).mean()), abs=0.02
    )
    lost = truth.max(axis=-1) - truth[np.arange(2000), chosen]
    said = result.expected_loss[np.arange(2000), chosen]
    assert float(lost.mean()) == pytest.approx(float(said.mean()), rel=0.1)


def test_a_control_without_events_has_no_relative_loss_and_no_width_of_zero() -> None:
    result = beta_binomial([0, 5], [200, 200])
    assert np.isnan(result.relative_loss).all()
    assert np.isfinite(result.expected_loss).all()
    assert float(result.upper[0]) > 0.01


def test_a_variant_without_units_is_left_out_and_marked() -> None:
    result = beta_binomial([[20, 0, 30], [0, 3, 4]], [[100, 0, 100], [0, 10, 10]])
    pair = beta_binomial([20, 30], [100, 100])
    np.testing.assert_allclose(
        result.probability_best[0, [0, 2]], pair.probability_best, rtol=1e-9
    )
    assert result.status[0, 1] == Status.NOT_ENOUGH_DATA
    assert np.isnan(result.expected_loss[0, 1])
    assert np.isnan(result.probability_better[1]).all()
    assert float(np.nansum(result.probability_best[1])) == pytest.approx(1.0)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 7, 1000, 10**9]), st.sampled_from([0, 1, 50, 10**8])
        ),
        min_size=2,
        max_size=5,
    ),
    st.sampled_from(["increase", "decrease"]),
)
def test_chances_sum_to_one_and_losses_differ_by_the_means(
    table: list[tuple[int, int]], direction: str
) -> None:
    events, others = np.array(table).T
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = beta_binomial(events, events + others, direction=direction)  # type: ignore[arg-type]  # a name
    there = events + others > 0
    if there.any():
        assert float(result.probability_best[there].sum()) == pytest.approx(
            1.0, abs=1e-6
        )
        sign = 1.0 if direction == "increase" else -1.0
        gap = (result.expected_loss + sign * result.estimate)[there]
        np.testing.assert_allclose(gap, gap[0], atol=1e-8)
    assert np.isnan(result.expected_loss[~there]).all()


def test_a_hundred_cells_of_four_variants_take_less_than_a_second() -> None:
    start = time.process_time()
    beta_binomial(np.tile([20, 25, 22, 9], (100, 1)), 250)
    assert time.process_time() - start < 1.0


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match="two variants or more"):
        beta_binomial([1], [2])
    with pytest.raises(StatisticsError, match=r"events must be <= units \(2\), got 3"):
        beta_binomial([1, 3], [2, 2])
    with pytest.raises(StatisticsError, match="events must be finite and >= 0"):
        beta_binomial([-1, 3], [2, 4])
    with pytest.raises(StatisticsError, match="prior must lie in"):
        beta_binomial([1, 2], [2, 4], prior=(0.0, 1.0))
    with pytest.raises(StatisticsError, match="prior must hold two"):
        beta_binomial([1, 2], [2, 4], prior=(1.0, 1.0, 1.0))  # type: ignore[arg-type]  # wrong
    with pytest.raises(StatisticsError, match="alpha must lie in"):
        beta_binomial([1, 2], [2, 4], alpha=0.0)
    with pytest.raises(StatisticsError, match="direction must be"):
        beta_binomial([1, 2], [2, 4], direction="up")  # type: ignore[arg-type]  # wrong
