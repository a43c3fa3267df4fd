"""Families of comparisons: adjusted p-values beside intervals that fit them."""

import warnings
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics import multiplicity, proportions
from experiments.statistics.adjusted_bounds import Method
from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.means import welch
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    normal_quantile,
    normal_tail,
)
from experiments.statistics.relative import fieller
from experiments.statistics.simultaneous import Adjustment, adjust_family

FAMILY_WISE = ("bonferroni", "holm", "hochberg", "hommel")


def family(p: list[float], signs: list[int] | None = None) -> Comparison:
    """Normal comparisons with the given p-values and standard error 1."""
    two_sided = np.array(p)
    z = normal_quantile(two_sided / 2) * (1 if signs is None else np.array(signs))
    half = normal_quantile(0.025)
    status = np.where(np.isnan(z), Status.NOT_ENOUGH_DATA, Status.OK)
    return Comparison(
        *(z, np.ones_like(z), z - half, z + half, two_sided, np.full_like(z, np.inf)),
        status=status,
        method="z",
        scale="absolute",
        alpha=np.asarray(0.05),
    )


def adjusted(p: list[float], method: Method, **options: object) -> Adjustment:
    return adjust_family(family(p), method=method, **options)[0]  # type: ignore[arg-type]  # passed on


def test_bonferroni_intervals_are_the_procedures_own_at_the_share_of_alpha() -> None:
    got = adjusted([0.001, 0.02, 0.5], "bonferroni")
    half = float(normal_quantile(0.05 / 6))
    np.testing.assert_allclose(got.upper - got.estimate, half, rtol=1e-12)
    np.testing.assert_allclose(got.p_value, [0.003, 0.06, 1.0])


def test_weights_give_the_primary_metric_the_wider_share_of_alpha() -> None:
    (got,) = adjust_family(
        family([0.03, 0.03]), method="bonferroni", weights=[[0.8, 0.2]]
    )
    assert got.p_value.tolist() == pytest.approx([0.0375, 0.15])
    assert got.selected.tolist() == [True, False]
    assert got.compatible.all()
    (nothing,) = adjust_family(
        family([0.03, 0.03]), method="holm", weights=[[1.0, 0.0]]
    )
    assert nothing.lower[0] > 0
    assert nothing.p_value.tolist() == pytest.approx([0.03, 1.0])


def test_weighted_holm_passes_a_rejected_share_on() -> None:
    """By hand: .01 / .75, then .04 alone; without the first it would be .16."""
    got = multiplicity.holm([0.01, 0.04], [0.75, 0.25])
    assert got.tolist() == pytest.approx([0.01 / 0.75, 0.04])


@given(
    st.lists(
        st.tuples(st.one_of(st.floats(0, 1), st.just(float("nan"))), st.integers(0, 9)),
        min_size=1,
        max_size=8,
    ).filter(lambda rows: any(w and not np.isnan(p) for p, w in rows))
)
def test_weighted_holm_lies_between_the_single_p_and_weighted_bonferroni(
    rows: list[tuple[float, int]],
) -> None:
    p, weights = np.array(rows).T
    got, most = multiplicity.holm(p, weights), multiplicity.bonferroni(p, weights)
    known = ~np.isnan(p)
    assert (got[known] >= p[known]).all()
    assert (got[known] <= most[known] * (1 + 1e-12)).all()
    np.testing.assert_array_equal(np.isnan(got), ~known)


def test_holm_bounds_a_significant_cell_by_zero_unless_all_are_significant() -> None:
    some = adjusted([0.001, 0.02, 0.5], "holm")
    assert some.lower[0] == 0.0
    assert some.selected.tolist() == [True, True, False]
    half = float(normal_quantile(0.025))
    assert float(some.lower[2]) == pytest.approx(float(some.estimate[2]) - half)
    everything = adjusted([0.001, 0.002, 0.003], "holm")
    assert (everything.lower > 0).all()
    third = float(normal_quantile(0.05 / 6))
    np.testing.assert_allclose(everything.lower, everything.estimate - third)


