"""Post-stratification."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError
from experiments.statistics.regression import fit_units, regression_difference
from experiments.statistics.stratification import (
    stratified_difference,
    stratified_lift,
    stratify,
)

CONTROL = Moments.from_power_sums(
    [21, 65, 102, 151, 160],
    [
        *(330.0696210595999, 1391.96628040659, 2916.824124651419),
        *(5172.587929941052, 6539.348445231273),
    ],
    [
        *(5377.811252605509, 30546.63404187155, 86396.06886690554),
        *(182453.04528037464, 274981.98909352464),
    ],
)
TREATMENT = Moments.from_power_sums(
    [42, 75, 101, 121, 162],
    [
        *(708.1220000911836, 1807.4703052657744, 3104.5399914554023),
        *(4613.696610070716, 7431.953259880505),
    ],
    [
        *(12249.255519049513, 45000.287664918586, 98365.40553530994),
        *(180520.64781229294, 349244.6690736718),
    ],
)


def test_five_strata_equal_the_growthbook_reference() -> None:
    """Case 11, to the digits given."""
    strata = stratify(CONTROL, TREATMENT)
    got = stratified_difference(strata)
    assert float(got.estimate) == pytest.approx(3.548094377986586, rel=1e-13)
    assert float(got.standard_error) == pytest.approx(0.37634374823059685, rel=1e-12)
    lift = stratified_lift(strata)
    assert float(lift.estimate) == pytest.approx(0.10994584851937336, rel=1e-12)
    assert lift.excludes_zero
    assert int(strata.merged) == 0


def test_weights_taken_as_fixed_would_claim_too_much() -> None:
    strata = stratify(CONTROL, TREATMENT)
    fixed = strata.weights**2 * (
        strata.control.standard_error2 + strata.treatment.standard_error2
    )
    assert float(np.sqrt(fixed.sum())) == pytest.approx(0.37423, abs=5e-6)


def test_it_is_lins_regression_on_dummies_with_exact_hc2() -> None:
    rng = np.random.default_rng(1)
    stratum, arm = rng.integers(0, 4, 400), rng.integers(0, 2, 400)
    y = stratum * (1.0 + 0.5 * arm) + rng.standard_normal(400) * (1 + stratum)
    dummies = (stratum[:, None] == [1, 2, 3]).astype(np.float64)
    rows = np.column_stack([y, dummies])
    lin = fit_units([rows[arm == 0], rows[arm == 1]])
    cells = [
        [Moments.from_units(y[(arm == a) & (stratum == s)]) for s in range(4)]
        for a in (0, 1)
    ]
    control, treatment = (
        Moments(*(np.stack([getattr(c, n) for c in arm]) for n in Moments.__slots__))
        for arm in cells
    )
    got = stratified_difference(stratify(control, treatment))
    wanted = regression_difference(lin)
    assert float(got.estimate) == pytest.approx(float(wanted.estimate), rel=1e-10)
    # The shares' noise is divided by N here and by N - 1 there.
    assert float(got.standard_error) == pytest.approx(
        float(wanted.standard_error), rel=1e-4
    )


def test_one_stratum_is_welch() -> None:
    one = [
        Moments(*(x[:1] for x in (a.count, a.mean, a.m2, a.m3)))
        for a in (CONTROL, TREATMENT)
    ]
    got = stratified_difference(stratify(*one))
    wanted = welch(CONTROL[0], TREATMENT[0])
    for name in ("estimate", "standard_error", "lower", "p_value"):
        assert float(getattr(got, name)) == pytest.approx(float(getattr(wanted, name)))


def cells(counts: list[float], means: list[float]) -> Moments:
    n = np.array(counts)
    return Moments(n, np.array(means), np.maximum(n - 1, 0), np.zeros(n.shape))


def test_strata_that_cannot_be_compared_are_merged_and_counted() -> None:
    control = cells([100, 1, 0, 50, 0], [1.0, 9.0, 0.0, 2.0, 0.0])
    treatment = cells([100, 5, 3, 50, 0], [2.0, 9.0, 9.0, 3.0, 0.0])
    strata = stratify(control, treatment)
    # The two uneven strata have 1 unit in the control together, so the next larger one
    # (50 + 50) takes them in; the last stratum is empty.
    assert int(strata.merged) == 2
    assert strata.weights.tolist() == pytest.approx([200 / 309, 109 / 309, 0, 0, 0])
    assert float(strata.control.count.sum()) == 151
    got = stratified_difference(strata)
    joined = [(50 * 2 + 9) / 51, (50 * 3 + 8 * 9) / 58]
    wanted = 200 / 309 * 1.0 + 109 / 309 * (joined[1] - joined[0])
    assert float(got.estimate) == pytest.approx(wanted)
    both = stratify(cells([100, 1, 1], [1, 2, 3]), cells([100, 1, 1], [1, 2, 3]))
    assert int(both.merged) == 1
    assert both.weights.tolist() == pytest.approx([200 / 204, 4 / 204, 0])


def test_an_arm_without_units_is_said() -> None:
    nobody = cells([0, 0], [0, 0])
    for control in (nobody, cells([1, 0], [1, 0])):
        strata = stratify(control, cells([10, 10], [1, 2]))
        assert stratified_difference(strata).status[()] == Status.NOT_ENOUGH_DATA
        assert stratified_lift(strata).status[()] == Status.NOT_ENOUGH_DATA
    empty = stratified_difference(stratify(nobody, nobody))
    assert empty.status[()] == Status.NOT_ENOUGH_DATA


arms = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 5, 1000, 10**9]),
        st.floats(-1e3, 1e3),
        st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
    ),
    min_size=4,
    max_size=4,
)


def agree(result: Comparison) -> bool:
    shown = np.isin(result.status.astype(str), [Status.OK, Status.SKEW_WARNING])
    near = np.minimum(np.abs(result.lower), np.abs(result.upper))
    tie = near <= 1e-8 * (np.abs(result.estimate) + result.upper - result.lower)
    same = result.excludes_zero == (result.p_value < result.alpha)
    return bool((same | tie | ~shown).all())


@settings(deadline=None)
@given(arms, arms)
def test_any_strata_give_a_figure_or_a_status(
    a: list[tuple[float, float, float]], b: list[tuple[float, float, float]]
) -> None:
    def moments(table: list[tuple[float, float, float]]) -> Moments:
        n, mean, variance = np.array(table, dtype=np.float64).T
        return Moments(n, mean, variance * np.maximum(n - 1, 0), np.zeros(4))

    control, treatment = moments(a), moments(b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strata = stratify(control, treatment)
        results = [stratified_difference(strata), stratified_lift(strata)]
    total = control.count.sum()
    assert float(strata.control.count.sum()) == pytest.approx(float(total))
    for result in results:
        known = np.isfinite([result.estimate, result.lower, result.p_value]).all()
        assert known or result.status[()] not in (Status.OK, Status.SKEW_WARNING)
        assert agree(result)
    back = stratified_difference(stratify(treatment, control))
    np.testing.assert_allclose(back.estimate, -results[0].estimate, atol=1e-9)


@pytest.mark.parametrize("strata_count", [3, 200])
def test_error_and_coverage_hold_with_few_and_with_many_strata(
    strata_count: int,
) -> None:
    rng = np.random.default_rng(strata_count)
    simulations, units = 3000, 2000
    levels = 10 + 2 * rng.standard_normal(strata_count)
    effects = 1.0 + 0.5 * rng.standard_normal(strata_count)
    shares = np.full(strata_count, 1 / strata_count)
    n = rng.multinomial(units, shares, simulations)
    half = rng.binomial(n, 0.5)
    made = []
    for count, shift in ((n - half, 0.0), (half, effects)):
        safe = np.maximum(count, 1)
        mean = levels + shift + rng.standard_normal(count.shape) / np.sqrt(safe)
        m2 = rng.chisquare(np.maximum(count - 1, 1e-9))
        mean = np.where(count > 0, mean, 0.0)
        made.append(
            Moments(
                count.astype(np.float64),
                mean,
                np.where(count > 1, m2, 0.0),
                np.zeros(()),
            )
        )
    strata = stratify(*made)
    got = stratified_difference(strata)
    truth = float(effects @ shares)
    missed = float(((got.lower > truth) | (got.upper < truth)).mean())
    assert 0.034 <= missed <= 0.066
    lift = stratified_lift(strata)
    relative = truth / abs(float(levels @ shares))
    missed = float(((lift.lower > relative) | (lift.upper < relative)).mean())
    assert 0.034 <= missed <= 0.066


def test_shapes_must_agree() -> None:
    with pytest.raises(StatisticsError, match=r"one shape .*\(5,\) and \(\)"):
        stratify(CONTROL, TREATMENT[0])
