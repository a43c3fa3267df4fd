"""Group-sequential looks: boundaries, repeated intervals and repeated p-values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics import proportions
from experiments.statistics.aggregates import Moments
from experiments.statistics.guardrails import Outcome, non_inferiority
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError, normal_tail
from experiments.statistics.relative import fieller
from experiments.statistics.sequential import (
    Look,
    Spending,
    always_valid,
    boundaries,
    repeated_p,
    spending,
)

LOOKS = (0.2, 0.4, 0.6, 0.8, 1.0)
KINDS: tuple[Spending, ...] = ("obrien_fleming", "pocock", 2.0)


def arm(mean: float, units: int = 1000) -> Moments:
    return Moments(*map(np.asarray, (float(units), mean, units - 1.0, 0.0)))


@pytest.mark.parametrize("kind", KINDS)
def test_all_error_is_spent_at_full_information_and_never_unspent(
    kind: Spending,
) -> None:
    t = np.linspace(0.01, 1.2, 60)
    spent = spending(kind, 0.05, t)
    assert (np.diff(spent) >= 0).all()
    assert spent[t >= 1] == pytest.approx(0.05)


def test_one_look_is_the_ordinary_test() -> None:
    assert float(boundaries([1.0], 0.05)[0]) == pytest.approx(1.959963985)
    p = repeated_p(np.array([0.5, 1.0, 1.96, 3.0]), [1.0])
    assert p == pytest.approx(2 * normal_tail([0.5, 1.0, 1.96, 3.0]), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_boundary_spends_exactly_alpha_under_no_effect(kind: Spending) -> None:
    """Independent check by simulation, 200,000 paths: 99.99 % band of alpha 5 %."""
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((200_000, 5))
    z = np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, 6))
    crossed = (np.abs(z) > boundaries(LOOKS, 0.05, kind=kind)).any(axis=1)
    assert crossed.mean() == pytest.approx(0.05, abs=0.0019)


def test_an_overrun_is_rescaled_and_spends_the_rest() -> None:
    over = boundaries([0.5, 1.1], 0.05)
    assert over == pytest.approx(boundaries([0.5 / 1.1, 1.0], 0.05))


def test_a_one_sided_boundary_is_that_of_two_sides_at_twice_alpha() -> None:
    one = boundaries(LOOKS, 0.025, two_sided=False)
    assert one == pytest.approx(boundaries(LOOKS, 0.05))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0.3, 0.1, 0.02, 0.001, 1e-6])
@pytest.mark.parametrize("look", [1, 3, 5])
def test_the_repeated_p_value_inverts_the_boundary(
    kind: Spending, alpha: float, look: int
) -> None:
    """At the boundary of any other alpha the repeated p-value is that alpha."""
    bound = boundaries(LOOKS[:look], alpha, kind=kind)[-1]
    p = repeated_p(bound, LOOKS[:look], alpha=0.05, kind=kind)
    assert float(p) == pytest.approx(alpha, rel=2e-4)


@settings(deadline=None)
@given(
    z=st.floats(-6, 6),
    alpha=st.sampled_from([0.01, 0.025, 0.05, 0.1]),
    look=st.integers(1, 5),
)
def test_the_repeated_p_value_is_below_alpha_exactly_beyond_the_boundary(
    z: float, alpha: float, look: int
) -> None:
    here = Look(LOOKS[:look], alpha)
    p = float(repeated_p(z, here.information, alpha=alpha))
    if abs(abs(z) - here.critical) > 1e-9:
        assert (p < alpha) == (abs(z) > here.critical)
    assert p >= float(2 * normal_tail(abs(z))) * (1 - 1e-3)


def test_a_repeated_p_value_falls_as_the_evidence_grows() -> None:
    z = np.linspace(0, 40, 2001)
    for look in (1, 2, 5):
        p = repeated_p(z, LOOKS[:look])
        assert (np.diff(p) <= 0).all()
        assert 0 <= p.min() <= p.max() <= 1
    assert np.isnan(repeated_p(np.nan, LOOKS))


def test_every_method_shows_a_repeated_interval_and_its_p_value() -> None:
    look = Look((0.5,), alpha=0.05)
    for result in (
        welch(arm(1.0), arm(1.1), alpha=0.05, quantile=look),
        fieller(arm(1.0), arm(1.1), alpha=0.05, critical=look),
        proportions.difference(100, 1000, 130, 1000, alpha=0.05, quantile=look),
        proportions.relative_difference(
            100, 1000, 130, 1000, alpha=0.05, quantile=look
        ),
    ):
        assert "repeated" in result.method
        assert 0.05 < float(result.p_value) < 1
        assert not result.excludes_zero
    fixed = welch(arm(1.0), arm(1.1), alpha=0.05)
    assert fixed.excludes_zero


def test_a_look_made_for_another_alpha_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"the look's own \(0.05\), got 0.1"):
        welch(arm(1.0), arm(1.1), alpha=0.1, quantile=Look((0.5,), 0.05))


def test_a_guardrail_at_an_early_look_needs_more_evidence() -> None:
    """One-sided 5 %: two-sided 10 % over the looks."""
    control, treatment = arm(1.0), arm(1.03)
    fixed = non_inferiority(control, treatment, margin=0.05)
    early = non_inferiority(
        control, treatment, margin=0.05, look=Look((0.2,), alpha=0.1)
    )
    assert fixed.outcome[()] == Outcome.PASS
    assert early.outcome[()] == Outcome.INCONCLUSIVE
    assert float(early.harm_p_value) == pytest.approx(float(fixed.harm_p_value))


def test_a_bare_quantile_widens_the_interval_and_shows_no_p_value() -> None:
    bare = welch(arm(1.0), arm(1.1), alpha=0.05, quantile=2.963)
    look = welch(arm(1.0), arm(1.1), alpha=0.05, quantile=Look((0.5,), 0.05))
    assert float(bare.lower) == pytest.approx(float(look.lower), abs=1e-4)
    assert np.isnan(bare.p_value)


def test_an_always_valid_interval_is_wider_than_a_single_look() -> None:
    error = 0.0447
    got = always_valid(0.1, error, 2000, n_opt=2000)
    assert float(got.half_width) > 1.96 * error
    assert 0.025 < float(got.p_value) <= 1


def test_an_unknown_error_has_no_always_valid_interval() -> None:
    got = always_valid([0.1, 0.1], [np.nan, 0.0], 100, n_opt=100)
    assert np.isnan(got.half_width).all()
    assert np.isnan(got.p_value).all()
