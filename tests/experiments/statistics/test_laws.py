"""What must hold for any data at all."""

import warnings
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from experiments.statistics import multiplicity, proportions
from experiments.statistics.aggregates import (
    CrossMoments,
    JointMoments,
    Moments,
    merge,
)
from experiments.statistics.always_valid import always_valid
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.covariates import (
    adjust,
    adjusted_difference,
    adjusted_lift,
)
from experiments.statistics.guardrails import non_inferiority
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.ratios import ratio_difference, ratio_lift
from experiments.statistics.relative import delta, fieller, log_delta
from experiments.statistics.sequential import Look

LOOK = Look((0.5,), alpha=0.05)
values = st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda x: round(x, 3))
samples = st.lists(values, min_size=0, max_size=12)
full_samples = st.lists(values, min_size=2, max_size=12)


def tiny(m2: float) -> Moments:
    """Two units whose mean is small and whose spread is all but nothing."""
    return Moments(*map(np.asarray, (2.0, 2.0**-24, m2, 0.0)))


@st.composite
def arms(draw: st.DrawFn) -> Moments:
    """Moments as any metric might have them, from few to very many units."""
    count = draw(st.sampled_from([2, 3, 5, 10, 100, 10_000, 10**10]))
    mean = draw(st.floats(-1e6, 1e6))
    variance = draw(st.floats(0, 1e8)) * draw(st.sampled_from([1e-6, 1.0]))
    skewness = draw(st.floats(-5, 5))
    m2 = variance * (count - 1)
    return Moments(
        np.asarray(float(count)),
        np.asarray(mean),
        np.asarray(m2),
        np.asarray(skewness * m2**1.5 / count**0.5),
    )


tables = st.tuples(
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.integers(0, 3000),
).map(lambda t: (min(t[:2]), max(t[:2]), min(t[2:]), max(t[2:])))


def agree(result: Comparison) -> bool:
    """The interval excludes no effect exactly when p < alpha, where both exist."""
    shown = np.isin(result.status.astype(str), [Status.OK, Status.SKEW_WARNING])
    # Bounds come out of square roots: a tie is a tie within rounding.
    near = np.minimum(np.abs(result.lower), np.abs(result.upper))
    width = np.where(shown, result.upper - result.lower, 0.0)
    size = np.abs(np.where(shown, result.estimate, 0.0)) + width
    tie = near <= 1e-9 * size
    same = result.excludes_zero == (result.p_value < result.alpha)
    return bool((same | tie | ~shown).all())


def known_or_marked(result: Comparison) -> bool:
    """Every figure is finite, or the status says why not."""
    figures = (result.estimate, result.lower, result.upper, result.p_value)
    finite = np.logical_and.reduce([np.isfinite(figure) for figure in figures])
    marked = ~np.isin(result.status.astype(str), [Status.OK, Status.SKEW_WARNING])
    return bool((finite | marked).all())


@given(samples, samples, samples)
def test_merging_is_associative_and_equals_all_units_at_once(
    a: list[float], b: list[float], c: list[float]
) -> None:
    x, y, z = (Moments.from_units(units) for units in (a, b, c))
    everyone = Moments.from_units(a + b + c)
    for whole in (merge(merge(x, y), z), merge(x, merge(y, z))):
        assert float(whole.count) == len(a + b + c)
        if a + b + c:
            assert float(whole.mean) == pytest.approx(float(everyone.mean), abs=1e-9)
        assert float(whole.m2) == pytest.approx(float(everyone.m2), rel=1e-9, abs=1e-6)
        assert float(whole.m3) == pytest.approx(float(everyone.m3), rel=1e-9, abs=1e-2)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=12))
def test_whole_number_sums_give_exact_moments(units: list[int]) -> None:
    got = Moments.from_power_sums(
        len(units),
        sum(units),
        sum(v * v for v in units),
        sum(v**3 for v in units),
        scale=1e4,
    )
    mean = Fraction(sum(units), len(units))
    m2 = float(sum((v - mean) ** 2 for v in units)) / 1e8
    m3 = float(sum((v - mean) ** 3 for v in units)) / 1e12
    assert float(got.mean) == pytest.approx(float(mean) / 1e4, rel=1e-14)
    assert float(got.m2) == pytest.approx(m2, rel=1e-14)
    assert float(got.m3) == pytest.approx(m3, rel=1e-14)


