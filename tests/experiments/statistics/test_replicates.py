"""Poisson weights and replicate sums."""

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.aggregates import CrossMoments
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.replicates import (
    WEIGHT_SQL,
    ReplicateSums,
    poisson_weights,
    unit_keys,
)

FIELDS = ("count", "mean_y", "mean_x", "m2_y", "m2_x", "cxy")


def close(a: CrossMoments, b: CrossMoments) -> None:
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-9
        )


def test_weights_are_poisson_and_independent() -> None:
    weights = poisson_weights(np.arange(20_000), 100).astype(np.float64)
    assert weights.mean() == pytest.approx(1.0, abs=0.004)
    assert weights.var() == pytest.approx(1.0, abs=0.01)
    share = np.bincount(weights.astype(int).ravel(), minlength=9) / weights.size
    wanted = np.exp(-1) / np.array([1, 1, 2, 6, 24])
    np.testing.assert_allclose(share[:5], wanted, atol=0.001)
    between = np.corrcoef(weights[:, :40].T) - np.eye(40)
    assert np.abs(between).max() < 5 / np.sqrt(20_000)
    neighbours = np.corrcoef(weights[:-1].ravel(), weights[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.004


def test_a_units_weights_depend_on_its_key_alone() -> None:
    keys = unit_keys([f"shopper {i}" for i in range(50)])
    whole = poisson_weights(keys, 20)
    np.testing.assert_array_equal(whole[30:], poisson_weights(keys[30:], 20))
    np.testing.assert_array_equal(whole[:, :7], poisson_weights(keys, 7))
    np.testing.assert_array_equal(whole[:, 8:], poisson_weights(keys, 12, first=8))
    assert whole[:5, :8].tolist() == GOLDEN


GOLDEN = [
    [1, 1, 0, 1, 2, 2, 0, 2],
    [1, 1, 0, 1, 1, 1, 1, 1],
    [1, 1, 0, 0, 2, 1, 1, 1],
    [0, 0, 2, 0, 1, 1, 1, 1],
    [3, 0, 0, 1, 2, 1, 2, 1],
]


def test_a_sql_engine_draws_the_same_weights() -> None:
    names = [f"shopper {i}" for i in range(40)]
    with duckdb.connect() as connection:
        connection.execute(WEIGHT_SQL)
        rows = connection.execute(
            "select poisson_weight(unit_key('shopper ' || u), r)"
            " from range(40) a(u), range(24) b(r) order by u, r"
        ).fetchall()
    got = np.array(rows).reshape(40, 24)
    np.testing.assert_array_equal(got, poisson_weights(unit_keys(names), 24))


def test_a_replicate_is_the_sample_with_each_unit_so_many_times() -> None:
    y = np.random.default_rng(1).lognormal(size=60)
    x = np.random.default_rng(2).poisson(3, 60) + 1.0
    sums = ReplicateSums.from_rows(y, np.arange(60), x, replicates=8)
    for replicate, weights in enumerate(poisson_weights(np.arange(60), 8).T):
        rows = np.repeat(y, weights), np.repeat(x, weights)
        close(sums.resampled[..., replicate], CrossMoments.from_units(*rows))
    close(sums.plain, CrossMoments.from_units(y, x))


values = st.lists(st.integers(-1000, 1000), min_size=0, max_size=20)


@settings(deadline=None, max_examples=40)
@given(values, values)
def test_shards_merge_into_what_all_units_give(a: list[int], b: list[int]) -> None:
    y = np.array([*a, *b], dtype=np.float64) * 1e-3 + 1e5
    keys = np.arange(y.size)
    parts = [
        ReplicateSums.from_rows(y[part], keys[part], replicates=12)
        for part in (slice(0, len(a)), slice(len(a), None))
    ]
    merged = parts[0].merge(parts[1])
    whole = ReplicateSums.from_rows(y, keys, replicates=12)
    close(merged.plain, whole.plain)
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(merged.resampled, name), getattr(whole.resampled, name), atol=1e-6
        )


def by_hand(y: FloatArray, x: FloatArray, labels: list[int]) -> CrossMoments:
    sums = [
        [a[np.array(labels) == k].sum() for k in sorted(set(labels))] for a in (y, x)
    ]
    return CrossMoments.from_units(*sums)


def test_rows_of_one_key_are_resampled_together() -> None:
    y = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
    labels = [7, 3, 7, 9, 3]
    sums = ReplicateSums.from_rows(y, labels, replicates=4)
    for row in (0, 1):
        close(sums.plain[row], by_hand(y[row], np.ones(5), labels))
    clusters = ReplicateSums.from_rows(
        [7.0, 4.0, 4.0], [3, 7, 9], [2.0, 2.0, 1.0], replicates=4
    )
    close(clusters.resampled, sums.resampled[0])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match="keys must be one row of whole numbers"):
        ReplicateSums.from_rows([1.0, 2.0], [0.5, 1.0])
    with pytest.raises(StatisticsError, match="keys must be one row of whole numbers"):
        poisson_weights([-1], 3)
    with pytest.raises(StatisticsError, match="replicates must be >= 1, got 0"):
        poisson_weights([1], 0)
    with pytest.raises(StatisticsError, match="first must be a multiple of 4"):
        poisson_weights([1], 4, first=2)
    with pytest.raises(StatisticsError, match=r"must have shape \(\.\.\., 1\)"):
        ReplicateSums.from_rows([1.0, 2.0], [1])
    one, two = (ReplicateSums.from_rows([1.0], [1], replicates=r) for r in (4, 8))
    with pytest.raises(StatisticsError, match="replicates must be 4, got 8"):
        one.merge(two)
    with pytest.raises(StatisticsError, match="resampled must have shape"):
        ReplicateSums(one.plain, one.plain)
