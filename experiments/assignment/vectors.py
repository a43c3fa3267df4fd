"""Buckets of many units at once, for backfills and simulations (pure).

FNV-1a steps a state by ``state = (state ^ digit) * prime``. The exclusive or touches
the lowest byte alone, and that byte's course depends on itself and the digits, so k
steps are ``state * prime**k + table[lowest byte, digits]``: the ten digits that version
2 hashes a second time take three look-ups.
References: Fowler, Noll, Vo: FNV-1a, 32 bit; GrowthBook SDK specification 0.8.0,
``hash``.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from fnv_hash_fast import fnv1a_32

from experiments.assignment.bucketing import Partition, fnv32a

Numbers = npt.NDArray[np.uint32]
Units = Sequence[str] | npt.NDArray[Any]
"""Ids: texts, or an array of fixed width (``S`` for ASCII, fastest; ``U`` for all)."""

_PRIME = 0x01000193
_BLOCK = 16_384  # units hashed together: their columns stay in the cache
_LOW, _MIDDLE, _SHORT = np.uint32(100_000), np.uint32(1_000), np.uint32(100)
_BYTE, _BUCKETS = np.uint32(0xFF), np.uint32(10_000)


def bucket_many(seed: str, units: Units) -> npt.NDArray[np.float64]:
    """Version 2 buckets of many units: shape (n,), each equal to ``bucket``'s."""
    return bucket_numbers(seed, units) / 10_000


def variant_numbers(
    seed: str, units: Units, partition: Partition
) -> npt.NDArray[np.int64]:
    """Which variant each unit gets: shape (n,), -1 where none, as a plan deals them."""
    edges = np.array(partition.edges, dtype=np.uint16)
    owners = np.array(partition.owners, dtype=np.int64)
    dealt = owners[np.searchsorted(edges, np.arange(10_000, dtype=np.uint16), "right")]
    return dealt[bucket_numbers(seed, units)]


def bucket_numbers(seed: str, units: Units) -> npt.NDArray[np.uint16]:
    """Version 2 bucket numbers, 0 to 9,999: shape (n,)."""
    numbers = np.empty(len(units), dtype=np.uint16)
    start = np.uint32(fnv32a(seed))  # the seed comes first, so it is hashed once
    for first in range(0, len(units), _BLOCK):
        block = slice(first, first + _BLOCK)
        columns, lengths = _code_units(units[block])
        hashed = _second_hash(_first_hash(columns, lengths, start))
        numbers[block] = hashed % _BUCKETS
    return numbers


def _code_units(units: Units) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """UTF-16 code units, zero-padded, (longest, n), and the lengths, (n,)."""
    if isinstance(units, np.ndarray) and units.dtype.kind == "S":
        wide = units.view(np.uint8).reshape(len(units), -1)
        columns = np.ascontiguousarray(wide.T)
        if columns[-1].all():
            return columns, np.full(len(units), len(columns), dtype=np.int64)
        return columns, np.char.str_len(units)
    texts = units.tolist() if isinstance(units, np.ndarray) else units
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    width = max(int(lengths.max()), 1)
    points = np.array(texts, dtype=f"U{width}").view(np.uint32)
    points = points.reshape(len(texts), width)
    if points.max() <= 0xFFFF:  # a code point each
        return np.ascontiguousarray(points.T), lengths
    encoded = [text.encode("utf-16-le", "surrogatepass") for text in texts]
    lengths = np.array([len(text) // 2 for text in encoded], dtype=np.int64)
    width = int(lengths.max())
    padded = b"".join(text.ljust(2 * width, b"\0") for text in encoded)
    pairs = np.frombuffer(padded, dtype="<u2").reshape(len(texts), width)
    return np.ascontiguousarray(pairs.T), lengths


def _first_hash(
    columns: npt.NDArray[Any], lengths: npt.NDArray[np.int64], start: np.uint32
) -> Numbers:
    """FNV-1a from a starting state over columns of code units."""
    hashed = np.full(columns.shape[1], start, dtype=np.uint32)
    shortest = int(lengths.min())
    unit = np.empty_like(hashed)
    for position, column in enumerate(columns):
        unit[:] = column
        if position < shortest:
            np.bitwise_xor(hashed, unit, out=hashed)
            np.multiply(hashed, np.uint32(_PRIME), out=hashed)
        else:
            step = (hashed ^ unit) * np.uint32(_PRIME)
            hashed = np.where(position < lengths, step, hashed)
    return hashed


def _second_hash(first: Numbers) -> Numbers:
    """FNV-1a over the decimal digits of the first hash, at most ten."""
    leading, middle, last = _tables()
    high = first // _LOW
    low = first - high * _LOW
    middle_digits = low // _SHORT
    last_digits = low - middle_digits * _SHORT
    hashed = leading.take(high)
    hashed = hashed * _power(3) + middle.take(
        (hashed & _BYTE) * _MIDDLE + middle_digits
    )
    hashed = hashed * _power(2) + last.take((hashed & _BYTE) * _SHORT + last_digits)
    for index in np.flatnonzero(high == 0):  # fewer than six digits: one in 43,000
        hashed[index] = fnv1a_32(b"%d" % int(first[index]))
    return hashed


@lru_cache(maxsize=1)
def _tables() -> tuple[Numbers, Numbers, Numbers]:
    """States after the leading digits, and what three and two digits add."""
    highest = 2**32 // int(_LOW) + 1
    leading = np.array([fnv1a_32(b"%d" % n) for n in range(highest)], dtype=np.uint32)
    return leading, _added_by(3), _added_by(2)


def _added_by(digits: int) -> Numbers:
    """What ``digits`` digits add to a state, by its lowest byte and the digits."""
    state = np.repeat(np.arange(256, dtype=np.uint32), 10**digits)
    number = np.tile(np.arange(10**digits, dtype=np.uint32), 256)
    before = state * _power(digits)
    for exponent in reversed(range(digits)):
        digit = number // np.uint32(10**exponent) % np.uint32(10)
        state = (state ^ (digit + np.uint32(ord("0")))) * np.uint32(_PRIME)
    return state - before


def _power(exponent: int) -> np.uint32:
    return np.uint32(pow(_PRIME, exponent, 2**32))
