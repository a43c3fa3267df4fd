"""Planning: published sizes, inversion laws, and power met in simulated experiments."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics import proportions
from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.guardrails import Outcome, non_inferiority
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError
from experiments.statistics.power import (
    Design,
    Metric,
    beta_per_metric,
    design_effect,
    guardrail_power,
    guardrail_sample_size,
    inflation,
    minimum_detectable_effect,
    power,
    sample_size,
)
from experiments.statistics.sequential import Look

UNIT = Metric(np.asarray(1.0), np.asarray(1.0))
WEEKS = (0.25, 0.5, 0.75, 1.0)
PLANS = (
    Design(),
    Design(shares=(3, 1, 1), looks=WEEKS),
    Design(looks=WEEKS, spending="pocock", explained=0.4, alpha=0.01),
)


def known(units: float, mean: np.ndarray, variance: float) -> Moments:
    """Return arms of one size whose variance is what was planned."""
    m2 = np.full(mean.shape, variance * (units - 1))
    return Moments(np.full(mean.shape, units), mean, m2, np.zeros(mean.shape))


def test_small_samples_equal_r_pwr() -> None:
    per_arm = sample_size(UNIT, Design(), [0.5, 0.2], scale="absolute") / 2
    assert per_arm == pytest.approx([63.76561, 393.4057], abs=1e-4)
    found = power(UNIT, Design(), 60, 0.5, scale="absolute")
    assert float(found) == pytest.approx(0.4778965, abs=1e-7)


def test_the_rule_of_sixteen_is_two_percent_generous() -> None:
    """Kohavi: 16 s2 / delta2 an arm; 16 stands for (1.96 + 0.84)^2 x 2 = 15.70."""
    exact = 2 * (1.959964 + 0.8416212) ** 2
    revenue = sample_size(Metric(np.asarray(3.75), np.asarray(900.0)), Design(), 0.05)
    assert float(revenue) / 2 == pytest.approx(409_600 * exact / 16, rel=1e-5)
    # 5 % conversion, 5 % lift: the rule gives the treatment the control's variance.
    plain = Metric(np.asarray(0.05), np.asarray(0.05 * 0.95))
    shared = sample_size(plain, Design(), 0.05)
    assert float(shared) / 2 == pytest.approx(121_600 * exact / 16, rel=1e-5)
    own = sample_size(Metric.proportion(0.05), Design(), 0.05)
    assert 1.02 < float(own) / float(shared) < 1.025


def test_evan_millers_size_takes_the_baselines_variance_for_the_test() -> None:
    """20 %, +5 points: 1,030 an arm; with each arm's own variance it is 1,091."""
    null, own = np.sqrt(2 * 0.2 * 0.8), np.sqrt(0.2 * 0.8 + 0.25 * 0.75)
    theirs = (1.959964 * null + 0.8416212 * own) ** 2 / 0.05**2
    assert round(theirs) == 1030
    ours = sample_size(Metric.proportion(0.2), Design(), 0.05, scale="absolute") / 2
    assert float(ours) == pytest.approx((2.8015852 * own) ** 2 / 0.05**2, rel=1e-5)


def test_spotify_sizes_for_an_uneven_split() -> None:
    design = Design(shares=(5000, 2000, 3000), alpha=0.005, comparisons=1)
    mean = sample_size(Metric(np.asarray(4.56), np.asarray(2.13)), design, 0.01)
    assert np.ceil(mean) == 95_459
    share = sample_size(Metric.proportion(0.7), design, 0.00617)
    assert np.ceil(share) == 1_042_868


def test_inflation_comes_from_the_boundaries() -> None:
    five = (0.2, 0.4, 0.6, 0.8, 1.0)
    fleming = Design(looks=five)
    pocock = Design(looks=five, spending="pocock")
    # Jennison and Turnbull 2000, tables 2.2 and 2.4 (the plain tests): 1.028, 1.228.
    assert float(inflation(fleming)) == pytest.approx(1.028, abs=0.005)
    assert float(inflation(pocock)) == pytest.approx(1.228, abs=0.02)
    assert float(inflation(Design())) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("design", PLANS)
