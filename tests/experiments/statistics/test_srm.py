"""The sample ratio check: how often it cries wolf, and that it hears the wolf."""

import numpy as np
import pytest

from experiments.statistics.srm import sample_ratio


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_fair_split_alarms_once_in_a_thousand(share: float) -> None:
    rng = np.random.default_rng(0)
    control, times = np.unique(rng.binomial(20_000, share, 100_000), return_counts=True)
    p = [
        sample_ratio([n, 20_000 - n], [share, 1 - share]).p_value
        for n in control.tolist()
    ]
    alarms = float(times[np.array(p) < 0.001].sum()) / 100_000
    assert 0.0005 <= alarms <= 0.0016


def test_losing_two_percent_of_one_variant_is_heard() -> None:
    rng = np.random.default_rng(1)
    kept = rng.binomial(100_000, 0.98, 200)
    heard = [sample_ratio([100_000, n], [1, 1]).p_value < 0.001 for n in kept.tolist()]
    assert np.mean(heard) > 0.9


def test_the_order_of_the_arms_does_not_matter() -> None:
    there = sample_ratio([510, 480, 1010], [1, 1, 2])
    back = sample_ratio([1010, 510, 480], [2, 1, 1])
    assert there.p_value == pytest.approx(back.p_value, rel=1e-12)
    few = sample_ratio([3, 9, 1], [1, 2, 1]).p_value
    assert few == pytest.approx(sample_ratio([1, 9, 3], [1, 2, 1]).p_value, rel=1e-12)
