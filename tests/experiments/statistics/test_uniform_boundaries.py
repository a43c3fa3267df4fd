"""Time-uniform boundaries: the published figures, and how often they are crossed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.numeric import StatisticsError
from experiments.statistics.uniform_boundaries import (
    Mixture,
    beta_binomial,
    boundary,
    gamma_exponential,
    gamma_poisson,
    polynomial_stitching,
)


def at(mixture: Mixture, s: float, v: float) -> float:
    return float(mixture(np.asarray(s), np.asarray(v)))


@pytest.mark.parametrize(
    ("mixture", "log", "bound"),
    [
        (gamma_exponential(100, 2.0), -0.2490165, 33.02017),
        (gamma_poisson(100, 2.0), -0.06991219, 30.1949),
        (beta_binomial(100, 0.2, 0.8), -0.6941012, 31.4308),
    ],
    ids=["gamma-exponential", "gamma-Poisson", "beta-binomial"],
)
def test_the_mixtures_have_the_reference_values(
    mixture: Mixture, log: float, bound: float
) -> None:
    """Case 10: tightest at v = 100 and alpha = .05, seen at s = 10, v = 100."""
    assert at(mixture, 10, 100) == pytest.approx(log, rel=1e-6)
    assert float(boundary(mixture, 100)) == pytest.approx(bound, rel=1e-6)


def test_the_stitched_boundary_has_the_reference_value() -> None:
    found = polynomial_stitching(100, alpha=0.05, v_min=10, c=3)
    assert float(found) == pytest.approx(64.48755, rel=1e-7)


def test_coins_hardly_ever_cross_the_beta_binomial_boundary() -> None:
    rng = np.random.default_rng(7)
    for share in (0.05, 0.5):
        flips = (rng.random((2_000, 1_000)) < share) - share
        sums = flips.cumsum(axis=1)
        time = np.asarray(share * (1 - share) * np.arange(1.0, 1_001))
        limit = boundary(beta_binomial(50 * share, share, 1 - share), time)
        # Two-sided: the mixture is above 1 / alpha on either side.
        log = beta_binomial(50 * share, share, 1 - share)(sums, time)
        crossed = (log >= np.log(20)).any(axis=1).mean()
        assert crossed <= 0.05 + 3 * (0.05 * 0.95 / 2_000) ** 0.5
        assert ((sums >= limit).any(axis=1) <= (log >= np.log(20)).any(axis=1)).all()


def test_counts_hardly_ever_cross_the_gamma_poisson_boundary() -> None:
    rng = np.random.default_rng(8)
    sums = (rng.poisson(0.1, (2_000, 1_000)) - 0.1).cumsum(axis=1)
    limit = boundary(gamma_poisson(50, 1.0), 0.1 * np.arange(1, 1_001))
    assert (sums >= limit).any(axis=1).mean() <= 0.065


def test_exponential_values_hardly_ever_cross_the_gamma_boundaries() -> None:
    rng = np.random.default_rng(9)
    sums = (rng.exponential(1.0, (2_000, 1_000)) - 1).cumsum(axis=1)
    time = np.arange(1.0, 1_001)
    mixed = boundary(gamma_exponential(200, 1.0), time)
    stitched = polynomial_stitching(time, v_min=10, c=1.0)
    for limit in (mixed, stitched):
        assert (sums >= limit).any(axis=1).mean() <= 0.065


@settings(deadline=None, max_examples=60)
@given(
    v=st.floats(1e-3, 1e7), alpha=st.floats(1e-6, 0.9), smaller=st.floats(0.01, 0.99)
)
def test_a_stricter_error_has_a_wider_boundary(
    v: float, alpha: float, smaller: float
) -> None:
    for mixture in (gamma_exponential(100, 2.0), gamma_poisson(100, 2.0)):
        wide = boundary(mixture, v, alpha=alpha * smaller)
        assert np.isfinite(wide)
        assert wide >= boundary(mixture, v, alpha=alpha)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match="c must lie in"):
        gamma_exponential(100, 0.0)
    with pytest.raises(StatisticsError, match="v must lie in"):
        boundary(gamma_poisson(100, 1.0), 0.0)
    with pytest.raises(StatisticsError, match="eta must lie in"):
        polynomial_stitching(1.0, v_min=1.0, eta=1.0)
