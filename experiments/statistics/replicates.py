"""Replicates of the Poisson bootstrap, from sums that shards can add up.

Every replicate gives every unit a weight drawn from Poisson(1) by hashing the unit's
key with the replicate's number, so shards, days and reruns agree without talking to
each other, and a SQL engine draws the same weights (`WEIGHT_SQL`).

References:
    Chamandy, Muralidharan, Najmi, Naidu (2012), "Estimating uncertainty for massive
    data streams", Google technical report, section 3 (Poisson bootstrap).
    Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators",
    OOPSLA (splitmix64, whose finaliser mixes key and replicate).
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.aggregates import CrossMoments
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    divide,
    quiet,
)

Keys: TypeAlias = NDArray[np.uint64]

REPLICATES = 1000
"""Default number of replicates: the 2.5 % tails then rest on 25 replicates each."""

_LANES = 4
_STEPS = 1 << 16
_BLOCK = 2048


def _thresholds() -> tuple[int, ...]:
    """Return where a number of 16 bits starts to mean a weight of 1, 2, ...

    Rounded so that the weights' mean is exactly 1; their variance is 1 to 1e-5.
    """
    below = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(9)])
    upper = 1 - below  # P(weight >= k), k = 1 to 9
    share = np.rint(upper * _STEPS).astype(np.int64)
    share[0] += _STEPS - share.sum()
    return tuple(int(_STEPS - s) for s in share if s > 0)


THRESHOLDS = _thresholds()
"""Of 16 bits b, the weight is how many of these b reaches."""

WEIGHT_SQL = f"""
create or replace macro mix(word, shift, factor) as
    ((xor(word, word >> shift)::uhugeint * factor) % (1::uhugeint << 64))::ubigint;
create or replace macro seeded(key, block) as
    ((key::uhugeint + 11400714819323198485::uhugeint * (block + 1)::uhugeint)
    % (1::uhugeint << 64))::ubigint;
create or replace macro mixed(seed) as
    mix(mix(seed, 30, 13787848793156543929::uhugeint), 27,
    10723151780598845931::uhugeint);
create or replace macro bits(unit, number) as
    xor(mixed(seeded(unit, number)), mixed(seeded(unit, number)) >> 31);
