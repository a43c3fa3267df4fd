"""Past winners, shrunk: smaller, on the same side, and honest about it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from experiments.statistics.comparison import Status
from experiments.statistics.numeric import StatisticsError
from experiments.statistics.winners_curse import (
    Prior,
    given_selection,
    prior_from,
    shrunk,
)


def test_a_stated_prior_gives_the_normal_posterior() -> None:
    result = shrunk(0.3, 0.1, Prior(0.04))
    kept = 0.04 / (0.04 + 0.01)
    assert float(result.estimate) == pytest.approx(0.3 * kept)
    assert float(result.standard_error) == pytest.approx((0.01 * kept) ** 0.5)
    assert float(result.kept) == pytest.approx(kept)


def test_the_prior_is_the_spread_that_explains_the_history() -> None:
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.5, 1.5, 4000)
    estimates = rng.normal(0, np.sqrt(errors**2 + 0.64))
    prior = prior_from(estimates, errors)
    assert prior.experiments == 4000
    assert prior.variance == pytest.approx(0.64, abs=0.06)
    balance = (estimates**2 / (errors**2 + prior.variance)).sum()
    assert balance == pytest.approx(4000, rel=1e-9)
    # A history in another unit gives the same prior in that unit.
    tiny = prior_from(1e-6 * estimates, 1e-6 * errors)
    assert tiny.variance == pytest.approx(1e-12 * prior.variance)
    assert prior_from(0.1 * errors, errors).variance == 0.0


@pytest.mark.parametrize(("spread", "history"), [(0.5, 20), (1.0, 200), (2.0, 10)])
def test_shrunk_winners_are_unbiased_and_covered(spread: float, history: int) -> None:
    rng, missed, gap, raw = np.random.default_rng(history), 0, [], []
    for _ in range(1200):
        errors = rng.uniform(0.5, 1.5, history + 1)
        truth = rng.normal(0, spread, history + 1)
        estimates = rng.normal(truth, errors)
        found = shrunk(estimates[0], errors[0], prior_from(estimates[1:], errors[1:]))
        missed += not float(found.lower) <= truth[0] <= float(found.upper)
        if abs(estimates[0]) > 1.3 * errors[0]:
            side = np.sign(estimates[0])
            gap.append(side * (float(found.estimate) - truth[0]))
            raw.append(side * (estimates[0] - truth[0]))
    assert 0.03 <= missed / 1200 <= 0.07
    assert np.mean(raw) > 0.25
    assert abs(np.mean(gap)) < 0.45 * np.mean(raw)


def test_a_short_history_says_so() -> None:
    few = shrunk(1.0, 0.2, prior_from([1.0, 2.0], [1.0, 1.0]))
    assert few.status == Status.NOT_ENOUGH_DATA
    assert np.isnan(few.lower)
    assert prior_from([], []).experiments == 0
    assert prior_from([np.nan, 1.0], [1.0, 0.0]).experiments == 0
    # Noise explains everything: nearly all is taken off, but not the doubt.
    calm = shrunk(0.5, 1.0, prior_from(np.full(20, 0.1), np.ones(20)))
    assert float(calm.kept) == pytest.approx(2 / 20)
    assert float(calm.upper - calm.lower) > 0.5


def test_the_conditional_estimate_is_the_most_likely_effect() -> None:
    cut = stats.norm.isf(0.025)
    for z in (2.0, 2.3, 3.0, 6.0):

        def surprise(effect: float, z: float = z) -> float:
            passed = stats.norm.sf(cut - effect) + stats.norm.cdf(-cut - effect)
            return float(np.log(passed) - stats.norm.logpdf(z - effect))

        wanted = optimize.minimize_scalar(surprise, bounds=(0, z), method="bounded").x
        found = given_selection(2 * z, 2.0)
        assert float(found.estimate) == pytest.approx(2 * wanted, abs=1e-4)
        mirror = given_selection(-2 * z, 2.0)
        assert float(mirror.estimate) == pytest.approx(-float(found.estimate))
        assert float(mirror.lower) == pytest.approx(-float(found.upper))


@pytest.mark.parametrize("truth", [0.0, 0.5, 2.0, -1.0, 4.0])
def test_the_conditional_interval_covers_selected_effects(truth: float) -> None:
    z = np.random.default_rng(7).normal(truth, 1.0, 100_000)
    chosen = z[np.abs(z) > stats.norm.isf(0.025)][:4000]
    found = given_selection(chosen, 1.0)
    missed = (found.lower > truth) | (found.upper < truth)
    assert 0.035 <= float(missed.mean()) <= 0.065
    inside = (found.lower <= found.estimate) & (found.estimate <= found.upper)
    assert inside.all()
    plain = (np.abs(chosen - truth) > stats.norm.isf(0.025)).mean()
    if truth <= 0.5:
        assert plain > 0.1


def test_an_experiment_that_was_not_chosen_needs_no_correction() -> None:
    found = given_selection([1.0, 5.0, np.nan], [1.0, 1.0, 1.0])
    assert found.status.tolist() == [
        Status.NOT_SELECTED,
        Status.OK,
        Status.DEGENERATE,
    ]
    assert np.isnan(found.estimate[0])


@settings(deadline=None)
@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1e9),
    st.one_of(st.just(np.inf), st.integers(0, 50).map(float)),
)
def test_no_correction_enlarges_or_flips_an_effect(
    estimate: float, error: float, variance: float, history: float
) -> None:
    for found in (
        shrunk(estimate, error, Prior(variance, history)),
        given_selection(estimate, error),
    ):
        if found.status == Status.OK:
            assert abs(float(found.estimate)) <= abs(estimate) * (1 + 1e-12)
            assert float(found.estimate) * estimate >= 0
            assert np.isfinite([found.lower, found.upper]).all()
            slack = 1e-9 * error
            assert found.lower - slack <= found.estimate <= found.upper + slack
            assert -1e-12 <= float(found.kept) <= 1 + 1e-12
        else:
            assert np.isnan(found.lower)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match="alpha must lie in"):
        shrunk(1.0, 1.0, Prior(1.0), alpha=0.0)
    with pytest.raises(StatisticsError, match=r"prior\.variance must be >= 0, got -1"):
        shrunk(1.0, 1.0, Prior(-1.0))
    with pytest.raises(StatisticsError, match="selection_alpha must lie in"):
        given_selection(1.0, 1.0, selection_alpha=2.0)
    with pytest.raises(StatisticsError, match="estimates must have shape"):
        prior_from([[1.0]], [[1.0]])