@given(
    st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=8),
    st.lists(st.sampled_from([-1, 1]), min_size=8, max_size=8),
)
def test_holm_intervals_fit_whenever_both_tests_decide_alike(
    p: list[float], signs: list[int]
) -> None:
    (got,) = adjust_family(family(p, signs[: len(p)]), method="holm")
    assert (got.lower <= got.estimate + 1e-9).all()
    assert (got.upper >= got.estimate - 1e-9).all()
    # A direction of its own never finds more than Holm on both.
    excludes = (got.lower >= 0) | (got.upper <= 0)
    assert (got.selected | ~excludes | (got.estimate == 0)).all()
    if len(set(signs[: len(p)])) == 1:
        near = np.isclose(got.p_value, 0.05, rtol=1e-9)
        assert (got.compatible | near).all()


def test_fcr_shows_the_selected_cells_at_the_share_selected() -> None:
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    got = adjusted(p, "benjamini_hochberg")
    assert got.selected.sum() == 4
    assert np.isnan(got.lower[4:]).all()
    half = float(normal_quantile(0.05 * 4 / 15 / 2))
    np.testing.assert_allclose((got.upper - got.estimate)[:4], half)
    assert (got.lower[:4] > 0).all()
    assert got.compatible.tolist() == [True] * 4 + [False] * 11
    yekutieli = adjusted(p, "benjamini_yekutieli")
    assert yekutieli.selected.sum() == 3
    assert (yekutieli.lower[:3] > 0).all()


@settings(deadline=None)
@given(
    p=st.lists(
        st.one_of(st.floats(1e-300, 1.0), st.just(float("nan"))), min_size=1, max_size=8
    ),
    method=st.sampled_from([m for m in get_args(Method) if m != "dunnett"]),
)
def test_adjusting_never_lowers_a_p_value_nor_narrows_an_interval(
    p: list[float], method: Method
) -> None:
    single = family(p)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (got,) = adjust_family(single, method=method)
    known = ~np.isnan(single.p_value)
    np.testing.assert_array_equal(np.isnan(got.p_value), ~known)
    assert (got.p_value[known] >= single.p_value[known]).all()
    shown = known & ~np.isnan(got.lower)
    assert (got.upper - single.upper)[shown].min(initial=0) >= -1e-9
    if method in ("bonferroni", "benjamini_hochberg", "benjamini_yekutieli"):
        tie = np.isclose(got.p_value, 0.05, rtol=1e-9)
        assert (got.compatible | ~shown | tie).all()


def test_one_family_may_hold_intervals_of_any_kind() -> None:
    arms = Moments(*np.array([[900.0, 10, 900, 0], [900, 10.3, 900, 0]]).T)

    def lift(alpha: FloatArray) -> Comparison:
        return fieller(arms[..., 0], arms[..., 1], alpha=alpha)

    def share(alpha: FloatArray) -> Comparison:
        return proportions.difference([3, 30], [200, 200], 9, 200, alpha=alpha)

    mean = welch(arms[..., 0], arms[..., 1])
    first, second, third = adjust_family(mean, lift, share, method="bonferroni")
    wanted = fieller(arms[..., 0], arms[..., 1], alpha=0.05 / 4)
    assert float(second.lower) == pytest.approx(float(wanted.lower))
    assert float(first.p_value) == float(second.p_value)
    assert third.lower.shape == (2,)
    for got in (first, second, third):
        assert got.compatible.all()
    with pytest.raises(StatisticsError, match="must have intervals of t form"):
        adjust_family(wanted)


