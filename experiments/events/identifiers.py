"""Which event ids the log holds: an exact recent window in memory.

Ids are kept as 64-bit mixed hashes in sorted NumPy runs (8 bytes an id). Two of a
billion different ids collide with a probability of 3e-2 over all pairs, but an event
is only mistaken for a known one if it meets one of the window's: 5e-11 at a billion.
The mix is seeded per process, so that nobody can craft ids that meet.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
WINDOW = timedelta(hours=24)
BUCKET = timedelta(hours=6)
MAX_RUNS = 8
_SEEDS = np.frombuffer(secrets.token_bytes(16), np.uint64)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def hash_ids(event_ids: Sequence[str]) -> Hashes:
    """Mixed hashes of canonical UUID texts.

    Raises:
        ValueError: One is not a UUID of 36 characters.
    """
    digits = "".join(event_ids).replace("-", "")
    if len(digits) != 32 * len(event_ids):
        raise ValueError("An event id is not a UUID.")
    if not event_ids:
        return np.empty(0, np.uint64)
    halves = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
    high, low = halves[0::2], halves[1::2]
    mixed: Hashes = _mix(_mix(high ^ _SEEDS[0]) ^ low ^ _SEEDS[1])
    return mixed


def _mix(x: Hashes) -> Hashes:
    """The finaliser of SplitMix64, a bijection (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))


class RecentIds:
    """Ids of the rows received within the last 24 to 30 hours."""

    def __init__(self, now: datetime) -> None:
        self.start = _floor(now - WINDOW)
        self._buckets: dict[datetime, list[Hashes]] = {}

    def add(self, hashes: Hashes, now: datetime) -> None:
        """Remember ids and forget those beyond the window."""
        self.start = _floor(now - WINDOW)
        for old in [start for start in self._buckets if start < self.start]:
            del self._buckets[old]
        runs = self._buckets.setdefault(_floor(now), [])
        runs.append(np.sort(hashes))
        if len(runs) > MAX_RUNS:
            runs[:] = [np.unique(np.concatenate(runs))]

    def contains(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """For each id, whether it is remembered."""
        found = np.zeros(len(hashes), bool)
        for runs in self._buckets.values():
            for run in runs:
                if len(run):
                    at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
                    found |= run[at] == hashes
        return found


def _floor(moment: datetime) -> datetime:
    seconds = moment.timestamp() // BUCKET.total_seconds() * BUCKET.total_seconds()
    return datetime.fromtimestamp(seconds, UTC)
