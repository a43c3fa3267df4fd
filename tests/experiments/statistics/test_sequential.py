"""Group-sequential looks: boundaries, repeated intervals and repeated p-values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from experiments.statistics import proportions
from experiments.statistics.aggregates import Moments
from experiments.statistics.guardrails import Outcome, non_inferiority
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError, normal_tail
from experiments.statistics.relative import fieller
from experiments.statistics.sequential import (
    Look,
    Spending,
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


def crossed(taken: tuple[float, ...], bounds: np.ndarray, *, seed: int) -> float:
    """Share of 200,000 paths without an effect that leave the boundaries."""
    steps = np.random.default_rng(seed).standard_normal((200_000, len(taken)))
    steps *= np.sqrt(np.diff(taken, prepend=0.0))
    z = np.cumsum(steps, axis=1) / np.sqrt(taken)
    return float((np.abs(z) > bounds).any(axis=1).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_an_overrun_keeps_what_was_spent_and_spends_the_rest(kind: Spending) -> None:
    taken = (0.4, 0.8, 1.15)
    over = boundaries(taken, 0.05, kind=kind)
    assert over[:2] == pytest.approx(boundaries([0.4, 0.8], 0.05, kind=kind))
    assert crossed(taken, over, seed=1) == pytest.approx(0.05, abs=0.0019)


def test_an_experiment_that_ends_short_spends_the_rest() -> None:
    taken = (0.4, 0.7)
    ended = boundaries(taken, 0.05, final=True)
    assert crossed(taken, ended, seed=2) == pytest.approx(0.05, abs=0.0019)
    assert ended[-1] < boundaries(taken, 0.05)[-1]
    look = Look(taken, 0.05, final=True)
    assert look.critical == pytest.approx(ended[-1])
    p = float(look.repeated_p(2 * normal_tail(ended[-1] + 1e-6)))
    assert p == pytest.approx(0.05, rel=1e-4)
    assert p < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_looks_may_be_skipped_added_and_moved(kind: Spending) -> None:
    for seed, taken in enumerate([(0.6, 1.0), (0.1, 0.15, 0.5, 0.55, 0.9, 1.0)]):
        bounds = boundaries(taken, 0.05, kind=kind)
        assert crossed(taken, bounds, seed=seed) == pytest.approx(0.05, abs=0.0019)


def test_after_an_overrun_nothing_is_left_to_spend() -> None:
    look = Look((0.5, 1.1, 1.3), 0.05)
    assert look.critical == np.inf
    assert look.repeated_p([1e-9, 0.5]).tolist() == [1.0, 1.0]
    assert np.isnan(look.repeated_p(np.nan))


def simpson_boundary(kind: str, looks: int, per_unit: int) -> list[float]:
    """Derive the boundaries anew: Simpson's rule on the score scale, equal looks."""
    found: list[float] = []
    spent = 0.0
    x = density = np.zeros(0)
    for k in range(1, looks + 1):
        t, root = k / looks, np.sqrt(k)
        total = (
            4 * norm.sf(norm.isf(0.05 / 4) / np.sqrt(t))
            if kind == "obrien_fleming"
            else 0.05 * np.log(1 + (np.e - 1) * t)
        )
        due, spent = (total - spent) / 2, total

        def out(c: float, x: np.ndarray = x, density: np.ndarray = density) -> float:
            return float(density @ norm.sf(c - x)) if x.size else float(norm.sf(c))

        bound = brentq(lambda c, due=due, out=out: out(c) - due, 0, 20)
        found.append(bound / root)
        grid = np.linspace(-bound, bound, 2 * int(bound * per_unit) + 1)
        inside = norm.pdf(grid[:, None] - x) @ density if x.size else norm.pdf(grid)
        weights = np.full(grid.size, 2.0)
        weights[1::2], weights[[0, -1]] = 4.0, 1.0
        x, density = grid, inside * weights * (grid[1] - grid[0]) / 3
    return found


@pytest.mark.parametrize("kind", ["obrien_fleming", "pocock"])
def test_another_integration_finds_the_same_boundaries(kind: str) -> None:
    """Steps of the statistic have variance 1; two grids, then ours, all to 1e-6."""
    coarse, fine = (simpson_boundary(kind, 5, density) for density in (10, 20))
    assert coarse == pytest.approx(fine, abs=1e-6)
    ours = boundaries(LOOKS, 0.05, kind=kind)  # type: ignore[arg-type]  # one of two
    assert ours == pytest.approx(fine, abs=1e-6)


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
