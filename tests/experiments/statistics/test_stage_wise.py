"""Figures after the end: one ordering for p-value, interval and estimate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics import proportions
from experiments.statistics.aggregates import Moments
from experiments.statistics.crossing import Walk, crossings, follow
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError, normal_tail
from experiments.statistics.relative import fieller
from experiments.statistics.sequential import Look, Spending, boundaries
from experiments.statistics.stage_wise import Ordering, stage_wise

QUARTERS = (0.25, 0.5, 0.75, 1.0)


def arm(mean: float, units: int = 1000) -> Moments:
    return Moments(*map(np.asarray, (float(units), mean, units - 1.0, 0.0)))


def test_a_single_look_gives_the_plain_figures() -> None:
    plain = welch(arm(1.0), arm(1.1))
    ended = stage_wise(
        lambda quantile: welch(arm(1.0), arm(1.1), quantile=quantile),
        Look((1.0,), 0.05),
    )
    for name in ("estimate", "lower", "upper", "p_value"):
        shown, single = getattr(ended, name), getattr(plain, name)
        assert float(shown) == pytest.approx(float(single), abs=1e-9)
    assert ended.method == "Welch t, stage-wise"


def test_two_looks_equal_the_bivariate_normal_by_hand() -> None:
    """P(Z1 > c) + P(|Z1| < c, Z2 > z) by plain one-dimensional quadrature."""
    look = Look((0.5, 1.0), 0.05, "pocock")
    c = float(boundaries((0.5,), 0.05, kind="pocock")[0])
    x = np.linspace(-c, c, 20_001)
    inside = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    for z in (0.3, 1.7, 2.6):
        later = np.trapezoid(inside * normal_tail((z - x * 0.5**0.5) / 0.5**0.5), x)
        by_hand = 2 * (float(normal_tail(c)) + float(later))
        assert float(Ordering.of(look).p_value(np.array(z))) == pytest.approx(
            by_hand, abs=1e-8
        )


@pytest.mark.parametrize("kind", ["obrien_fleming", "pocock", 2.0])
def test_at_the_last_look_p_equals_alpha_on_the_boundary(kind: Spending) -> None:
    daily = tuple((day + 1) / 30 for day in range(30))
    for information in (QUARTERS, daily):
        look = Look(information, 0.05, kind)
        p = Ordering.of(look).p_value(np.array([look.critical, -look.critical]))
        assert p == pytest.approx([0.05, 0.05], abs=1e-9)


@pytest.mark.parametrize("drift", [0.0, 2.0, 3.5])
def test_after_stopping_the_interval_covers_and_the_estimate_is_median_unbiased(
    drift: float,
) -> None:
    """3,000 experiments stopped at a boundary or at the end; 99.99 % bands."""
    steps = np.random.default_rng(5).standard_normal((3_000, 4)) / 2
    times = np.array(QUARTERS)
    z = (np.cumsum(steps, axis=1) + drift * times) / np.sqrt(times)
    out = np.abs(z) > boundaries(QUARTERS, 0.05)
    ended = np.where(out.any(axis=1), out.argmax(axis=1), 3)
    covered, above, found = (np.zeros(z.shape[0], dtype=bool) for _ in range(3))
    for look in range(4):
        here = ended == look
        if not here.any():
            continue
        ordering = Ordering.of(Look(QUARTERS[: look + 1], 0.05))
        scale = np.sqrt(times[look])
        low, high = ordering.drifts(z[here, look], 0.05)
        covered[here] = (low <= drift * scale) & (drift * scale <= high)
        above[here] = ordering.median(z[here, look]) > drift * scale
        found[here] = ordering.p_value(z[here, look]) < 0.05
    assert (found == out.any(axis=1)).all()
    assert covered.mean() == pytest.approx(0.95, abs=0.0155)
    assert above.mean() == pytest.approx(0.5, abs=0.0355)


@settings(deadline=None, max_examples=30)
@given(
    mean=st.floats(0.7, 1.4),
    looks=st.integers(1, 4),
    method=st.sampled_from(["welch", "fieller", "score", "score lift"]),
)
def test_interval_and_p_value_agree_for_every_method(
    mean: float, looks: int, method: str
) -> None:
    look = Look(QUARTERS[:looks], 0.05)
    events = round(100 * mean)
    ended = stage_wise(
        {
            "welch": lambda q: welch(arm(1.0), arm(mean), quantile=q),
            "fieller": lambda q: fieller(arm(1.0), arm(mean), critical=q),
            "score": lambda q: proportions.difference(
                100, 1000, events, 1000, quantile=q
            ),
            "score lift": lambda q: proportions.relative_difference(
                100, 1000, events, 1000, quantile=q
            ),
        }[method],
        look,
    )
    assert float(ended.lower) <= float(ended.estimate) <= float(ended.upper)
    if abs(float(ended.p_value) - 0.05) > 1e-6:
        assert bool(ended.excludes_zero) == (float(ended.p_value) < 0.05)


def test_an_early_stop_is_shrunk_towards_no_effect() -> None:
    look = Look(QUARTERS, 0.05, "pocock")
    plain = welch(arm(1.0), arm(1.12))
    ended = stage_wise(lambda q: welch(arm(1.0), arm(1.12), quantile=q), look)
    assert 0 < float(ended.estimate) < float(plain.estimate)


def test_overwhelming_evidence_stays_finite() -> None:
    for looks in (1, 3):
        ended = stage_wise(
            lambda q: welch(arm(1.0), arm(9.0), quantile=q),
            Look(QUARTERS[:looks], 0.05),
        )
        for name in ("lower", "estimate", "upper"):
            assert np.isfinite(getattr(ended, name))
        assert bool(ended.excludes_zero)
        assert float(ended.p_value) < 0.05


def test_swapping_the_arms_mirrors_the_figures() -> None:
    look = Look(QUARTERS[:3], 0.05)
    low, high = arm(1.0), arm(1.13)
    there = stage_wise(lambda q: welch(low, high, quantile=q), look)
    back = stage_wise(lambda q: welch(high, low, quantile=q), look)
    assert float(there.lower) == pytest.approx(-float(back.upper), abs=1e-9)
    assert float(there.p_value) == pytest.approx(float(back.p_value))


def test_cells_without_data_stay_unknown_and_without_a_warning() -> None:
    empty = Moments.from_units(np.zeros((2, 0)))
    ended = stage_wise(lambda q: welch(empty, empty, quantile=q), Look(QUARTERS, 0.05))
    assert np.isnan(ended.p_value).all()
    assert (ended.status == "not_enough_data").all()
    weak = stage_wise(
        lambda q: fieller(arm(0.01), arm(0.02), critical=q), Look(QUARTERS, 0.05)
    )
    assert weak.status[()] == "unbounded"
    assert (float(weak.lower), float(weak.upper)) == (-np.inf, np.inf)


def test_a_look_of_another_alpha_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"alpha, got 0.1"):
        stage_wise(lambda q: welch(arm(1), arm(1), quantile=q), Look((1.0,), 0.1))


def test_crossings_sum_up_and_can_start_anywhere() -> None:
    bounds = boundaries(QUARTERS, 0.05)
    walks = follow(QUARTERS, bounds)
    above, below = crossings(walks, QUARTERS, bounds, np.array([0.0, 3.0]))
    assert above[0].sum() == pytest.approx(0.025)
    assert below[0].sum() == pytest.approx(0.025)
    steps = np.random.default_rng(6).standard_normal((200_000, 4)) / 2
    z = (steps.cumsum(axis=1) + 3 * np.array(QUARTERS)) / np.sqrt(QUARTERS)
    assert above[1].sum() == pytest.approx(
        float((z > bounds).any(axis=1).mean()), abs=0.0045
    )
    middle = Walk.at(0.5, 1.0)
    onward, _ = crossings((middle,), (1.0,), bounds[-1:], 0.0)
    expected = normal_tail((bounds[-1] - 0.5**0.5) / 0.5**0.5)
    assert float(onward.sum()) == pytest.approx(float(expected))
