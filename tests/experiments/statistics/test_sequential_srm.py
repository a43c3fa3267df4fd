"""The sample-ratio alarm that may be read after every batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import dirichlet_multinomial, multinomial

from experiments.statistics.always_valid import running_p
from experiments.statistics.numeric import StatisticsError
from experiments.statistics.sequential_srm import sequential_sample_ratio

WEIGHTS = (0.4, 0.4, 0.2)


def test_the_evidence_is_that_of_the_published_implementation() -> None:
    """optimizely ssrm, prior (1, 1, 1), four batches."""
    batches = [(20, 17, 9), (18, 21, 8), (4, 6, 4), (18, 19, 11)]
    mixture = np.array(
        [
            -7.028201432058012,
            -11.947847738358888,
            -15.471401950257842,
            -19.96484521090386,
        ]
    )
    dealt = np.array(
        [
            -4.0776406466061985,
            -8.265946861099877,
            -11.610743519545139,
            -15.781031228536165,
        ]
    )
    found = sequential_sample_ratio(
        np.cumsum(batches, axis=0), WEIGHTS, prior=(1, 1, 1)
    )
    assert found.log_evidence == pytest.approx(mixture - dealt, abs=1e-11)
    assert found.p_value.tolist() == [1.0] * 4


def test_the_evidence_is_the_ratio_of_two_likelihoods() -> None:
    counts, total = np.array([430, 390, 180]), np.array(1000)
    alpha = 100 * np.array(WEIGHTS)
    expected = dirichlet_multinomial.logpmf(counts, alpha, total) - multinomial.logpmf(
        counts, 1000, WEIGHTS
    )
    found = sequential_sample_ratio(counts, (4, 4, 2), concentration=100)
    assert float(found.log_evidence) == pytest.approx(expected, abs=1e-9)
    assert found.expected.tolist() == [400, 400, 200]


@pytest.mark.parametrize("concentration", [10.0, 10_000.0])
def test_watching_a_thousand_times_seldom_cries_wolf(concentration: float) -> None:
    """1,000 experiments of 1,000 batches; the promise is at most alpha ever."""
    dice = np.random.default_rng(3)
    counts = dice.multinomial(20, [0.5, 0.3, 0.2], (1000, 1000)).cumsum(axis=1)
    found = sequential_sample_ratio(counts, (5, 3, 2), concentration=concentration)
    ever = running_p(found.p_value)[:, -1]
    assert 0.001 < (ever < 0.05).mean() <= 0.05


def test_a_leak_of_one_unit_in_twenty_five_is_found() -> None:
    dice = np.random.default_rng(4)
    counts = dice.multinomial(500, [0.5, 0.48, 0.02], (200, 300)).cumsum(axis=1)
    found = sequential_sample_ratio(counts[..., :2], (1, 1))
    assert (running_p(found.p_value)[:, -1] < 0.001).mean() > 0.95


def test_units_in_an_arm_without_weight_are_a_certain_mismatch() -> None:
    found = sequential_sample_ratio([[50, 50, 0], [50, 50, 1]], (1, 1, 0))
    assert found.p_value[0] == 1.0
    assert (found.p_value[1], found.log_evidence[1]) == (0.0, np.inf)


def test_each_epoch_is_tested_by_its_own_shares_and_evidence_adds_up() -> None:
    counts = [[900, 100], [500, 500]]
    found = sequential_sample_ratio(counts, [[9, 1], [1, 1]])
    assert (found.p_value == 1).all()
    pooled = sequential_sample_ratio(np.sum(counts, axis=0), (7, 3))
    assert float(found.log_evidence.sum()) < float(pooled.log_evidence) + 10


def test_large_counts_neither_overflow_nor_lose_the_digits() -> None:
    found = sequential_sample_ratio([[5e9, 5e9], [5e9, 5.01e9]], (1, 1))
    assert found.p_value[0] == 1.0
    assert 0 <= found.p_value[1] < 1e-300
    assert np.isfinite(found.log_evidence).all()


@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=5),
    st.integers(0, 4),
)
def test_the_order_and_the_unit_of_the_arms_do_not_matter(
    counts: list[int], turn: int
) -> None:
    weights = np.arange(1.0, len(counts) + 1)
    one = sequential_sample_ratio(counts, weights)
    two = sequential_sample_ratio(np.roll(counts, turn), 7 * np.roll(weights, turn))
    assert float(one.log_evidence) == pytest.approx(
        float(two.log_evidence), rel=1e-7, abs=1e-6
    )
    assert 0 <= float(one.p_value) <= 1


def test_nobody_yet_is_no_mismatch() -> None:
    assert float(sequential_sample_ratio([0, 0], (1, 1)).p_value) == 1.0


@pytest.mark.parametrize(
    ("observed", "weights", "changes", "said"),
    [
        ([1, -1], (1, 1), {}, "observed must be finite and >= 0, got -1"),
        ([1, np.nan], (1, 1), {}, "observed must be finite"),
        ([1, 1], (0, 0), {}, "weights must sum to > 0, got 0"),
        ([1, 1], (1, 1, 1), {}, r"got \(2,\) and \(3,\)"),
        ([1], (1,), {}, "at least 2 arms"),
        ([1, 1], [[1, 1]], {}, r"got \(2,\) and \(1, 2\)"),
        ([[1, 1]] * 3, [[1, 1]] * 2, {}, "do not fit together"),
        ([1, 1], (1, 1), {"concentration": 0}, "concentration must lie in"),
        ([1, 1], (1, 1), {"prior": (1, 0)}, "prior must lie in"),
        ([1, 1], (1, 1), {"prior": (1,)}, r"prior must have shape \(2,\)"),
    ],
)
def test_wrong_arguments_name_themselves(
    observed: object, weights: object, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(StatisticsError, match=said):
        sequential_sample_ratio(observed, weights, **changes)  # type: ignore[arg-type]  # wrong on purpose