create or replace macro poisson_weight(unit_key, replicate) as
    list_sum(list_transform({list(THRESHOLDS)}, lambda t: (t <=
    ((bits(unit_key, replicate // 4) >> (16 * (replicate % 4))) & 65535))::int));
create or replace macro unit_key(id) as ('0x' || left(sha256(id), 16))::ubigint;
"""
"""The weights in DuckDB's SQL; sum w, w y, w x, w y y, w x x and w y x by replicate."""

_WEIGHT = np.searchsorted(THRESHOLDS, np.arange(_STEPS), side="right").astype(np.uint8)


def unit_keys(ids: Iterable[str]) -> Keys:
    """Return 64-bit keys of text ids: the first 16 hexadecimal digits of SHA-256."""
    return np.array(
        [int(hashlib.sha256(i.encode()).hexdigest()[:16], 16) for i in ids],
        dtype=np.uint64,
    )


def poisson_weights(
    keys: ArrayLike, replicates: int, *, first: int = 0
) -> NDArray[np.uint8]:
    """Return weights of shape (unit, replicate), Poisson(1), a function of the key.

    Args:
        keys: whole numbers in [0, 2^64), one a unit, such as `unit_keys` gives.
        replicates: how many.
        first: number of the first replicate, a multiple of 4.

    Raises:
        StatisticsError: keys that are not whole numbers, replicates < 1, or ``first``
            not a multiple of 4.
    """
    if replicates < 1:
        raise StatisticsError(f"replicates must be >= 1, got {replicates}")
    if first % _LANES:
        raise StatisticsError(f"first must be a multiple of {_LANES}, got {first}")
    blocks = np.arange(-(-replicates // _LANES), dtype=np.uint64) + np.uint64(
        first // _LANES + 1
    )
    with np.errstate(over="ignore"):
        z = _checked_keys(keys)[:, None] + np.uint64(0x9E3779B97F4A7C15) * blocks
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    bits = z.astype("<u8", copy=False).view("<u2")
    return np.asarray(_WEIGHT[bits[:, :replicates]])


def _checked_keys(keys: ArrayLike) -> Keys:
    array = np.asarray(keys)
    whole = array.dtype.kind == "u" or (
        array.dtype.kind == "i" and bool((array >= 0).all())
    )
    if array.ndim != 1 or not (whole or array.size == 0):
        raise StatisticsError(
            f"keys must be one row of whole numbers >= 0, got {array.dtype} of shape "
            f"{array.shape}"
        )
    return array.astype(np.uint64)


@dataclass(frozen=True, slots=True)
class ReplicateSums:
    """One variant's moments, plain and of every replicate; shards merge exactly.

    A mean is the ratio of the values to a denominator of 1 a unit.

    Attributes:
        plain: moments of numerator y and denominator x over units, shape (...).
        resampled: the same with each replicate's weights, shape (..., replicate); SQL
            sums go through `CrossMoments.from_power_sums`.
    """

    plain: CrossMoments
    resampled: CrossMoments

    def __post_init__(self) -> None:
        """Check that the shapes agree."""
        cells, shape = self.plain.count.shape, self.resampled.count.shape
        if shape[:-1] != cells or not shape:
            raise StatisticsError(
                f"resampled must have shape {(*cells, 'replicate')}, got {shape}"
            )

    @classmethod
    def from_rows(
        cls,
        values: ArrayLike,
        keys: ArrayLike,
        denominators: ArrayLike | None = None,
        *,
        replicates: int = REPLICATES,
    ) -> Self:
        """Reduce rows along the last axis; rows of one key stay together.

        With one row a unit this is the ordinary bootstrap of units. With the key of a
        cluster or of a switchback period, clusters or periods are resampled, and the
        mean is still one a row.

        Args:
            values: numerators, shape (..., row).
            keys: whole numbers in [0, 2^64), shape (row,); all rows of a key belong to
                one shard.
            denominators: shape (..., row); 1 by default.
            replicates: how many.

        Raises:
            StatisticsError: shapes that do not fit, keys that are not whole numbers, or
                replicates < 1.
        """
        own = _checked_keys(keys)
        y = as_floats("values", values)
        x = (
            np.ones_like(y)
            if denominators is None
            else as_floats("denominators", denominators)
        )
        if y.shape[-1:] != own.shape or y.shape != x.shape:
            raise StatisticsError(
                f"values and denominators must have shape (..., {own.size}) like the "
                f"keys, got {y.shape} and {x.shape}"
            )
        order = np.argsort(own, kind="stable")
        unique, start = np.unique(own[order], return_index=True)
        if unique.size < own.size:
            y, x = (np.add.reduceat(a[..., order], start, axis=-1) for a in (y, x))
            own = unique
        plain = CrossMoments.from_units(y, x)
        return cls(plain, _resampled(plain, y, x, own, replicates))

    def merge(self, other: "ReplicateSums") -> "ReplicateSums":
        """Return the sums of both sets of units together (another shard or day)."""
        mine, theirs = self.replicates, other.replicates
        if mine != theirs:
            raise StatisticsError(f"replicates must be {mine}, got {theirs}")
        return ReplicateSums(
            self.plain.merge(other.plain), self.resampled.merge(other.resampled)
        )

    @property
    def replicates(self) -> int:
        """How many replicates there are."""
        return int(self.resampled.count.shape[-1])


@quiet
def _resampled(
    plain: CrossMoments, y: FloatArray, x: FloatArray, keys: Keys, replicates: int
) -> CrossMoments:
    """Return weighted moments of every replicate, from centred products."""
    dy, dx = y - plain.mean_y[..., None], x - plain.mean_x[..., None]
    columns = np.stack([np.ones_like(y), dy, dx, dy * dy, dx * dx, dy * dx])
    sums = np.zeros((*columns.shape[:-1], replicates))
    for at in range(0, keys.size, _BLOCK):
        part = slice(at, at + _BLOCK)
        weights = poisson_weights(keys[part], replicates).astype(np.float64)
        sums += columns[..., part] @ weights
    n, sy, sx, syy, sxx, syx = sums
    my, mx = (np.where(n > 0, divide(s, n), 0.0) for s in (sy, sx))
    return CrossMoments(
        n,
        np.where(n > 0, plain.mean_y[..., None] + my, 0.0),
        np.where(n > 0, plain.mean_x[..., None] + mx, 0.0),
        np.maximum(syy - my * sy, 0.0),
        np.maximum(sxx - mx * sx, 0.0),
        syx - my * sx,
    )
