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
SCRIPT_UNITS = 100
# One call for many units: three commands a unit would cost the collector half its time.
_ENTER = """
local at = 3
for _, key in ipairs(KEYS) do
  local count = tonumber(ARGV[at])
  redis.call('ZADD', key, unpack(ARGV, at + 1, at + count))
  redis.call('ZREMRANGEBYRANK', key, 0, -ARGV[1] - 1)
  redis.call('EXPIRE', key, ARGV[2])
  at = at + count + 1
end
"""


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
    enter = redis.register_script(_ENTER)
    units = list(by_unit.items())
    for start in range(0, len(units), SCRIPT_UNITS):
        some = units[start : start + SCRIPT_UNITS]
        arguments: list[str | float] = [MAX_ENTRIES, int(EXPIRY.total_seconds())]
        for _, members in some:
            newest = sorted(members)[-MAX_ENTRIES:]
            arguments.append(2 * len(newest))
            for entry in newest:
                arguments += (members[entry], entry)
        enter(keys=[history_key(unit_key) for unit_key, _ in some], args=arguments)


def member(milliseconds: int, name: str, item_id: str) -> str:
    """An entry as it is stored."""
    # Zero-padded, so that entries of one millisecond keep a stable order.
    return f"{milliseconds:013d}|{NAMES.index(name)}|{item_id}"


def _entry(stored: bytes | str) -> HistoryEntry:
    text = stored.decode() if isinstance(stored, bytes) else stored
    milliseconds, name, item_id = text.split("|", 2)
    return HistoryEntry(item_id, NAMES[int(name)], int(milliseconds) / 1000)
