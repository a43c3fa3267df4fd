from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment import bucketing
from tests.experiments.assignment.cases import cases


@pytest.mark.parametrize("case", cases("hash"))
def test_the_hash_equals_the_sdks(case: Any) -> None:
    seed, value, version, expected = case
    assert bucketing.bucket_of_version(seed, value, version) == expected


@pytest.mark.parametrize("case", cases("getBucketRange"))
def test_the_bucket_ranges_equal_the_sdks(case: Any) -> None:
    _, (count, coverage, weights), expected = case
    ranges = bucketing.bucket_ranges(count, coverage, weights)
    assert [tuple(map(rounded, r)) for r in ranges] == [
        tuple(map(rounded, r)) for r in expected
    ]


def rounded(value: float) -> float:
    return round(value, 6)


@pytest.mark.parametrize("case", cases("chooseVariation"))
def test_the_chosen_variant_equals_the_sdks(case: Any) -> None:
    _, value, ranges, expected = case
    assert bucketing.choose(value, ranges) == expected


@pytest.mark.parametrize("case", cases("getEqualWeights"))
def test_equal_weights_equal_the_sdks(case: Any) -> None:
    count, expected = case
    assert list(bucketing.equal_weights(count)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("unit", "version", "expected"),
    [
        ("u1", 2, 0.1932),
        ("u1", 1, 0.198),
        ("é", 2, 0.8663),
        ("日本", 2, 0.9652),
        ("\U0001f600", 2, 0.4346),
    ],
)
def test_published_values_hold_beyond_ascii(
    unit: str, version: int, expected: float
) -> None:
    assert bucketing.bucket_of_version("seed", unit, version) == expected


def test_an_unknown_hash_version_gives_no_bucket() -> None:
    assert bucketing.bucket_of_version("seed", "u1", 3) is None


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.lists(st.integers(1, 100), min_size=2, max_size=6),
    st.integers(0, 9_999),
)
def test_raising_coverage_never_moves_anyone(
    one: float, other: float, shares: list[int], number: int
) -> None:
    weights = [share / sum(shares) for share in shares]
    low, high = sorted((one, other))
    before = bucketing.choose(
        number / 10_000, bucketing.bucket_ranges(len(weights), low, weights)
    )
    after = bucketing.choose(
        number / 10_000, bucketing.bucket_ranges(len(weights), high, weights)
    )
    assert before in {-1, after}


@given(
    st.lists(st.tuples(st.floats(-1, 2), st.floats(-1, 2)), max_size=5),
    st.integers(0, 9_999),
    st.sampled_from([1, 2]),
)
def test_whole_numbered_edges_choose_as_the_sdks_do(
    ranges: list[tuple[float, float]], number: int, version: int
) -> None:
    count = bucketing.slots(version)
    number %= count
    partition = bucketing.Partition(ranges, version)
    assert partition.owner(number) == bucketing.choose(number / count, ranges)


@given(st.integers(0, 9_999))
def test_an_edge_on_a_bucket_belongs_to_the_range_it_opens(number: int) -> None:
    edge = number / 10_000
    partition = bucketing.Partition([(0.0, edge), (edge, 1.0)])
    assert partition.owner(number) == 1
    assert partition.owner(max(number - 1, 0)) == (0 if number else 1)
