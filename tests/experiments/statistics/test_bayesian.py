"""Bayesian posteriors of one treatment, and priors from past experiments."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from experiments.statistics.aggregates import Moments
from experiments.statistics.bayesian import (
    NOT_PEEKING_PROOF,
    NormalPrior,
    posterior,
    shortfall,
)
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.relative import delta, fieller


def proportion(events: int, units: int) -> Moments:
    p = events / units
    m2 = p * (1 - p) * (units - 1)
    return Moments(*map(np.asarray, (float(units), p, m2, np.nan)))


def effect(estimate: FloatArray, error: FloatArray) -> Comparison:
    table = welch(proportion(1, 2), proportion(1, 2))
    return replace(
        table,
        estimate=np.asarray(estimate),
        standard_error=np.asarray(error),
        status=np.full(np.shape(estimate), Status.OK, dtype=object),
    )


def test_a_flat_prior_gives_the_growthbook_reference() -> None:
    result = posterior(delta(proportion(49, 100), proportion(51, 100)))
    got = (
        result.estimate,
        result.standard_error,
        result.lower,
        result.upper,
        result.probability_better,
        result.control_expected_loss,
        result.expected_loss,
    )
    wanted = (0.04082, 0.14725, -0.24779, 0.32943, 0.60918, 0.0814, 0.04058)
    assert tuple(map(float, got)) == pytest.approx(wanted, abs=5.1e-6)
    assert result.label == NOT_PEEKING_PROOF
    assert "flat" in result.method


def test_a_stated_prior_gives_the_growthbook_reference() -> None:
    control = Moments.from_power_sums(10, 100, 1002.25)
    treatment = Moments.from_power_sums(10, 105, 1111.5)
    result = posterior(delta(control, treatment), NormalPrior(0.1, 0.1**0.5))
    got = (result.estimate, result.lower, result.upper, result.probability_better)
    assert tuple(map(float, got)) == pytest.approx(
        (0.05063, -0.01893, 0.12019, 0.92315), abs=5.1e-6
    )
    assert "0.1 +- 0.316228" in result.method


def test_where_less_is_better_chances_and_losses_change_sides() -> None:
    table = fieller(proportion(49, 100), proportion(51, 100))
    more, less = (posterior(table, direction=d) for d in ("increase", "decrease"))
    total = more.probability_better + less.probability_better
    assert float(total) == pytest.approx(1.0)
    assert float(more.expected_loss) == pytest.approx(float(less.control_expected_loss))
    assert float(more.estimate) == float(less.estimate)


@pytest.mark.parametrize("z", [-3.0, 0.0, 1.0, 5.0, 30.0])
def test_the_shortfall_equals_its_integral_far_into_the_tail(z: float) -> None:
    def integrand(x: float) -> float:
        return float(x * np.exp(-(x * x) / 2 - x * z))

    tail = integrate.quad(integrand, 0, 60 if z > -1 else 40)[0]
    wanted = tail * stats.norm.pdf(z)
    assert float(shortfall(np.asarray(z))) == pytest.approx(wanted, rel=1e-7)


def test_chances_are_calibrated_when_the_truth_comes_from_the_prior() -> None:
    generator = np.random.default_rng(1)
    truth = generator.normal(0.01, 0.03, 100_000)
    error = generator.uniform(0.01, 0.06, truth.size)
    measured = truth + error * generator.standard_normal(truth.size)
    result = posterior(effect(measured, error), NormalPrior(0.01, 0.03))
    for low in np.arange(0.05, 0.95, 0.1):
        said = result.probability_better
        chosen = (said > low) & (said <= low + 0.1)
        share = float((truth[chosen] > 0).mean())
        assert share == pytest.approx(float(said[chosen].mean()), abs=0.02)
    inside = (result.lower < truth) & (truth < result.upper)
    assert float(inside.mean()) == pytest.approx(0.95, abs=0.005)
    loss = np.maximum(-truth, 0).mean()
    assert float(result.expected_loss.mean()) == pytest.approx(float(loss), rel=0.02)


def test_peeking_at_a_flat_posterior_errs_far_more_often_than_it_says() -> None:
    """Why the label is there: 20 looks at an A/A test, stop at 97.5 %."""
    paths = np.random.default_rng(2).standard_normal((2000, 20)).cumsum(axis=1)
    looks = np.arange(1, 21)
    result = posterior(
        effect(paths / looks, 1 / np.sqrt(np.broadcast_to(looks, (2000, 20))))
    )
    assert float((result.probability_better > 0.975).any(axis=1).mean()) > 0.1


@pytest.mark.parametrize("method", ["marginal_likelihood", "moments"])
def test_a_prior_may_be_centred_where_one_likes(method: str) -> None:
    generator = np.random.default_rng(4)
    error = generator.uniform(0.01, 0.03, 400)
    past = generator.normal(0.0, np.hypot(0.02, error))
    prior = NormalPrior.from_experiments(past, error, method=method, centre=0.0)  # type: ignore[arg-type]  # a name
    assert prior.mean == 0.0
    assert prior.standard_deviation == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("method", ["marginal_likelihood", "moments"])
def test_a_prior_is_learnt_from_past_experiments(method: str) -> None:
    generator = np.random.default_rng(3)
    error = generator.uniform(0.01, 0.03, 400)
    truth = generator.normal(0.005, 0.02, 400)
    past = truth + error * generator.standard_normal(400)
    prior = NormalPrior.from_experiments(past, error, method=method)  # type: ignore[arg-type]  # a name
    assert prior.mean == pytest.approx(0.005, abs=0.004)
    assert prior.standard_deviation == pytest.approx(0.02, rel=0.1)
    assert prior.source.startswith("400 past experiments")
    shrunk = posterior(effect(past, error), prior)
    assert float(((shrunk.estimate - truth) ** 2).mean()) < float(
        0.75 * ((past - truth) ** 2).mean()
    )


def test_the_learnt_spread_maximises_the_integrated_likelihood() -> None:
    past = np.array([0.02, -0.01, 0.03, 0.005, 0.0, 0.04])
    error = np.array([0.01, 0.012, 0.02, 0.008, 0.015, 0.02])

    def log_likelihood(spread: float) -> float:
        def integrand(mean: float) -> float:
            each = stats.norm.pdf(past, mean, np.hypot(error, spread))
            return float(each.prod() * 1e-6)

        return float(np.log(integrate.quad(integrand, -0.2, 0.2, points=[0.01])[0]))

    best = NormalPrior.from_experiments(past, error).standard_deviation
    peak = log_likelihood(best) + np.log(best)
    for other in (0.97 * best, 1.03 * best):
        assert log_likelihood(other) + np.log(other) < peak


def test_a_history_without_spread_never_gives_a_prior_of_none() -> None:
    prior = NormalPrior.from_experiments([0.01] * 6, [0.02] * 6)
    assert 0.001 < prior.standard_deviation < 0.02
    with pytest.raises(StatisticsError, match="standard_deviation must be > 0"):
        NormalPrior.from_experiments([0.01] * 6, [0.02] * 6, method="moments")


odd = st.sampled_from([0.0, 1.0, -2.0, 1e-300, 1e300, np.inf, -np.inf, np.nan])


@settings(deadline=None)
@given(odd, odd, st.sampled_from([np.inf, 1e-9, 2.0]))
def test_every_figure_is_finite_or_marked_and_nothing_warns(
    estimate: float, error: float, spread: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = posterior(
            effect(np.asarray(estimate), np.asarray(abs(error))), NormalPrior(0, spread)
        )
    figures = (result.estimate, result.probability_better, result.expected_loss)
    assert np.isfinite(figures).all() or result.status == Status.DEGENERATE


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match="mean must be finite, got nan"):
        NormalPrior(float("nan"))
    with pytest.raises(StatisticsError, match=">= 5 usable experiments, got 1"):
        NormalPrior.from_experiments([0.1, np.nan], [0.1, 0.1])
    with pytest.raises(StatisticsError, match="method must be"):
        NormalPrior.from_experiments([0.1] * 5, [0.1] * 5, method="ml")  # type: ignore[arg-type]  # wrong
    with pytest.raises(StatisticsError, match="direction must be"):
        posterior(effect(np.zeros(1), np.ones(1)), direction="up")  # type: ignore[arg-type]  # wrong