def test_a_stricter_level_may_leave_a_lift_unbounded_and_says_so() -> None:
    arms = Moments(*np.array([[900.0, 0.07, 900, 0], [900, 0.3, 900, 0]]).T)

    def lift(alpha: FloatArray) -> Comparison:
        return fieller(arms[..., 0], arms[..., 1], alpha=alpha)

    assert lift(np.asarray(0.05)).status[()] == Status.OK
    got = adjust_family(lift, family([0.5]), method="bonferroni")[0]
    assert got.status[()] == Status.UNBOUNDED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": float("nan")}, r"alpha must lie in \(0, 1\), got nan"),
        ({"method": "sidak"}, "method must be one of .*got 'sidak'"),
        ({"interval": "fcr"}, "interval must be holm or bonferroni for holm"),
        ({"method": "hommel", "weights": [[1.0]]}, "weights must be None for hommel"),
        ({"weights": [[1.0], [1.0]]}, "weights must hold 1 members, got 2"),
        ({"weights": [[0.0]]}, "must sum to > 0, got 0"),
        ({"method": "dunnett"}, "shared must be given for dunnett only"),
        ({"method": "dunnett", "shared": [2.0]}, r"shared must lie in \[0, 1\], got 2"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        adjust_family(family([0.5]), **options)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(StatisticsError, match="members must hold at least one"):
        adjust_family()


def test_e_values_are_benjamini_hochberg_of_their_inverses() -> None:
    """Wang and Ramdas 2022: reject the k largest when k e_(k) / K >= 1 / alpha."""
    log_e = np.log([400.0, 90.0, 10.0, 0.2])
    got = multiplicity.e_benjamini_hochberg(log_e)
    assert got.tolist() == pytest.approx([4 / 400, 4 / (2 * 90), 4 / (3 * 10), 1.0])
    assert multiplicity.e_benjamini_hochberg([1e5, np.nan]).tolist()[0] == 0.0


def mixed_metrics(simulations: int, lift: FloatArray) -> Comparison:
    """Twenty metrics of four kinds, some correlated; ``lift`` in standard errors."""
    rng = np.random.default_rng(20)
    n = 400
    shape = (simulations, 2, 5)
    normal = rng.standard_normal(shape) / np.sqrt(n)
    close = 0.7 * normal + np.sqrt(0.51) * rng.standard_normal(shape) / np.sqrt(n)
    spread = rng.chisquare(n - 1, (2, *shape))
    events = rng.binomial(n, 0.2, shape) / n
    counts = rng.negative_binomial(n * 2, 0.5, shape) / n
    mean = np.concatenate([normal, close, events, counts], axis=-1)
    m2 = np.concatenate(
        [spread[0], spread[1], n * events * (1 - events), np.full(shape, 4.0 * n)], -1
    )
    deviation = np.sqrt(2 * m2.mean(axis=(0, 1)) / n) / np.sqrt(n)
    mean[:, 1] += lift * deviation
    arms = Moments(np.full(mean.shape, float(n)), mean, m2, np.asarray(np.nan))
    return welch(arms[:, 0], arms[:, 1])


def test_false_claims_stay_below_the_stated_error_on_twenty_mixed_metrics() -> None:
    simulations = 2500
    real = np.zeros(20)
    single = mixed_metrics(simulations, real)
    for name in FAMILY_WISE:
        adjust = getattr(multiplicity, name)
        wrong = [bool((adjust(p) < 0.05).any()) for p in single.p_value]
        assert np.mean(wrong) <= 0.055
    assert (single.p_value < 0.05).any(axis=-1).mean() > 0.5
    real[::4] = 4.0
    some = mixed_metrics(simulations, real)
    for name in ("benjamini_hochberg", "benjamini_yekutieli"):
        found = np.array([getattr(multiplicity, name)(p) < 0.05 for p in some.p_value])
        false = (found & (real == 0)).sum(axis=-1) / np.maximum(found.sum(axis=-1), 1)
        assert false.mean() <= 0.055
        assert found[:, real > 0].mean() > 0.5


@pytest.mark.parametrize(
    ("method", "least"), [("bonferroni", 0.95), ("holm", 0.95), ("none", 0.0)]
)
def test_adjusted_intervals_cover_together(method: Method, least: float) -> None:
    rng = np.random.default_rng(3)
    truth = np.array([0.0, 0.0, 3.0, 5.0])
    covered = 0
    for z in truth + rng.standard_normal((800, 4)):
        p = list(2 * normal_tail(np.abs(z)))
        signs = list(np.sign(z).astype(int))
        (got,) = adjust_family(family(p, signs), method=method)
        covered += bool(((got.lower <= truth) & (truth <= got.upper)).all())
    share = covered / 800
    assert share >= least - 0.02
    if method == "none":
        assert share < 0.87


def test_few_of_the_intervals_of_selected_cells_miss() -> None:
    """False coverage rate, where selecting makes plain intervals miss far more."""
    rng = np.random.default_rng(12)
    truth = np.repeat([0.0, 0.5, 2.5], [14, 3, 3])
    missed, plainly = [], []
    for z in truth + rng.standard_normal((1500, 20)):
        p = list(2 * normal_tail(np.abs(z)))
        single = family(p, list(np.sign(z).astype(int)))
        (got,) = adjust_family(single, method="benjamini_hochberg")
        chosen = max(int(got.selected.sum()), 1)
        off = (got.lower > truth) | (got.upper < truth)
        missed.append((off & got.selected).sum() / chosen)
        plain = (single.lower > truth) | (single.upper < truth)
        plainly.append((plain & got.selected).sum() / chosen)
    assert np.mean(missed) <= 0.055
    assert np.mean(plainly) > 0.08
