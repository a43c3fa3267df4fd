"""Quantiles, by row and clustered by unit."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import mstats

from experiments.statistics.aggregates import CrossMoments
from experiments.statistics.always_valid import AlwaysValid
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.proportions import wilson
from experiments.statistics.quantiles import (
    WINDOW,
    QuantileStatistics,
    quantile_difference,
    quantile_lift,
    window,
)

HIGH = 0.069  # upper 99.99 % binomial bound for 5 % and 2,000 draws
rows = st.lists(st.integers(-300, 300).map(float), min_size=0, max_size=60)


def built(
    value: float, lower: float, upper: float, reach: float, indicators: CrossMoments
) -> QuantileStatistics:
    """A p90 from figures, as SQL would give them."""
    return QuantileStatistics(
        np.asarray(value),
        np.asarray(lower),
        np.asarray(upper),
        np.asarray(0.9),
        np.asarray(reach),
        indicators,
    )


def published(
    units: int, value: float, lower: float, upper: float
) -> QuantileStatistics:
    """An arm of gbstats' quantile test; its error is half-gap / z sqrt((n - 1) / n)."""
    m2 = 0.9 * 0.1 * (units - 1) ** 2 / units
    indicators = CrossMoments(*map(np.asarray, (units, 0.9, 1.0, m2, 0.0, 0.0)))
    reach = WINDOW * (0.9 * 0.1 / units) ** 0.5
    return built(value, lower, upper, reach, indicators)


CONTROL = published(11054, 7.157987489967789, 7.098780136176828, 7.217194843758751)
TREATMENT = published(10861, 7.694499927525767, 7.64180598628119, 7.747193868770344)


def one(result: Comparison) -> tuple[float, float, float, Status]:
    return (
        float(result.estimate),
        float(result.lower),
        float(result.upper),
        Status(str(result.status)),
    )


def test_the_p90_difference_equals_the_growthbook_reference() -> None:
    result = quantile_difference(CONTROL, TREATMENT)
    estimate, lower, upper, status = one(result)
    assert status == Status.OK
    assert estimate == pytest.approx(0.5365124375579775, rel=1e-14)
    half = WINDOW * float(result.standard_error)
    assert estimate - half == pytest.approx(0.4572559589115422, rel=1e-12)
    assert estimate + half == pytest.approx(0.6157689162044128, rel=1e-12)
    # Ours is wider by the t quantile that allows for the density's own noise.
    assert (lower, upper) == pytest.approx(
        (0.4572559589115422, 0.6157689162044128), rel=1e-3
    )
    assert lower < 0.4572559589115422
    assert upper > 0.6157689162044128


def test_the_error_equals_maritz_and_jarretts() -> None:
    values = np.random.default_rng(1).lognormal(size=20_000)
    got = QuantileStatistics.from_units(values, level=0.9)
    other = mstats.mjci(values, prob=[0.9])[0]
    assert float(got.value) == pytest.approx(np.quantile(values, 0.9), rel=1e-12)
    assert float(got.standard_error) == pytest.approx(other, rel=0.05)


def test_the_window_is_the_interval_of_a_median_by_order_statistics() -> None:
    """A 95 % interval of a median reads the order statistics at its Wald shares."""
    values = np.arange(1.0, 1001.0)
    got = QuantileStatistics.from_units(values, level=0.5)
    lower, upper = wilson(500, 1000)
    assert float(got.lower) == pytest.approx(1 + 999 * float(lower), abs=0.5)
    assert float(got.upper) == pytest.approx(1 + 999 * float(upper), abs=0.5)


def clustered(seed: int, simulations: int, units: int) -> list[QuantileStatistics]:
    """Quantiles by unit, and pretending that rows were units."""
    generator = np.random.default_rng(seed)
    label = np.repeat(np.arange(units), generator.poisson(4, units) + 1)
    levels = generator.normal(0, 0.7, (simulations, units))[:, label]
    values = np.exp(levels + generator.normal(0, 1, levels.shape))
    return [
        QuantileStatistics.from_units(values, who, level=0.9) for who in (label, None)
    ]


