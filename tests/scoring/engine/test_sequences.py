"""Sequences: every target once an epoch, padding, repeats."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.engine.sequences import Sequences, without_repeats_in_a_row
from tests.scoring.engine.data import interactions


def _sequences(*paths: str, learn_repeats: bool = False) -> Sequences:
    rows = [
        (unit, item, float(step))
        for unit, path in enumerate(paths)
        for step, item in enumerate(path)
    ]
    log = interactions(sorted(rows, key=lambda row: row[2]))
    return Sequences.from_interactions(log, learn_repeats=learn_repeats)


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=8),
    st.integers(2, 12),
    st.integers(16, 64),
    st.integers(0, 99),
)
def test_an_epoch_learns_every_step_exactly_once(
    sizes: list[int], length: int, tokens: int, seed: int
) -> None:
    rows = [(u, f"{u}-{s}", float(s)) for u, n in enumerate(sizes) for s in range(n)]
    log = interactions(sorted(rows, key=lambda row: row[2]))
    sequences = Sequences.from_interactions(log, learn_repeats=False)
    steps: Counter[tuple[int, int]] = Counter()
    for chunks in sequences.batches(length, tokens, np.random.default_rng(seed)):
        batch = sequences.pad(chunks)
        assert batch.inputs.shape[1] <= length
        assert len(chunks) == 1 or batch.inputs.size <= tokens
        real = batch.weights > 0
        steps.update(zip(batch.inputs[real], batch.targets[real], strict=True))
    assert set(steps.values()) == {1}
    assert len(steps) == sequences.n_targets == sum(sizes) - len(sizes)


def test_a_batch_is_padded_on_the_right() -> None:
    sequences = _sequences("abc", "ab")
    batch = sequences.pad(list(sequences.spans))
    assert batch.inputs.tolist() == [[0, 1], [0, 0]]
    assert batch.targets.tolist() == [[1, 2], [1, 0]]
    assert batch.weights.tolist() == [[1, 1], [1, 0]]


def test_repeats_in_a_row_are_one_step() -> None:
    sequences = _sequences("aabbbc")
    assert sequences.items.tolist() == [0, 1, 2]
    assert without_repeats_in_a_row(np.array([3, 3, 3])).tolist() == [3]
    assert without_repeats_in_a_row(np.array([], dtype=np.int64)).tolist() == []


def test_items_met_before_are_targets_only_where_asked() -> None:
    assert _sequences("abab").weights.tolist() == [1, 1, 0, 0]
    assert _sequences("abab", learn_repeats=True).weights.tolist() == [1, 1, 1, 1]


def test_units_without_a_target_are_left_out() -> None:
    assert _sequences("ab", "a", "aa", "bc").spans == ((0, 2), (4, 6))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_deals_the_same_epoch(seed: int) -> None:
    sequences = _sequences("abcdefgh", "hgfedcba", "acegbdfh")
    first = sequences.batches(3, 16, np.random.default_rng(seed))
    assert first == sequences.batches(3, 16, np.random.default_rng(seed))