@pytest.mark.parametrize(
    "metric",
    [UNIT, Metric.proportion(0.05), Metric(np.asarray(-3.0), np.asarray(40.0))],
)
def test_size_power_and_effect_invert_each_other(
    design: Design, metric: Metric
) -> None:
    effects, wanted = np.array([0.02, 0.3, 0.8]), np.array([0.6, 0.8, 0.95])
    n = sample_size(metric, design, effects, power=wanted)
    assert power(metric, design, n, effects) == pytest.approx(wanted, abs=1e-6)
    found = minimum_detectable_effect(metric, design, n, power=wanted)
    assert found == pytest.approx(effects, rel=1e-5)
    margins = np.array([0.02, 0.05, 0.1])
    n = guardrail_sample_size(metric, design, margin=margins, power=wanted)
    passing = guardrail_power(metric, design, n, margin=margins)
    assert passing == pytest.approx(wanted, abs=1e-6)


def test_planned_looks_reach_the_power_they_were_planned_for() -> None:
    """4,000 experiments of four looks, revenue per user; 99.99 % band."""
    design = Design(shares=(2, 1), looks=WEEKS)
    metric = Metric(np.asarray(5.0), np.asarray(9.0))
    total = float(sample_size(metric, design, 0.04))
    units = np.round(total * np.array(design.arms) * np.array(WEEKS)[:, None])
    dice = np.random.default_rng(21)
    found = np.zeros(4000, dtype=bool)
    sums = np.zeros((2, 4000))
    for look, (control, treatment) in enumerate(units):
        before = units[look - 1] if look else np.zeros(2)
        added = units[look] - before
        for arm, mean in enumerate((5.0, 5.2)):
            sums[arm] += dice.normal(mean * added[arm], 3 * np.sqrt(added[arm]), 4000)
        here = Look(WEEKS[: look + 1], 0.05)
        result = welch(
            known(control, sums[0] / control, 9.0),
            known(treatment, sums[1] / treatment, 9.0),
            quantile=here,
        )
        found |= result.excludes_zero
    assert found.mean() == pytest.approx(0.8, abs=0.0246)


def test_a_share_of_units_reaches_its_power_with_its_own_variances() -> None:
    design = Design(shares=(1, 1, 1), alpha=0.05)
    n = float(sample_size(Metric.proportion(0.04), design, 0.25))
    assert design.test(normal=True).alpha == 0.025
    units = round(n / 3)
    dice = np.random.default_rng(22)
    control, treatment = (dice.binomial(units, p, 4000) for p in (0.04, 0.05))
    result = proportions.difference(control, units, treatment, units, alpha=0.025)
    assert result.excludes_zero.mean() == pytest.approx(0.8, abs=0.0246)


def test_guardrails_pass_as_often_as_planned() -> None:
    metric = Metric(np.asarray(2.0), np.asarray(4.0))
    n = float(guardrail_sample_size(metric, Design(), margin=0.05))
    units = round(n / 2)
    dice = np.random.default_rng(23)
    spread = np.sqrt(4.0 / units)
    control, treatment = (
        known(units, dice.normal(2.0, spread, 4000), 4.0) for _ in range(2)
    )
    result = non_inferiority(control, treatment, margin=0.05)
    assert (result.outcome == Outcome.PASS).mean() == pytest.approx(0.8, abs=0.0246)


def test_covariates_save_what_they_explain() -> None:
    plain = sample_size(UNIT, Design(), 0.02)
    adjusted = sample_size(UNIT, Design(explained=0.6), 0.02)
    assert float(adjusted) == pytest.approx(0.4 * float(plain))


