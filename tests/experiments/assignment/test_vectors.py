from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.assignment import bucketing, vectors

MANY = 1_000_000
EXPERIMENTS = 20
# With a family of checks, one in ten thousand false alarms among all of them.
FALSE_ALARMS = 1e-4


@given(st.text(max_size=8), st.lists(st.text(max_size=12), max_size=20))
def test_many_units_are_bucketed_as_one_by_one(seed: str, units: list[str]) -> None:
    expected = [bucketing.bucket(seed, unit) for unit in units]
    assert vectors.bucket_many(seed, units).tolist() == expected


@given(
    st.text(max_size=8),
    st.lists(st.text(st.characters(max_codepoint=127), max_size=12), min_size=1),
)
def test_an_array_of_bytes_is_bucketed_as_its_texts(
    seed: str, units: list[str]
) -> None:
    texts = [unit.rstrip("\0") for unit in units]  # as arrays keep them
    expected = [bucketing.bucket(seed, text) for text in texts]
    assert vectors.bucket_many(seed, np.array(texts, dtype="S")).tolist() == expected
    assert vectors.bucket_many(seed, np.array(texts)).tolist() == expected


def test_a_hash_of_few_digits_is_hashed_without_leading_zeros() -> None:
    first = np.array([0, 7, 99_999, 100_000, 2**32 - 1], dtype=np.uint32)
    expected = [bucketing.fnv32a(str(number)) for number in first.tolist()]
    assert vectors._second_hash(first).tolist() == expected


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=4))
def test_many_units_are_dealt_as_one_by_one(ranges: list[tuple[float, float]]) -> None:
    units = [f"u{n}" for n in range(50)]
    partition = bucketing.Partition(ranges)
    expected = [
        bucketing.choose(bucketing.bucket("seed", unit), ranges) for unit in units
    ]
    assert vectors.variant_numbers("seed", units, partition).tolist() == expected


@pytest.fixture(scope="module")
def shoppers() -> "np.ndarray[tuple[int], np.dtype[np.bytes_]]":
    numbers = np.arange(MANY)
    return np.char.add(b"shopper-", numbers.astype("S7"))


@pytest.fixture(scope="module")
def dealt(
    shoppers: "np.ndarray[tuple[int], np.dtype[np.bytes_]]",
) -> "np.ndarray[tuple[int, int], np.dtype[np.uint16]]":
    return np.stack(
        [
            vectors.bucket_numbers(f"experiment-{number}", shoppers)
            for number in range(EXPERIMENTS)
        ]
    )


def test_a_million_units_fall_evenly_over_all_buckets(
    dealt: "np.ndarray[tuple[int, int], np.dtype[np.uint16]]",
) -> None:
    for numbers in dealt:
        counts = np.bincount(numbers, minlength=10_000)
        assert stats.chisquare(counts).pvalue > FALSE_ALARMS / EXPERIMENTS


def test_every_pair_of_twenty_experiments_deals_independently(
    dealt: "np.ndarray[tuple[int, int], np.dtype[np.uint16]]",
) -> None:
    tenths = (dealt // 1_000).astype(np.uint8)
    pairs = list(combinations(range(EXPERIMENTS), 2))
    for one, other in pairs:
        cells = np.bincount(tenths[one] * np.uint8(10) + tenths[other], minlength=100)
        table = cells.reshape(10, 10)
        assert stats.chi2_contingency(table).pvalue > FALSE_ALARMS / len(pairs)