def test_clustered_rows_keep_their_error_where_counting_rows_does_not() -> None:
    control, naive_control = clustered(2, 2000, 150)
    treatment, naive_treatment = clustered(3, 2000, 150)
    for result in (
        quantile_difference(control, treatment),
        quantile_lift(control, treatment),
    ):
        assert 0.02 < float((result.p_value < 0.05).mean()) < HIGH
    naive = quantile_difference(naive_control, naive_treatment)
    assert float((naive.p_value < 0.05).mean()) > 0.1


@pytest.mark.parametrize("lift", [0.0, 0.2])
def test_intervals_cover_the_true_effect(lift: float) -> None:
    generator = np.random.default_rng(4)
    control = generator.exponential(1.0, (2000, 400))
    treatment = generator.exponential(1 + lift, (2000, 400))
    arms = [QuantileStatistics.from_units(a, level=0.5) for a in (control, treatment)]
    for result, truth in (
        (quantile_difference(*arms), lift * np.log(2)),
        (quantile_lift(*arms), lift),
    ):
        missed = (result.lower > truth) | (result.upper < truth)
        assert 0.031 < float(missed.mean()) < HIGH


def test_two_passes_of_sums_give_what_rows_give() -> None:
    """As SQL would: a window guessed from the rows, sums by unit."""
    values = np.random.default_rng(5).gamma(2.0, 1.0, 3000)
    direct = QuantileStatistics.from_units(values, level=0.9)
    reach = WINDOW * np.sqrt(0.9 * 0.1 / 3000)
    value, lower, upper = np.quantile(values, [0.9, 0.9 - reach, 0.9 + reach])
    below = (values <= value).astype(np.float64)
    sums = CrossMoments.from_power_sums(
        3000, below.sum(), 3000, below.sum(), 3000, below.sum()
    )
    summed = built(value, lower, upper, reach, sums)
    assert float(summed.standard_error) == pytest.approx(
        float(direct.standard_error), rel=1e-3
    )
    assert float(window(sums)) == pytest.approx(reach, rel=1e-3)


def test_too_few_rows_for_the_level_are_refused() -> None:
    """n <= z^2 l / (1 - l): 34.6 rows at the 90th percentile."""
    generator = np.random.default_rng(6)
    for count, wanted in ((34, Status.NOT_ENOUGH_DATA), (40, Status.OK)):
        arm = QuantileStatistics.from_units(generator.normal(size=count), level=0.9)
        assert Status(str(arm.status)) == wanted
        result = quantile_difference(arm, arm)
        assert Status(str(result.status)) == wanted


def test_a_value_shared_by_many_rows_is_called_discrete() -> None:
    orders = np.random.default_rng(7).poisson(0.5, 5000)
    arm = QuantileStatistics.from_units(orders, level=0.5)
    result = quantile_lift(arm, arm)
    assert result.status == Status.DISCRETE
    assert "share" in Status.DISCRETE.sentence
    assert np.isnan(result.p_value)
    assert np.isnan(result.lower)


def test_no_rows_at_all_have_a_status() -> None:
    arm = QuantileStatistics.from_units(np.empty((3, 0)), np.empty(0), level=0.5)
    assert (arm.status == Status.NOT_ENOUGH_DATA).all()


def test_an_always_valid_boundary_widens_the_interval() -> None:
    fixed = quantile_difference(CONTROL, TREATMENT)
    watched = quantile_difference(
        CONTROL, TREATMENT, quantile=AlwaysValid(11054 + 10861, 0.05)
    )
    assert float(watched.lower) < float(fixed.lower)
    assert float(watched.p_value) > float(fixed.p_value)


def test_watching_a_quantile_all_the_time_keeps_the_error() -> None:
    """25 looks at an A/A test of the median, from 100 rows a variant on."""
    generator = np.random.default_rng(8)
    arms = generator.lognormal(size=(2, 400, 1500))
    ever = np.zeros(400, dtype=bool)
    naive = np.zeros(400, dtype=bool)
    for seen in np.geomspace(100, 1500, 25).astype(int):
        a, b = (QuantileStatistics.from_units(x[:, :seen], level=0.5) for x in arms)
        watched = quantile_difference(a, b, quantile=AlwaysValid(2 * seen, 0.05))
        ever |= watched.p_value < 0.05
        naive |= quantile_difference(a, b).p_value < 0.05
    assert float(ever.mean()) < 0.05 + 3.9 * (0.05 * 0.95 / 400) ** 0.5
    assert float(naive.mean()) > 0.15


