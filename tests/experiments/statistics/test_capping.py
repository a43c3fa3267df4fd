"""Capping of very large units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.aggregates import Moments
from experiments.statistics.capping import Cap
from experiments.statistics.means import welch
from experiments.statistics.numeric import StatisticsError
from tests.experiments.statistics.shared_data import columns


def test_one_outlier_makes_the_cookie_cats_difference() -> None:
    table = columns("cookie_cats.csv.gz")
    rounds, version = table["sum_gamerounds"], table["version"]
    arms = [rounds[version == rank] for rank in (0, 1)]
    plain = welch(*(Moments.from_units(arm) for arm in arms))
    means = [float(Moments.from_units(arm).mean) for arm in arms]
    assert means == pytest.approx([52.45626, 51.29878], abs=6e-6)
    assert float(plain.p_value) == pytest.approx(0.3759244, abs=6e-8)
    without = welch(*(Moments.from_units(arm[arm < 49_854]) for arm in arms))
    assert float(without.p_value) == pytest.approx(0.9494686, abs=6e-8)
    cap = Cap.from_units(*arms)
    control, treatment = (cap.apply(arm) for arm in arms)
    capped = welch(control.capped, treatment.capped)
    assert 1000 < float(cap.threshold) < 2000
    assert float(capped.p_value) > 0.5
    assert float(control.share_capped) == pytest.approx(0.001, rel=0.2)
    np.testing.assert_array_equal(control.uncapped.mean, means[0])


def test_the_threshold_is_one_of_the_non_zero_values_of_all_arms() -> None:
    cap = Cap.from_units([0, 0, 0, 1, 2, 3], [0, 4, 5, 6, 7, 8, 9, 10], level=0.9)
    assert float(cap.threshold) == 9.0
    kept = cap.apply([0, 9, 10, 50])
    assert float(kept.share_capped) == 0.5
    assert float(kept.capped.mean) == 27 / 4


def test_each_metric_and_segment_has_its_own_threshold() -> None:
    values = np.array([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]])
    cap = Cap.from_units(values, values, level=0.5)
    np.testing.assert_array_equal(cap.threshold, [2.0, 20.0])
    np.testing.assert_array_equal(cap.apply(values).share_capped, [0.5, 0.5])


def test_without_a_value_nothing_is_capped() -> None:
    for cap in (Cap.from_units(np.zeros(5)), Cap.from_units([])):
        assert np.isinf(cap.threshold)
        assert float(cap.apply([1.0, 1e9]).share_capped) == 0.0
        assert np.isnan(cap.apply([]).share_capped)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_capping_never_raises_the_mean_and_keeps_every_unit(
    values: list[float], level: float
) -> None:
    result = Cap.from_units(values, level=level).apply(values)
    assert float(result.capped.mean) <= float(result.uncapped.mean) + 1e-9
    assert float(result.capped.count) == len(values)
    assert 0 <= float(result.share_capped) <= 1


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StatisticsError, match="level must lie in"):
        Cap.from_units([1.0], level=1.0)
    with pytest.raises(StatisticsError, match="arms must share their leading axes"):
        Cap.from_units([1.0], [[1.0]])
    with pytest.raises(StatisticsError, match="arms must share"):
        Cap.from_units()
    with pytest.raises(StatisticsError, match="threshold must be a number"):
        Cap(np.asarray(np.nan))
    with pytest.raises(StatisticsError, match="values must have the leading axes"):
        Cap(np.zeros(3)).apply([[1.0], [2.0]])
