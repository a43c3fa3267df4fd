"""Assigning clusters: the number of clusters decides, whatever their sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from experiments.statistics.aggregates import Moments
from experiments.statistics.clusters import (
    cluster_arm,
    cluster_difference,
    cluster_lift,
    cluster_moments,
    cluster_totals,
    design_effect,
    intraclass,
)
from experiments.statistics.comparison import Status
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.sequential import Look
from tests.experiments.statistics.test_laws import agree, known_or_marked


def test_the_arm_has_the_cr2_error_and_df_of_the_matrix_form() -> None:
    sizes = [3, 5, 2, 8]
    cluster = np.repeat(range(4), sizes)
    y = np.random.default_rng(0).normal(size=18) + cluster
    hat = np.full((18, 18), 1 / 18)
    residual, error2, rows = y - y.mean(), 0.0, []
    for one in range(4):
        mine = cluster == one
        block = np.eye(mine.sum()) - hat[np.ix_(mine, mine)]
        adjust = np.real(linalg.inv(linalg.sqrtm(block)))
        error2 += (adjust.sum(axis=0) @ residual[mine] / 18) ** 2
        row = np.zeros(18)
        row[mine] = adjust.sum(axis=0) / 18
        rows.append((np.eye(18) - hat) @ row)
    form = np.array(rows) @ np.array(rows).T
    df = np.trace(form) ** 2 / np.trace(form @ form)
    arm = cluster_arm(cluster_moments(cluster, y))
    assert float(arm.mean) == pytest.approx(y.mean())
    assert float(arm.standard_error2) == pytest.approx(error2)
    assert float(arm.count) - 1 == pytest.approx(df)


def test_equal_clusters_are_welch_of_their_means() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(1.0, 1.0, (6, 10)), rng.normal(1.5, 2.0, (9, 10))
    wanted = welch(*(Moments.from_units(rows.mean(axis=-1)) for rows in (a, b)))
    arms = [cluster_totals(10.0, rows.sum(axis=-1)) for rows in (a, b)]
    for weighting in ("unit", "cluster"):
        found = cluster_difference(*arms, weighting=weighting)
        for name in ("estimate", "standard_error", "degrees_of_freedom", "p_value"):
            assert float(getattr(found, name)) == pytest.approx(
                float(getattr(wanted, name))
            )


def test_empty_clusters_pad_an_arm_without_a_trace() -> None:
    bare = cluster_moments([0, 0, 1, 1, 1, 2], [1.0, 2.0, 4.0, 4.5, 3.0, 7.0])
    hole = Moments.from_units([])
    padded = Moments(
        *(
            np.insert(getattr(bare, name), [1, 3], getattr(hole, name))
            for name in ("count", "mean", "m2", "m3")
        )
    )
    for weighting in ("unit", "cluster"):
        one, two = (cluster_arm(c, weighting=weighting) for c in (bare, padded))
        assert float(one.standard_error2) == pytest.approx(float(two.standard_error2))
        assert float(one.count) == pytest.approx(float(two.count))
    alike = [float(intraclass(c).estimate) for c in (bare, padded)]
    assert alike[0] == pytest.approx(alike[1])


def test_a_large_level_costs_no_digits() -> None:
    rng = np.random.default_rng(6)
    cluster, rows = np.repeat(range(20), 30), rng.normal(0, 1, 600)
    plain, high = (cluster_moments(cluster, rows + level) for level in (0.0, 1e8))
    assert float(intraclass(high).estimate) == pytest.approx(
        float(intraclass(plain).estimate), abs=1e-6
    )
    assert float(cluster_arm(high).standard_error2) == pytest.approx(
        float(cluster_arm(plain).standard_error2), rel=1e-6
    )


def test_the_intraclass_correlation_is_that_of_the_variance_table() -> None:
    # Two clusters of two: between mean square 8, within mean square 0.5.
    found = intraclass(cluster_moments([0, 0, 1, 1], [0.5, 1.5, 3.0, 3.0]))
    between, within = 4.0, 0.25
    assert float(found.estimate) == pytest.approx(
        (between - within) / (between + within)
    )
    assert float(found.design_effect) == pytest.approx(1 + float(found.estimate))
    rng = np.random.default_rng(2)
    rows = rng.normal(0, 1, (4000, 1)) + rng.normal(0, 2, (4000, 5))
    many = intraclass(
        cluster_moments(np.repeat(range(4000), 5), rows.ravel()),
        cluster_moments(np.repeat(range(4000), 5), 9 + rows.ravel()),
    )
    assert float(many.estimate) == pytest.approx(0.2, abs=0.02)
    assert intraclass(cluster_totals([1.0, 1.0], [1.0, 2.0])).status == (
        Status.NOT_ENOUGH_DATA
    )


def test_the_design_effect_grows_with_size_and_its_spread() -> None:
    assert float(design_effect(21, 0.05)) == pytest.approx(2.0)
    assert float(design_effect(20, 0.05, size_variation=0.5)) == pytest.approx(2.2)
    assert float(design_effect(1, 0.9)) == 1.0


def draw(seed: int, clusters: int, effect: float) -> tuple[FloatArray, FloatArray]:
    """Sizes and totals of uneven clusters that differ, 2,000 experiments."""
    rng = np.random.default_rng(seed)
    size = rng.integers(5, 60, (2000, clusters)).astype(float)
    level = 1 + effect + rng.normal(0, 0.5, size.shape)
    return size, rng.normal(size * level, np.sqrt(size))


def test_few_uneven_clusters_keep_the_error_rate() -> None:
    control, treatment = draw(3, 8, 0.0), draw(4, 10, 0.0)
    arms = [cluster_totals(*rows) for rows in (control, treatment)]
    for weighting in ("unit", "cluster"):
        result = cluster_difference(*arms, weighting=weighting)
        assert 0.031 <= float(result.excludes_zero.mean()) <= 0.069
    # Users taken as independent would cry wolf most of the time.
    naive = [
        Moments(size.sum(-1), total.sum(-1) / size.sum(-1), size.sum(-1) - 1, np.nan)  # type: ignore[arg-type]  # one value for all
        for size, total in (control, treatment)
    ]
    assert float(welch(*naive).excludes_zero.mean()) > 0.3
    lifted = cluster_lift(arms[0], cluster_totals(*draw(5, 10, 0.2)))
    miss = (lifted.lower > 0.2) | (lifted.upper < 0.2)
    assert 0.025 <= float(miss.mean()) <= 0.069


sizes = st.one_of(st.integers(0, 5), st.integers(0, 10**9)).map(float)
cells = st.lists(st.tuples(sizes, st.floats(-1e6, 1e6)), min_size=1, max_size=5)


@settings(deadline=None)
@given(cells, cells)
def test_any_clusters_give_figures_or_a_status(
    control: list[tuple[float, float]], treatment: list[tuple[float, float]]
) -> None:
    arms = [cluster_totals(*np.array(rows).T) for rows in (control, treatment)]
    mirrored = cluster_difference(*arms[::-1])
    for quantile in (None, Look((0.5,), alpha=0.05)):
        for weighting in ("unit", "cluster"):
            for method in (cluster_difference, cluster_lift):
                result = method(*arms, weighting=weighting, quantile=quantile)
                assert agree(result)
                assert known_or_marked(result)
    result = cluster_difference(*arms)
    if result.status == Status.OK:
        assert float(mirrored.estimate) == pytest.approx(-float(result.estimate))
        assert float(mirrored.p_value) == pytest.approx(float(result.p_value))
    assert intraclass(*arms).status == Status.NOT_ENOUGH_DATA or np.isfinite(
        intraclass(*arms).mean_size
    )


def test_wrong_arguments_are_named() -> None:
    arm = cluster_totals([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(StatisticsError, match="size must be finite and >= 0, got -1"):
        cluster_totals([-1.0], [1.0])
    with pytest.raises(StatisticsError, match="weighting must be"):
        cluster_arm(arm, weighting="shop")  # type: ignore[arg-type]  # wrong
    with pytest.raises(StatisticsError, match=r"cluster must have shape \(3,\)"):
        cluster_moments([0, 1], [1.0, 2.0, 3.0])
    with pytest.raises(StatisticsError, match="icc must be <= 1"):
        design_effect(10, 1.5)
    with pytest.raises(StatisticsError, match="arms must be at least 1"):
        intraclass()


def test_few_uneven_clusters_are_marked_and_equal_ones_are_not() -> None:
    rng = np.random.default_rng(8)
    for sizes, expected in (
        (np.repeat(100.0, 15), Status.OK),
        (rng.lognormal(4.6, 0.5, 15), Status.FEW_CLUSTERS),
        (rng.lognormal(4.6, 0.5, 60), Status.OK),
    ):
        arms = [
            cluster_totals(sizes, sizes * rng.normal(1.0, 0.2, sizes.size))
            for _ in range(2)
        ]
        for compare in (cluster_difference, cluster_lift):
            assert compare(*arms).status[()] == expected
