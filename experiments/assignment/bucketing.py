"""Which bucket a unit falls in: bit for bit GrowthBook's hashing (pure).

Version 2 hashes the seed and the unit twice, so that the buckets of two experiments
are independent; version 1 is understood for experiments that move in.
References: GrowthBook SDK specification 0.8.0, sections ``hash``, ``getBucketRange``
and ``chooseVariation``; Fowler, Noll, Vo: FNV-1a, 32 bit.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
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


def bucket(seed: str, unit: str) -> float:
    """The bucket of a unit, in [0, 1), by hash version 2."""
    return fnv32a(str(fnv32a(seed + unit))) % 10_000 / 10_000


def bucket_of_version(seed: str, unit: str, version: int) -> float | None:
    """The bucket by a stated hash version; None for an unknown one."""
    if version == 2:
        return bucket(seed, unit)
    if version == 1:
        return fnv32a(unit + seed) % 1_000 / 1_000
    return None


def bucket_many(seed: str, units: Sequence[str]) -> npt.NDArray[np.float64]:
    """Version 2 buckets of many units: shape (n,), each equal to ``bucket``'s."""
    count = len(units)
    matrix, lengths = _code_units([seed + unit for unit in units])
    first = _fnv_rows(matrix, lengths)
    # The second hash runs over the decimal digits of the first, up to ten.
    powers = 10 ** np.arange(9, -1, -1, dtype=np.uint64)
    digits = (first.astype(np.uint64)[:, None] // powers) % np.uint64(10)  # (n, 10)
    significant = np.maximum.accumulate(digits > 0, axis=1)
    significant[:, -1] = True
    hashed = np.full(count, _OFFSET, dtype=np.uint32)
    for column in range(10):
        character = digits[:, column].astype(np.uint32) + np.uint32(ord("0"))
        step = (hashed ^ character) * np.uint32(_PRIME)
        hashed = np.where(significant[:, column], step, hashed)
    return (hashed % np.uint32(10_000)).astype(np.float64) / 10_000


def _code_units(
    texts: Sequence[str],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """UTF-16 code units, zero-padded, (n, longest), and the lengths, (n,)."""
    encoded = [text.encode("utf-16-le", "surrogatepass") for text in texts]
    lengths = np.array([len(text) // 2 for text in encoded], dtype=np.int64)
    width = int(lengths.max(initial=0))
    padded = b"".join(text.ljust(2 * width, b"\0") for text in encoded)
    units = np.frombuffer(padded, dtype="<u2").reshape(len(texts), width)
    return units.astype(np.uint32), lengths


def _fnv_rows(
    units: npt.NDArray[np.uint32], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    hashed = np.full(len(units), _OFFSET, dtype=np.uint32)
    shortest = int(lengths.min(initial=units.shape[1]))
    for column in range(units.shape[1]):
        step = (hashed ^ units[:, column]) * np.uint32(_PRIME)
        hashed = step if column < shortest else np.where(column < lengths, step, hashed)
    return hashed


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
