"""The best of several treatments and their control."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats

from experiments.statistics.aggregates import Moments
from experiments.statistics.bayesian import NormalPrior, posterior
from experiments.statistics.best_variant import best_variant, shared_error
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.relative import fieller


def arm(count: ArrayLike, mean: ArrayLike, variance: ArrayLike = 1.0) -> Moments:
    n, m, v = np.broadcast_arrays(count, mean, variance)
    return Moments(n, m, v * (n - 1.0), np.full(n.shape, np.nan))


CONTROL = arm(1000.0, 1.0)
TREATMENTS = arm([1000.0, 500.0, 300.0], [1.02, 1.03, 0.98])
EFFECTS = welch(CONTROL, TREATMENTS)
SHARED = shared_error(CONTROL, EFFECTS)


def exact(effects: Comparison, shared: FloatArray, sign: float) -> FloatArray:
    """Chances to be best: orthant probabilities of the joint posterior, flat prior."""
    own = np.diag(effects.standard_error**2 - shared**2)
    covariance = np.zeros((4, 4))
    covariance[1:, 1:] = own + np.outer(shared, shared)
    mean = sign * np.concatenate([[0.0], effects.estimate])
    chances = []
    for best in range(4):
        gaps = np.delete(np.eye(4) - np.eye(4)[best], best, axis=0)
        chance = stats.multivariate_normal.cdf(
            np.zeros(3),
            gaps @ mean,
            gaps @ covariance @ gaps.T,
            abseps=1e-6,
            releps=1e-6,
            rng=np.random.default_rng(best),
        )
        chances.append(float(chance))
    return np.array(chances)


@pytest.mark.parametrize(("direction", "sign"), [("increase", 1.0), ("decrease", -1.0)])
def test_chances_equal_orthant_probabilities(direction: str, sign: float) -> None:
    result = best_variant(EFFECTS, SHARED, direction=direction)  # type: ignore[arg-type]  # a name
    np.testing.assert_allclose(
        result.probability_best, exact(EFFECTS, SHARED, sign), atol=1e-5
    )
    assert float(result.probability_best.sum()) == pytest.approx(1.0, abs=1e-9)


def test_losses_and_chances_equal_a_large_simulation_with_a_prior() -> None:
    """The joint posterior by plain linear algebra, then two million draws."""
    prior = NormalPrior(0.02, 0.05)
    result = best_variant(EFFECTS, SHARED, prior)
    noise = np.diag(EFFECTS.standard_error**2 - SHARED**2) + np.outer(SHARED, SHARED)
    precision = np.linalg.inv(noise) + np.eye(3) * prior.precision
    covariance = np.linalg.inv(precision)
    pulled = np.linalg.solve(noise, EFFECTS.estimate) + prior.precision * prior.mean
    mean = covariance @ pulled
    np.testing.assert_allclose(result.estimate[1:], mean, rtol=1e-12)
    np.testing.assert_allclose(
        result.standard_error[1:], np.sqrt(np.diag(covariance)), rtol=1e-12
    )
    draws = np.random.default_rng(1).multivariate_normal(mean, covariance, 500_000)
    draws = np.concatenate([np.zeros((len(draws), 1)), draws], axis=1)
    lost = (draws.max(axis=1, keepdims=True) - draws).mean(axis=0)
    np.testing.assert_allclose(result.expected_loss, lost, rtol=0.01)
    share = np.bincount(draws.argmax(axis=1)) / len(draws)
    np.testing.assert_allclose(result.probability_best, share, atol=0.003)


def test_one_treatment_gives_the_closed_form() -> None:
    table = fieller(arm([1000.0], [1.0]), arm([700.0], [1.05]))
    alone = posterior(table, NormalPrior(0.0, 0.1))
    result = best_variant(
        table, shared_error(CONTROL, table), NormalPrior(0.0, 0.1), direction="increase"
    )
    assert float(result.probability_best[1]) == pytest.approx(
        float(alone.probability_better[0]), abs=1e-9
    )
    assert float(result.probability_better[1]) == pytest.approx(
        float(alone.probability_better[0]), abs=1e-12
    )
    assert float(result.expected_loss[1]) == pytest.approx(
        float(alone.expected_loss[0])
    )
    assert float(result.expected_loss[0]) == pytest.approx(
        float(alone.control_expected_loss[0])
    )
    np.testing.assert_array_equal(result.relative_loss, result.expected_loss)


def test_chances_of_the_best_are_calibrated_when_truth_comes_from_the_prior() -> None:
    generator = np.random.default_rng(2)
    truth = generator.normal(0.0, 0.05, (4000, 2))
    means = generator.standard_normal((4000, 3)) / np.sqrt(500)
    control = arm(500.0, 1 + means[:, 0])
    treatments = arm(500.0, 1 + truth + means[:, 1:])
    table = welch(control[:, None], treatments)
    result = best_variant(table, shared_error(control, table), NormalPrior(0.0, 0.05))
    real = np.concatenate([np.zeros((4000, 1)), truth], axis=1)
    chosen = result.probability_best.argmax(axis=1)
    won = float((chosen == real.argmax(axis=1)).mean())
    said = float(result.probability_best.max(axis=1).mean())
    assert won == pytest.approx(said, abs=0.02)
    lost = (real.max(axis=1) - real[np.arange(4000), chosen]).mean()
    expected = result.expected_loss[np.arange(4000), chosen].mean()
    assert float(lost) == pytest.approx(float(expected), rel=0.1)


def test_a_treatment_without_units_is_left_out_and_marked() -> None:
    table = welch(CONTROL, arm([1000.0, 500.0, 300.0, 0.0], [1.02, 1.03, 0.98, 0.0]))
    result = best_variant(table, shared_error(CONTROL, table))
    whole = best_variant(EFFECTS, SHARED)
    np.testing.assert_allclose(result.probability_best[:4], whole.probability_best)
    assert np.isnan(result.probability_best[4])
    assert result.status[4] == Status.NOT_ENOUGH_DATA
    assert result.status[0] == Status.OK
    nobody = best_variant(EFFECTS, np.full(3, 99.0))
    assert np.isnan(nobody.expected_loss).all()
    assert nobody.status[0] == Status.NOT_ENOUGH_DATA


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.floats(-30, 30), st.floats(0.03, 30)), min_size=1, max_size=4
    ),
    st.floats(0.0, 5.0),
)
def test_chances_sum_to_one_and_losses_differ_by_the_means(
    treatments: list[tuple[float, float]], shared: float
) -> None:
    estimate, own = np.array(treatments).T
    n = 1e6
    table = welch(arm(n, 0.0, shared**2 * n), arm(n, estimate, own**2 * n))
    result = best_variant(table, shared)
    assert float(result.probability_best.sum()) == pytest.approx(1.0, abs=1e-3)
    assert (result.expected_loss >= 0).all()
    gap = result.expected_loss + result.estimate
    np.testing.assert_allclose(gap, gap[0], rtol=1e-3, atol=1e-3)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match="an axis of treatments"):
        best_variant(welch(CONTROL, arm(10.0, 1.0)), 0.1)
    with pytest.raises(StatisticsError, match="shared must be >= 0, got -1"):
        best_variant(EFFECTS, [-1.0, 0.0, 0.0])
    with pytest.raises(StatisticsError, match="shapes do not fit"):
        best_variant(EFFECTS, [0.0, 0.0])
