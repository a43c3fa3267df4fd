"""Which bucket a unit falls in: bit for bit GrowthBook's hashing (pure).

Version 2 hashes the seed and the unit twice, so that the buckets of two experiments
are independent; version 1 is understood for experiments that move in.
References: GrowthBook SDK specification 0.8.0, sections ``hash``, ``getBucketRange``
and ``chooseVariation``; Fowler, Noll, Vo: FNV-1a, 32 bit.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from fnv_hash_fast import fnv1a_32

Range = tuple[float, float]

_OFFSET = 0x811C9DC5
_PRIME = 0x01000193
_MASK = 0xFFFFFFFF


def fnv32a(text: str) -> int:
    """FNV-1a, 32 bit, over UTF-16 code units, as JavaScript's strings are hashed."""
    try:
        return int(fnv1a_32(text.encode("latin-1")))
    except UnicodeEncodeError:
        hashed = _OFFSET
        units = memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")
        for unit in units:
            hashed = ((hashed ^ unit) * _PRIME) & _MASK
        return hashed


def bucketer(seed: str, version: int = 2) -> Callable[[str], int] | None:
    """The hash of a seed, compiled: unit to bucket number, below ``slots(version)``.

    None for an unknown version, which puts nobody anywhere.
    """
    if version == 1:
        return lambda unit: fnv32a(unit + seed) % 1_000
    if version != 2:
        return None
    try:
        prefix = seed.encode("latin-1")
    except UnicodeEncodeError:
        return lambda unit: fnv1a_32(b"%d" % fnv32a(seed + unit)) % 10_000

    def second_version(unit: str) -> int:
        try:
            hashed = fnv1a_32(prefix + unit.encode("latin-1"))
        except UnicodeEncodeError:
            hashed = fnv32a(seed + unit)
        return fnv1a_32(b"%d" % hashed) % 10_000

    return second_version


def slots(version: int) -> int:
    """Into how many buckets a hash version deals."""
    return 1_000 if version == 1 else 10_000


def bucket(seed: str, unit: str) -> float:
    """The bucket of a unit, in [0, 1), by hash version 2."""
    number_of = bucketer(seed)
    assert number_of is not None  # noqa: S101 # version 2 is known
    return number_of(unit) / 10_000


def bucket_of_version(seed: str, unit: str, version: int) -> float | None:
    """The bucket by a stated hash version; None for an unknown one."""
    number_of = bucketer(seed, version)
    return None if number_of is None else number_of(unit) / slots(version)


def equal_weights(count: int) -> tuple[float, ...]:
    """``count`` equal weights; none for a count below one."""
    return tuple(1 / count for _ in range(count)) if count > 0 else ()


def bucket_ranges(
    count: int, coverage: float = 1.0, weights: Sequence[float] | None = None
) -> tuple[Range, ...]:
    """The half-open range of buckets each of ``count`` variants owns.

    Variant i owns ``coverage * weight`` from the sum of the weights before it, so
    raising the coverage moves nobody. Coverage is clamped to 0..1; weights of a wrong
    count, or that do not sum to 1 (within 0.01), are replaced by equal ones.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    if weights is None or len(weights) != count or not 0.99 <= sum(weights) <= 1.01:
        weights = equal_weights(count)
    ranges, start = [], 0.0
    for weight in weights:
        ranges.append((start, start + coverage * weight))
        start += weight
    return tuple(ranges)


def choose(value: float, ranges: Sequence[Range]) -> int:
    """Index of the range that holds a bucket; -1 when none does."""
    for index, (start, end) in enumerate(ranges):
        if start <= value < end:
            return index
    return -1


class Partition:
    """Who owns each bucket number: ``choose`` over whole numbers, made once.

    Attributes:
        edges: Ascending bucket numbers at which the owner changes.
        owners: Index of the range from each edge on, the first one before all edges;
            -1: nobody. One more than there are edges.
    """

    __slots__ = ("edges", "owners")

    def __init__(self, ranges: Sequence[Range], version: int = 2) -> None:
        count = slots(version)
        whole = [(_edge(start, count), _edge(end, count)) for start, end in ranges]
        self.edges = tuple(sorted({edge for pair in whole for edge in pair}))
        self.owners = (-1, *(_owner(edge, whole) for edge in self.edges))

    def owner(self, number: int) -> int:
        """Index of the range that holds a bucket number; -1 when none does."""
        return self.owners[bisect_right(self.edges, number)]


def _edge(bound: float, count: int) -> int:
    """The smallest bucket number that is not below a bound."""
    if math.isnan(bound):
        return count
    near = math.floor(min(max(bound, 0.0), 1.0) * count)
    return next(
        n for n in range(max(near - 1, 0), near + 3) if n / count >= bound or n >= count
    )


def _owner(number: int, ranges: Sequence[tuple[int, int]]) -> int:
    holders = (i for i, (start, end) in enumerate(ranges) if start <= number < end)
    return next(holders, -1)
