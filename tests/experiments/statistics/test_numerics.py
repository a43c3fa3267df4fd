"""Large means, tiny p-values, huge samples, and arguments that make no sense."""

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest

from experiments.statistics import multiplicity, proportions, srm
from experiments.statistics.aggregates import CrossMoments, JointMoments, Moments
from experiments.statistics.always_valid import always_valid
from experiments.statistics.comparison import Status
from experiments.statistics.covariates import adjust
from experiments.statistics.guardrails import (
    Outcome,
    non_inferiority,
    proportion_non_inferiority,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError, normal_tail
from experiments.statistics.ratios import (
    linearised,
    linearised_columns,
    ratio_lift,
)
from experiments.statistics.relative import fieller
from experiments.statistics.sequential import (
    Look,
    boundaries,
    repeated_p,
    spending,
)


def moments(count: float, mean: float, variance: float, skewness: float = 0) -> Moments:
    m2 = variance * (count - 1)
    m3 = skewness * m2**1.5 / count**0.5 if count else 0.0
    return Moments(*map(np.asarray, (count, mean, max(m2, 0.0), m3)))


ONE = moments(100, 1.0, 1.0)
RNG = np.random.default_rng(3)


def test_a_mean_of_1e8_keeps_its_variance() -> None:
    rng = np.random.default_rng(0)
    units = 1e8 + rng.standard_normal(10_000)
    exact = float(np.var(units - 1e8, ddof=1))
    assert float(Moments.from_units(units).variance) == pytest.approx(exact, rel=1e-9)
    shards = [Moments.from_units(part) for part in np.split(units, 10)]
    whole = shards[0]
    for shard in shards[1:]:
        whole = whole.merge(shard)
    assert float(whole.variance) == pytest.approx(exact, rel=1e-6)


def test_whole_number_sums_with_a_mean_of_1e8_keep_their_variance() -> None:
    units = [10**12 + (i * 7919) % 10_000 for i in range(2000)]
    got = Moments.from_power_sums(
        len(units), sum(units), sum(v * v for v in units), scale=1e4
    )
    exact = float(np.var([v - 10**12 for v in units], ddof=1)) / 1e8
    assert float(got.variance) == pytest.approx(exact, rel=1e-12)


def test_decimal_sums_are_added_exactly() -> None:
    """Two amounts, 100000000000000.0001 and 100000000000000.0003."""
    got = Moments.from_power_sums(
        2,
        np.array(Decimal("200000000000000.0004")),
        np.array(Decimal("20000000000000000080000000000.0000001")),
    )
    assert float(got.m2) == pytest.approx(2e-8, rel=1e-12)


def test_float_sums_work_where_they_are_shifted() -> None:
    units = RNG.gamma(2.0, 3.0, 400)
    v = units - 6.0
    got = Moments.from_power_sums(400.0, v.sum(), (v**2).sum(), (v**3).sum(), shift=6.0)
    whole = Moments.from_units(units)
    assert float(got.mean) == pytest.approx(float(whole.mean), rel=1e-12)
    assert float(got.m2) == pytest.approx(float(whole.m2), rel=1e-10)
    assert float(got.m3) == pytest.approx(float(whole.m3), rel=1e-10)


def test_whole_number_sums_of_floats_are_read_as_floats() -> None:
    got = Moments.from_power_sums(np.array([2, 0], dtype=object), [3.0, 0.0], [5, 0])
    np.testing.assert_allclose(got.mean, [1.5, 0.0])
    np.testing.assert_allclose(got.m2, [0.5, 0.0])


def test_float32_units_are_computed_in_double_precision() -> None:
    units = np.arange(10_000, dtype=np.float32)
    assert Moments.from_units(units).mean.dtype == np.float64
    assert float(Moments.from_units(units).mean) == 4999.5


def test_p_values_reach_1e_300() -> None:
    far = welch(moments(1e6, 0.0, 1.0), moments(1e6, 0.0523, 1.0))
    assert 1e-300 < float(far.p_value) < 1e-290
    table = proportions.difference(100_000, 10**6, 116_150, 10**6)
    assert 1e-300 < float(table.p_value) < 1e-280


def test_ten_thousand_million_units_are_no_trouble() -> None:
    got = welch(moments(1e10, 1.0, 4.0), moments(1e10, 1.0001, 4.0))
    assert float(got.standard_error) == pytest.approx(np.sqrt(8e-10), rel=1e-9)
    table = proportions.difference(10**8, 10**10, 100_100_000, 10**10)
    assert float(table.lower) < 1e-5 < float(table.upper)


def test_merging_with_nobody_changes_nothing() -> None:
    nobody = Moments.from_units(np.empty(0))
    for merged in (ONE.merge(nobody), nobody.merge(ONE)):
        assert float(merged.mean) == 1.0
        assert float(merged.m2) == pytest.approx(99.0)


@pytest.mark.parametrize(
    ("control", "treatment", "status"),
    [
        (ONE, moments(0, 0.0, 0.0), Status.NOT_ENOUGH_DATA),
        (ONE, moments(1, 2.0, 0.0), Status.NOT_ENOUGH_DATA),
        (moments(9, 1.0, 0.0), moments(9, 2.0, 0.0), Status.DEGENERATE),
        (moments(9, 1.0, 0.0), moments(9, 2.0, 1.0), Status.OK),
        (ONE, moments(100, 1.0, 1.0, skewness=1.0), Status.SKEW_WARNING),
        (ONE, moments(400, 1.0, 1.0, skewness=1.0), Status.OK),
    ],
)
def test_each_cell_says_what_can_be_said(
    control: Moments, treatment: Moments, status: Status
) -> None:
    assert welch(control, treatment).status[()] == status


def test_two_constant_arms_with_one_value_do_not_differ() -> None:
    same = welch(moments(9, 2.0, 0.0), moments(9, 2.0, 0.0))
    assert float(same.p_value) == 1.0
    differing = welch(moments(9, 1.0, 0.0), moments(9, 2.0, 0.0))
    assert np.isnan(differing.p_value)


def test_one_constant_arm_leaves_the_other_arms_degrees_of_freedom() -> None:
    got = welch(moments(9, 1.0, 0.0), moments(12, 2.0, 1.0))
    assert float(got.degrees_of_freedom) == pytest.approx(11.0)


def test_a_baseline_near_zero_makes_the_lift_unbounded_not_wrong() -> None:
    got = fieller(moments(100, 0.05, 1.0), moments(100, 1.0, 1.0))
    assert got.status[()] == Status.UNBOUNDED
    assert float(got.lower) == -np.inf
    assert float(got.upper) == np.inf
    assert "too close to zero" in Status.UNBOUNDED.sentence


def test_a_fall_on_a_negative_baseline_is_a_fall() -> None:
    got = fieller(moments(10_000, -1.0, 1.0), moments(10_000, -2.0, 1.0))
    assert float(got.estimate) == pytest.approx(-1.0)
    assert float(got.lower) < -1.0 < float(got.upper) < 0


def test_a_ratio_over_nothing_is_degenerate() -> None:
    nothing = CrossMoments.from_units([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    other = CrossMoments.from_units([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    got = welch(linearised(other), linearised(nothing))
    assert got.status[()] == Status.DEGENERATE


def test_a_constant_or_repeated_covariate_is_dropped_and_reported() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 200))
    y = 2 * x + rng.standard_normal((2, 200))
    rows = np.stack([y, x, np.full_like(x, 3.0), 5 * x], axis=-1)
    adjusted = adjust(JointMoments.from_units(rows))
    assert adjusted.used.tolist() == [True, False, False]
    alone = adjust(JointMoments.from_units(rows[..., :2]))
    np.testing.assert_allclose(adjusted.moments.mean, alone.moments.mean)


def test_several_covariates_equal_least_squares_within_arms() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 300, 3))
    y = x @ [1.0, -2.0, 0.5] + rng.standard_normal((2, 300))
    rows = np.concatenate([y[..., None], x], axis=-1)
    got = adjust(JointMoments.from_units(rows)).theta
    centred = (rows - rows.mean(axis=1, keepdims=True)).reshape(-1, 4)
    wanted = np.linalg.lstsq(centred[:, 1:], centred[:, 0], rcond=None)[0]
    np.testing.assert_allclose(got, wanted, rtol=1e-10)


def test_no_success_in_either_arm_still_has_a_width() -> None:
    got = proportions.difference(0, 50, 0, 60)
    assert float(got.p_value) == 1.0
    assert float(got.lower) < 0 < float(got.upper)
    assert got.status[()] == Status.OK
    assert proportions.score_difference(0, 50, 0, 60).status[()] == Status.SKEW_WARNING


def test_a_certain_arm_is_not_mistaken_for_no_effect() -> None:
    """0 of 100 against 5 of 100: some tools answer p = 1 with an interval (0, 0)."""
    got = proportions.difference(0, 100, 5, 100)
    assert 0.02 < float(got.p_value) < 0.06
    assert float(got.upper) > 0.05


@pytest.mark.parametrize(
    ("units", "rate"), [(50, 0.1), (10**6, 1e-3), (10**7, 1e-6), (10**9, 1 - 1e-4)]
)
def test_the_score_is_the_pooled_z_at_no_effect_however_rare_the_event(
    units: int, rate: float
) -> None:
    rng = np.random.default_rng(0)
    x = rng.binomial(units, rate, (2, 500)).astype(np.float64)
    got = proportions.score_difference(x[0], units, x[1], units)
    pooled = x.sum(axis=0) / (2 * units)
    error = np.sqrt(pooled * (1 - pooled) * 2 / units * 2 * units / (2 * units - 1))
    z = (x[1] - x[0]) / units / np.where(error > 0, error, 1.0)
    np.testing.assert_allclose(got.p_value, 2 * normal_tail(np.abs(z)), rtol=1e-6)
    assert (got.excludes_zero == (got.p_value < 0.05)).all()


def test_a_joint_table_merges_and_is_picked_apart() -> None:
    rows = RNG.standard_normal((2, 50, 3))
    table = JointMoments.from_units(rows)
    both = table[0].merge(table[1]).merge(JointMoments.from_units(np.empty((0, 3))))
    whole = JointMoments.from_units(rows.reshape(100, 3))
    np.testing.assert_allclose(both.m2, whole.m2)
    pair = CrossMoments.from_joint(table, y=2, x=0)[0]
    np.testing.assert_allclose(pair.cxy, table.m2[0, 2, 0])
    plain = linearised_columns(table, [(1, None), (0, None)])
    np.testing.assert_allclose(plain.mean, table.mean[:, [1, 0]])
    np.testing.assert_allclose(plain.column(0).m2, table.m2[:, 1, 1])


def test_a_ratio_lift_divides_by_the_controls_ratio() -> None:
    x = RNG.poisson(5, (2, 3000)) + 1.0
    y = x * [[0.2], [0.3]] + RNG.standard_normal((2, 3000)) * 0.1
    arms = CrossMoments.from_units(y, x)
    lift = ratio_lift(arms[0], arms[1])
    assert float(lift.lower) < 0.5 < float(lift.upper)
    assert lift.method.startswith("Delta method")


def test_an_experiment_without_units_has_no_mismatch() -> None:
    assert srm.sample_ratio([0, 0], [1, 1]).p_value == 1.0
    assert srm.sample_ratio([7, 0], [1, 0]).p_value == 1.0


def test_a_weightless_arm_with_units_is_a_certain_mismatch() -> None:
    got = srm.sample_ratio([50, 50, 1], [1, 1, 0])
    assert got.p_value == 0.0
    assert got.method.startswith("certain mismatch")


def test_few_expected_units_get_the_exact_multinomial_test() -> None:
    """Binomial(12, 0.2): the splits at most as likely as 3 are all but 2."""
    got = srm.sample_ratio([3, 9], [1, 4])
    assert got.method == "exact multinomial"
    assert got.p_value == pytest.approx(1 - 66 * 0.2**2 * 0.8**10, rel=1e-9)


def test_many_small_arms_get_the_same_p_value_every_time() -> None:
    first = srm.sample_ratio([3, 900, 1, 5], [1, 400, 3, 1])
    assert first.p_value == srm.sample_ratio([3, 900, 1, 5], [1, 400, 3, 1]).p_value
    assert "draws" in first.method


def test_weighted_bonferroni_gives_the_primary_its_share() -> None:
    got = multiplicity.bonferroni([0.03, 0.03, np.nan], weights=[0.8, 0.2, 5.0])
    np.testing.assert_allclose(got, [0.0375, 0.15, np.nan])


def test_a_guardrail_can_pass_fail_or_be_inconclusive() -> None:
    control = moments(10_000, 1.0, 1.0)
    arms = Moments(*np.broadcast_arrays(1e4, [1.0, 0.9, 0.95], 9999.0, 0.0))
    got = non_inferiority(control, arms, margin=0.05)
    assert got.outcome.tolist() == [Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE]


def test_a_guardrail_at_baseline_zero_uses_the_absolute_margin_and_says_so() -> None:
    got = proportion_non_inferiority(
        [0, 100], 10_000, [0, 100], 10_000, margin=0.1, absolute_margin=0.005
    )
    assert got.outcome.tolist() == [Outcome.PASS, Outcome.INCONCLUSIVE]
    assert got.absolute.tolist() == [True, False]
    assert "absolute margin" in got.method
    harmed = proportion_non_inferiority(
        0, 10_000, 200, 10_000, margin=0.1, absolute_margin=0.005
    )
    assert harmed.outcome[()] == Outcome.FAIL


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: welch(ONE, ONE, alpha=1.5), r"alpha must lie in \(0, 1\), got 1.5"),
        (lambda: welch(ONE, ONE, alpha=0), r"alpha must lie in \(0, 1\), got 0"),
        (lambda: welch(ONE, ONE, quantile=-1.0), r"quantile must lie in .*got -1"),
        (lambda: proportions.difference(5, 4, 1, 4), r"control must be <= .*got 5"),
        (lambda: proportions.wilson(-1, 4), r"control must be .*>= 0, got -1"),
        (lambda: multiplicity.holm([0.5, 1.2]), r"p_values must lie .*got 1.2"),
        (lambda: multiplicity.bonferroni([0.5], [1, 2]), r"weights must have shape"),
        (lambda: srm.sample_ratio([1, 2], [0, 0]), r"weights must sum to > 0"),
        (lambda: srm.sample_ratio([1, 2], [1, 1, 1]), r"one shape"),
        (lambda: boundaries([0.5, 0.4], 0.05), r"information must rise"),
        (lambda: boundaries([], 0.05), r"information must rise"),
        (lambda: spending("haybittle", 0.05, 0.5), r"kind must be"),  # type: ignore[arg-type]  # the point
        (lambda: repeated_p(2.0, [0.5], alpha=2), r"alpha must lie"),
        (lambda: always_valid(1, 1, 10, n_opt=0), r"n_opt must lie"),
        (lambda: non_inferiority(ONE, ONE, margin=2), r"margin must lie"),
        (
            lambda: non_inferiority(ONE, ONE, margin=0.1, direction="up"),  # type: ignore[arg-type]  # the point
            r"direction must be .*got .up",
        ),
        (lambda: Moments.from_power_sums(1, 1, 1, scale=0), r"scale must be > 0"),
        (lambda: Moments.from_units(["a"]), r"values must hold numbers"),
        (
            lambda: Moments(*map(np.zeros, (2, 3, 2, 2))),
            r"shapes do not fit together: count \(2,\), mean \(3,\)",
        ),
        (lambda: Look((0.5,), alpha=7), r"alpha must lie"),
        (lambda: Moments.from_power_sums([1, 2], [1, 2, 3], 1), r"of the sums do not"),
        (lambda: Moments.from_power_sums(1, "a", 1), r"sums must hold numbers"),
        (
            lambda: JointMoments(np.ones(2), np.ones((2, 3)), np.ones((2, 2, 2))),
            r"mean must have shape \(2, 3\) and m2 \(2, 3, 3\)",
        ),
        (
            lambda: adjust(JointMoments.from_units(np.zeros((2, 5, 1)))),
            r"at least one covariate",
        ),
    ],
)
def test_a_wrong_argument_names_itself_its_value_and_the_bound(
    call: Callable[[], object], said: str
) -> None:
    with pytest.raises(StatisticsError, match=said):
        call()


def test_importing_the_engine_loads_no_framework_and_no_scipy_stats() -> None:
    code = (
        "import sys, experiments.statistics.guardrails, "
        "experiments.statistics.covariates, experiments.statistics.sequential, "
        "experiments.statistics.srm, experiments.decisions.rule\n"
        "bad = {'django', 'pandas', 'torch', 'scipy.stats'} & set(sys.modules)\n"
        "sys.exit(f'loaded {bad}' if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
