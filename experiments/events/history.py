"""Recent history: the last things a unit did with items, in Redis, for serving.

A sorted set per unit, scored by time. The member holds time, name and item, so that
writing the same event twice changes nothing and a late event takes its place.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

NAMES = ("view", "click", "add_to_cart", "purchase")
MAX_ENTRIES = 200
EXPIRY = timedelta(days=90)
PIPELINE_UNITS = 500


class HistoryEntry(NamedTuple):
    """One thing a unit did with an item; ``timestamp`` in unix seconds."""

    item_id: str
    name: str
    timestamp: float


class HistoryRow(Protocol):
    """What of a row of the log enters the history."""

    name: str
    unit_key: bytes
    item_id: str | None
    timestamp: datetime


def history_key(unit_key: bytes) -> str:
    """The Redis key of a unit's history."""
    return f"shipworthy:history:{unit_key.hex()}"


async def read_history(redis: AsyncRedis, unit_key: bytes) -> list[HistoryEntry]:
    """A unit's last 200 entries, oldest first; empty for an unknown unit."""
    members = await redis.zrange(history_key(unit_key), 0, -1)
    return [_entry(stored) for stored in cast("list[bytes | str]", members)]


def write_history(redis: Redis, rows: Iterable[HistoryRow]) -> None:
    """Enter rows of the log; those without an item or of other names are passed by."""
    by_unit: dict[bytes, dict[str, float]] = {}
    for row in rows:
        if row.item_id is not None and row.name in NAMES:
            milliseconds = round(row.timestamp.timestamp() * 1000)
            entry = member(milliseconds, row.name, row.item_id)
            by_unit.setdefault(row.unit_key, {})[entry] = milliseconds
    write_entries(redis, by_unit)


def write_entries(redis: Redis, by_unit: dict[bytes, dict[str, float]]) -> None:
    """Enter members (as ``member`` makes them) with their milliseconds, by unit."""
    with redis.pipeline(transaction=False) as pipe:
        for unit_key, members in by_unit.items():
            key = history_key(unit_key)
            pipe.zadd(key, members)
            pipe.zremrangebyrank(key, 0, -MAX_ENTRIES - 1)
            pipe.expire(key, EXPIRY)
            if len(pipe) >= 3 * PIPELINE_UNITS:
                pipe.execute()
        pipe.execute()


def member(milliseconds: int, name: str, item_id: str) -> str:
    """An entry as it is stored."""
    # Zero-padded, so that entries of one millisecond keep a stable order.
    return f"{milliseconds:013d}|{NAMES.index(name)}|{item_id}"


def _entry(stored: bytes | str) -> HistoryEntry:
    text = stored.decode() if isinstance(stored, bytes) else stored
    milliseconds, name, item_id = text.split("|", 2)
    return HistoryEntry(item_id, NAMES[int(name)], int(milliseconds) / 1000)