def test_history_gives_means_and_ratios() -> None:
    dice = np.random.default_rng(24)
    views = dice.poisson(5, 1000) + 1.0
    clicks = dice.binomial(views.astype(int), 0.1)
    ratio = Metric.of(CrossMoments.from_units(clicks, views))
    assert float(ratio.mean) == pytest.approx(clicks.sum() / views.sum())
    naive = ratio.mean * (1 - ratio.mean) / views.mean()
    assert float(ratio.variance) == pytest.approx(float(naive), rel=0.2)
    mean = Metric.of(Moments.from_units(clicks))
    assert float(mean.variance) == pytest.approx(clicks.var(ddof=1))


def test_several_guardrails_share_the_risk_of_a_miss() -> None:
    assert float(beta_per_metric(0.2, 0)) == 0.2
    assert float(beta_per_metric(0.2, 3)) == 0.05
    assert float(design_effect(51, 0.02)) == pytest.approx(2.0)


@settings(deadline=None)
@given(
    effect=st.floats(-0.9, 0.9),
    units=st.floats(0, 1e9),
    p=st.floats(0.001, 0.999),
    plan=st.sampled_from(PLANS),
    binary=st.booleans(),
)
def test_power_is_a_probability_or_unknown_and_grows_with_the_units(
    effect: float, units: float, p: float, plan: Design, *, binary: bool
) -> None:
    metric = Metric.proportion(p) if binary else Metric(np.asarray(p), np.asarray(p))
    n = np.array([units, 2 * units + 20])
    one, two = power(metric, plan, n, effect)
    for found in (one, two):
        assert np.isnan(found) or -1e-12 <= found <= 1
    if not np.isnan(one):
        assert two >= one - 1e-6


def test_curves_come_out_in_the_shape_of_the_arguments() -> None:
    curve = power(Metric.proportion(0.05), PLANS[1], np.geomspace(1e3, 1e6, 50), 0.1)
    assert curve.shape == (50,)
    assert (np.diff(curve) > 0).all()
    grid = sample_size(
        Metric.proportion(np.array([[0.01], [0.1]])), Design(), [0.01, 0.1, 0.2]
    )
    assert grid.shape == (2, 3)


def test_what_cannot_be_found_is_said_to_be_so() -> None:
    assert sample_size(UNIT, Design(), 0.0) == np.inf
    share = Metric.proportion(0.05)
    assert minimum_detectable_effect(share, Design(), 10, falls=True) == np.inf
    assert np.isnan(power(share, Design(), 1000, 30.0))
    assert np.isnan(power(UNIT, Design(), 0, 0.1))
    assert guardrail_sample_size(UNIT, Design(), margin=0.02, effect=-0.03) == np.inf


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shares": (1.0,)}, "shares must hold the control and a treatment"),
        ({"shares": (1.0, 0.0)}, "shares must lie in"),
        ({"alpha": float("nan")}, "alpha must lie in"),
        ({"comparisons": 0}, "comparisons must be finite and >= 1"),
        ({"explained": 1.0}, r"explained must lie in \[0, 1\), got 1"),
        ({"looks": (0.5, 0.4)}, "information must rise"),
    ],
)
def test_an_impossible_design_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(StatisticsError, match=said):
        replace(Design(), **changes)  # type: ignore[arg-type]  # wrong on purpose


def test_wrong_arguments_name_themselves() -> None:
    with pytest.raises(StatisticsError, match=r"between alpha \(0.05\) and 1, got 1"):
        sample_size(UNIT, Design(), 0.1, power=1.0)
    with pytest.raises(StatisticsError, match="units must be finite and >= 0, got -1"):
        power(UNIT, Design(), -1, 0.1)
    with pytest.raises(StatisticsError, match="share must lie in"):
        Metric.proportion(1.0)
    with pytest.raises(StatisticsError, match="variance must be finite and >= 0"):
        Metric(np.asarray(1.0), np.asarray(-1.0))
    with pytest.raises(StatisticsError, match="margin must lie in"):
        guardrail_power(UNIT, Design(), 100, margin=0.0)