@given(
    st.lists(st.tuples(values, values), max_size=10),
    st.lists(st.tuples(values, values), max_size=10),
)
def test_joint_merging_equals_all_units_at_once(
    a: list[tuple[float, float]], b: list[tuple[float, float]]
) -> None:
    def table(rows: list[tuple[float, float]]) -> CrossMoments:
        pairs = np.array(rows).reshape(-1, 2)
        return CrossMoments.from_units(pairs[:, 0], pairs[:, 1])

    merged, whole = table(a).merge(table(b)), table(a + b)
    for name in ("count", "m2_y", "m2_x", "cxy"):
        got, wanted = float(getattr(merged, name)), float(getattr(whole, name))
        assert got == pytest.approx(wanted, rel=1e-9, abs=1e-6)


MEAN_METHODS: list[Callable[..., Comparison]] = [welch, fieller, delta, log_delta]


@pytest.mark.parametrize("method", MEAN_METHODS)
@settings(deadline=None)
@given(a=arms(), b=arms(), alpha=st.sampled_from([0.001, 0.05, 0.2]))
@example(a=tiny(2.22507e-319), b=tiny(0.0), alpha=0.001)
def test_interval_and_p_value_of_means_never_contradict(
    method: Callable[..., Comparison], a: Moments, b: Moments, alpha: float
) -> None:
    result = method(a, b, alpha=alpha)
    assert known_or_marked(result)
    assert agree(result)


@settings(deadline=None)
@given(a=arms(), b=arms())
def test_repeated_interval_and_p_value_never_contradict(a: Moments, b: Moments) -> None:
    for result in (
        welch(a, b, alpha=0.05, quantile=LOOK),
        fieller(a, b, alpha=0.05, critical=LOOK),
    ):
        assert known_or_marked(result)
        assert agree(result)


@settings(deadline=None, max_examples=35)
@given(table=tables, alpha=st.sampled_from([0.001, 0.05, 0.2]), look=st.booleans())
@example((0, 200, 5, 200), 0.05, False)  # the pair that tools split on
@example((6, 600, 15, 600), 0.05, False)
@example((0, 5, 0, 5), 0.05, False)
@example((5, 5, 0, 5), 0.05, False)
def test_interval_and_p_value_of_proportions_never_contradict(
    table: tuple[int, int, int, int], alpha: float, look: bool
) -> None:
    quantile = Look((0.5,), alpha) if look else None
    for method in (proportions.difference, proportions.relative_difference):
        result = method(*table, alpha=alpha, quantile=quantile)
        assert known_or_marked(result)
        assert agree(result)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(values, values, values, values), min_size=3, max_size=20)
)
def test_interval_and_p_value_of_ratios_and_adjusted_means_never_contradict(
    rows: list[tuple[float, float, float, float]],
) -> None:
    table = np.array(rows)
    control = CrossMoments.from_units(table[:, 0], table[:, 1])
    treatment = CrossMoments.from_units(table[:, 2], table[:, 3])
    joint = np.stack([table[:, :2], table[:, 2:]])
    adjusted = adjust(JointMoments.from_units(joint))
    for result in (
        ratio_difference(control, treatment),
        ratio_lift(control, treatment),
        adjusted_difference(adjusted),
        adjusted_lift(adjusted),
    ):
        assert known_or_marked(result)
        assert agree(result)


@given(st.floats(-10, 10), st.floats(1e-3, 10), st.integers(10, 10**6), st.booleans())
def test_always_valid_interval_and_p_value_never_contradict(
    estimate: float, error: float, units: int, one_sided: bool
) -> None:
    result = always_valid(estimate, error, units, n_opt=5000, one_sided=one_sided)
    size = estimate if one_sided else abs(estimate)
    assume(abs(size - float(result.half_width)) > 1e-9)
    assert (size > float(result.half_width)) == (float(result.p_value) < 0.05)


