"""Segments: heterogeneity, shrinkage and adjusted p-values."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.means import welch
from experiments.statistics.multiplicity import benjamini_hochberg
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.relative import fieller
from experiments.statistics.segments import by_segment, random_effects

# The 13 trials of the BCG vaccine (Colditz et al. 1994): cases and non-cases with and
# without it, as in metafor's dat.bcg (Viechtbauer 2010, J. Stat. Software 36(3)).
BCG = np.array(
    [
        [4, 119, 11, 128],
        [6, 300, 29, 274],
        [3, 228, 11, 209],
        [62, 13536, 248, 12619],
        [33, 5036, 47, 5761],
        [180, 1361, 372, 1079],
        [8, 2537, 10, 619],
        [505, 87886, 499, 87892],
        [29, 7470, 45, 7232],
        [17, 1699, 65, 1600],
        [186, 50448, 141, 27197],
        [5, 2493, 3, 2338],
        [27, 16886, 29, 17825],
    ]
).T
GIVEN, NONE = BCG[0] + BCG[1], BCG[2] + BCG[3]
LOG_RISK = np.log(BCG[0] / GIVEN) - np.log(BCG[2] / NONE)
ERROR = np.sqrt(1 / BCG[0] - 1 / GIVEN + 1 / BCG[2] - 1 / NONE)


def test_the_bcg_trials_give_the_published_random_effects() -> None:
    """DerSimonian-Laird: Q 152.23, tau2 0.3088, mean -0.7141 (0.1787), I2 92.12 %."""
    got = random_effects(LOG_RISK, ERROR)
    assert float(got.q) == pytest.approx(152.2330, abs=5e-5)
    assert float(got.degrees_of_freedom) == 12
    assert float(got.between) == pytest.approx(0.3088, abs=5e-5)
    assert float(got.mean) == pytest.approx(-0.7141, abs=5e-5)
    assert float(got.standard_error) == pytest.approx(0.1787, abs=5e-5)
    assert float(got.i2) == pytest.approx(0.9212, abs=5e-5)
    assert 0 < float(got.p_value) < 1e-20
    paule = random_effects(LOG_RISK, ERROR, between="paule_mandel")
    assert float(paule.between) == pytest.approx(0.3181, abs=5e-5)
    assert float(paule.mean) == pytest.approx(-0.7150, abs=5e-5)


def arms(seed: int, truth: FloatArray, units: int = 400) -> tuple[Moments, Moments]:
    generator = np.random.default_rng(seed)
    control = generator.normal(1.0, 1.0, (*truth.shape, units))
    treatment = generator.normal(1.0 + truth[..., None], 1.0, (*truth.shape, units))
    return Moments.from_units(control), Moments.from_units(treatment)


def test_equal_effects_are_called_unequal_at_the_stated_rate() -> None:
    table = welch(*arms(1, np.full((2000, 6), 0.1), units=150))
    p = by_segment(table).heterogeneity.p_value
    assert 0.031 < float((p < 0.05).mean()) < 0.069


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.2])
def test_shrunken_intervals_cover_and_shrunken_effects_are_nearer(
    spread: float,
) -> None:
    truth = np.random.default_rng(2).normal(0.1, spread, (600, 8))
    result = by_segment(welch(*arms(3, truth, units=200)))
    plain = ((result.estimate - truth) ** 2).mean()
    shrunken = ((result.shrunken - truth) ** 2).mean()
    assert shrunken < (0.9 if spread > 0.1 else 0.6) * plain
    inside = (result.shrunken_lower < truth) & (truth < result.shrunken_upper)
    assert float(inside.mean()) > 0.94


def test_three_segments_are_too_few_to_shrink() -> None:
    three = by_segment(welch(*arms(7, np.array([0.1, 0.2, 0.0]))))
    np.testing.assert_array_equal(three.shrunken, three.estimate)
    four = by_segment(welch(*arms(7, np.array([0.1, 0.2, 0.0, 0.3]))))
    assert (np.abs(four.shrunken - four.estimate) > 0).all()


def test_p_values_are_adjusted_over_the_whole_table() -> None:
    result = by_segment(welch(*arms(4, np.zeros((3, 5)))))
    np.testing.assert_array_equal(
        result.adjusted_p_value, benjamini_hochberg(result.p_value)
    )
    assert result.label == "exploratory"
    assert result.scale == "absolute"


def test_small_and_empty_segments_have_a_status_and_leave_the_rest_alone() -> None:
    control, treatment = arms(5, np.array([0.1, 0.2, 0.3, 0.0]))
    cut = np.array([1.0, 1.0, 1.0, 0.0])
    empty = Moments(control.count * cut, control.mean, control.m2 * cut, control.m3)
    table = fieller(empty, treatment)
    result = by_segment(table, units=[400, 400, 60, 0])
    assert list(map(str, result.status)) == [
        "ok",
        "ok",
        "not_enough_data",
        "not_enough_data",
    ]
    two = by_segment(fieller(empty[:2], treatment[:2]))
    np.testing.assert_allclose(result.shrunken[:2], two.shrunken, rtol=1e-12)
    assert np.isnan(result.shrunken[2:]).all()
    assert float(result.heterogeneity.degrees_of_freedom) == 1
    only = by_segment(fieller(empty[:1], treatment[:1]))
    assert np.isnan(only.heterogeneity.p_value)
    np.testing.assert_allclose(only.shrunken, only.estimate)
    none = by_segment(fieller(empty[3:], treatment[3:]))
    assert np.isnan(none.heterogeneity.mean)


figures = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, -3.0, 1e-300, 1e300, np.nan, np.inf]),
        st.sampled_from([0.0, 1.0, 0.5, 1e-160, 1e150, np.nan, np.inf]),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(figures, st.sampled_from(["dersimonian_laird", "paule_mandel"]))
def test_no_figures_raise_or_warn(
    table: list[tuple[float, float]], between: str
) -> None:
    estimates, errors = np.array(table).T
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = random_effects(estimates, errors, between=between)  # type: ignore[arg-type]  # a name
    assert not (result.between < 0).any()
    assert not (result.i2 < 0).any()


effects = st.lists(
    st.tuples(st.floats(-10, 10), st.floats(0.01, 10)), min_size=2, max_size=8
)


@settings(deadline=None)
@given(effects)
def test_shrunken_effects_lie_between_the_plain_one_and_the_mean(
    table: list[tuple[float, float]],
) -> None:
    estimate, error = np.array(table).T
    zero = np.zeros_like(estimate)
    status = np.full(estimate.shape, Status.OK, dtype=object)
    result = by_segment(
        Comparison(
            estimate,
            error,
            estimate - error,
            estimate + error,
            zero + 0.5,
            zero + np.inf,
            status,
            "given",
            "absolute",
            zero + 0.05,
        )
    )
    mean = float(result.heterogeneity.mean)
    least, most = np.minimum(estimate, mean), np.maximum(estimate, mean)
    assert (result.shrunken >= least - 1e-9).all()
    assert (result.shrunken <= most + 1e-9).all()
    scaled = random_effects(estimate * 1e-6, error * 1e-6)
    assert float(scaled.q) == pytest.approx(float(result.heterogeneity.q), rel=1e-6)


def test_wrong_arguments_are_named() -> None:
    table = welch(*arms(6, np.zeros(3)))
    with pytest.raises(StatisticsError, match="between must be"):
        random_effects([1.0], [1.0], between="reml")  # type: ignore[arg-type]  # wrong
    with pytest.raises(StatisticsError, match="units must be finite and >= 0"):
        by_segment(table, units=[1, 2, -1])
    with pytest.raises(StatisticsError, match="shapes do not fit"):
        by_segment(table, units=[1, 2])
    with pytest.raises(StatisticsError, match="an axis of segments"):
        by_segment(welch(*arms(6, np.zeros(()))))