def test_single_precision_and_ten_billion_rows_are_accepted() -> None:
    values = np.random.default_rng(9).lognormal(size=500).astype(np.float32)
    single = QuantileStatistics.from_units(values, level=0.5)
    double = QuantileStatistics.from_units(values.astype(np.float64), level=0.5)
    assert float(single.standard_error) == float(double.standard_error)
    n, reach = 1e10, WINDOW * (0.09 / 1e10) ** 0.5
    sums = CrossMoments.from_power_sums(
        10**10, 9 * 10**9, 10**10, 9 * 10**9, 10**10, 9 * 10**9
    )
    many = built(5.0, 5.0 - 1e-4, 5.0 + 1e-4, reach, sums)
    more = built(5.1, 5.1 - 1e-4, 5.1 + 1e-4, reach, sums)
    assert float(many.standard_error) == pytest.approx(1e-4 / WINDOW, rel=1e-6)
    assert float(window(sums)) == pytest.approx(WINDOW * (0.09 / n) ** 0.5, rel=1e-6)
    near = built(5.0025, 5.0025 - 1e-4, 5.0025 + 1e-4, reach, sums)
    assert 0 < float(quantile_difference(many, near).p_value) < 1e-200
    assert quantile_difference(many, more).status.item() is Status.OK


@settings(deadline=None)
@given(rows, rows, st.sampled_from([0.1, 0.5, 0.9]))
def test_every_figure_is_finite_or_marked_and_nothing_warns(
    a: list[float], b: list[float], level: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arms = [QuantileStatistics.from_units(x, level=level) for x in (a, b)]
        for result in (quantile_difference(*arms), quantile_lift(*arms)):
            if result.status == Status.OK:
                assert np.isfinite([result.lower, result.upper, result.p_value]).all()
                assert bool(result.excludes_zero) == bool(result.p_value < 0.05)
            else:
                assert str(result.status) in set(Status)


continuous = st.integers(0, 10**6).map(
    lambda seed: np.random.default_rng(seed).lognormal(size=120)
)


@settings(deadline=None, max_examples=40)
@given(continuous, continuous, st.sampled_from([0.01, 3.0]))
def test_swapping_negates_and_scaling_scales(
    a: FloatArray, b: FloatArray, factor: float
) -> None:
    x, y = (QuantileStatistics.from_units(arm, level=0.5) for arm in (a, b))
    there, back = quantile_difference(x, y), quantile_difference(y, x)
    assume(there.status == Status.OK)
    assert float(there.lower) == pytest.approx(-float(back.upper), rel=1e-9)
    large = quantile_difference(
        *(QuantileStatistics.from_units(arm * factor, level=0.5) for arm in (a, b))
    )
    assert float(large.estimate) == pytest.approx(
        factor * float(there.estimate), rel=1e-9
    )
    assert float(large.p_value) == pytest.approx(float(there.p_value), rel=1e-6)


def test_one_control_is_compared_with_many_treatments_at_once() -> None:
    generator = np.random.default_rng(10)
    control = QuantileStatistics.from_units(generator.lognormal(size=900), level=0.5)
    many = QuantileStatistics.from_units(generator.lognormal(size=(3, 800)), level=0.5)
    result = quantile_difference(control, many)
    assert result.lower.shape == result.status.shape == (3,)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match=r"level must lie in \(0, 1\), got 1.5"):
        QuantileStatistics.from_units([1.0, 2.0], level=1.5)
    with pytest.raises(StatisticsError, match=r"units must have shape \(2,\)"):
        QuantileStatistics.from_units([1.0, 2.0], [1], level=0.5)
    with pytest.raises(StatisticsError, match="values must have an axis"):
        QuantileStatistics.from_units(1.0, level=0.5)
    arms = [QuantileStatistics.from_units([1.0, 2.0], level=x) for x in (0.5, 0.9)]
    with pytest.raises(StatisticsError, match=r"level must equal .* got 0.9"):
        quantile_difference(*arms)