@given(full_samples, full_samples)
def test_swapping_the_variants_negates_the_absolute_effect(
    a: list[float], b: list[float]
) -> None:
    x, y = Moments.from_units(a), Moments.from_units(b)
    there, back = welch(x, y), welch(y, x)
    np.testing.assert_array_equal(there.estimate, -back.estimate)
    np.testing.assert_allclose(there.lower, -back.upper, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(there.p_value, back.p_value, rtol=1e-9)


@settings(deadline=None, max_examples=30)
@given(tables)
def test_swapping_the_variants_negates_the_difference_of_proportions(
    table: tuple[int, int, int, int],
) -> None:
    there = proportions.difference(*table)
    back = proportions.difference(*table[2:], *table[:2])
    np.testing.assert_allclose(there.estimate, -back.estimate, atol=1e-15)
    np.testing.assert_allclose(there.lower, -back.upper, atol=1e-9)
    np.testing.assert_allclose(there.upper, -back.lower, atol=1e-9)


@given(full_samples, full_samples, st.sampled_from([1e-3, 2.0, 1e4]))
def test_scaling_the_metric_scales_the_effect_and_leaves_p_alone(
    a: list[float], b: list[float], factor: float
) -> None:
    x, y = Moments.from_units(a), Moments.from_units(b)
    assume(float(x.m2 + y.m2) > 1e-6)
    scaled = (Moments.from_units(np.array(units) * factor) for units in (a, b))
    plain, large = welch(x, y), welch(*scaled)
    np.testing.assert_allclose(
        large.estimate, factor * plain.estimate, rtol=1e-6, atol=1e-9 * factor
    )
    np.testing.assert_allclose(large.p_value, plain.p_value, rtol=1e-6)


@given(full_samples, full_samples)
def test_a_lift_keeps_its_direction_on_a_negative_baseline(
    a: list[float], b: list[float]
) -> None:
    x, y = Moments.from_units(a), Moments.from_units(b)
    assume(abs(float(x.mean)) > 1e-6)
    absolute, relative = welch(x, y), fieller(x, y)
    assert np.sign(relative.estimate) == np.sign(absolute.estimate)


@pytest.mark.parametrize(
    "adjust_p",
    [
        multiplicity.bonferroni,
        multiplicity.holm,
        multiplicity.hochberg,
        multiplicity.hommel,
        multiplicity.benjamini_hochberg,
        multiplicity.benjamini_yekutieli,
    ],
)
@given(
    p=st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=10),
)
def test_multiplicity_never_lowers_a_p_value_nor_reorders_them(
    adjust_p: Callable[[list[float]], FloatArray], p: list[float]
) -> None:
    before, after = np.array(p), adjust_p(p)
    known = ~np.isnan(before)
    np.testing.assert_array_equal(np.isnan(after), ~known)
    assert (after[known] >= before[known] * (1 - 1e-12)).all()
    assert (after[known] <= 1).all()
    order = np.argsort(before[known], kind="stable")
    assert (np.diff(after[known][order]) >= -1e-12).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_sharper_methods_are_never_less_powerful(p: list[float]) -> None:
    ladder = [
        multiplicity.bonferroni(p),
        multiplicity.holm(p),
        multiplicity.hochberg(p),
        multiplicity.hommel(p),
        multiplicity.benjamini_hochberg(p),
    ]
    for safer, sharper in pairwise(ladder):
        assert (sharper <= safer + 1e-12).all()


odd = st.sampled_from([0.0, 1.0, 2.0, 1e10, 1e-300, 1e300, np.inf, -np.inf, np.nan])


@settings(deadline=None)
@given(st.lists(odd, min_size=8, max_size=8))
def test_no_input_raises_or_warns(figures: list[float]) -> None:
    x = Moments(*map(np.asarray, figures[:4]))
    y = Moments(*map(np.asarray, figures[4:]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in MEAN_METHODS:
            assert known_or_marked(method(x, y))
        non_inferiority(x, y, margin=0.1)
        merge(x, y)


@given(
    st.lists(st.floats(0.1, 10), min_size=2, max_size=30),
    st.lists(st.floats(0.1, 10), min_size=2, max_size=30),
)
def test_a_covariate_never_adds_variance_in_the_sample(
    y: list[float], x: list[float]
) -> None:
    size = min(len(y), len(x))
    half = size // 2
    assume(half >= 2)
    rows = np.stack([np.array(y[:size]), np.array(x[:size])], -1)
    joint = np.stack([rows[:half], rows[half : 2 * half]])
    adjusted = adjust(JointMoments.from_units(joint))
    assert adjusted.moments.m2.sum() <= adjusted.plain.m2.sum() * (1 + 1e-9)
