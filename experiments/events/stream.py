"""The event stream: durable in Redis between acknowledgement and the log.

A shard is one Redis stream; a unit's events always go to the same shard. An entry
is what one request brought for a shard. Nothing is ever dropped to make room: at
the cap new events are refused, and only what the log holds is trimmed.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from experiments.events.errors import StreamFullError, StreamUnavailableError
from experiments.events.rows import EventRow, encode_rows

ROWS_FIELD = b"rows"
Field = bytes | bytearray | memoryview | str | int | float  # redis-py's
LENGTH_SECONDS = 0.1  # how long a stream's length is believed
SETTINGS_SECONDS = 10.0  # how long Redis's own settings are believed
FLUSH_SECONDS = 0.2
FLUSH_ROWS = 500
RETRY_SECONDS = 1.0
MAX_WAITING_ROWS = 20_000
LOGGER = logging.getLogger(__name__)


def shard_name(number: int) -> str:
    """The shard's name: its app id in the log and its value in the rows."""
    return f"stream-{number}"


def stream_key(shard: str) -> str:
    """The Redis key of a shard's stream."""
    return f"shipworthy:events:{shard}"


def shard_of(unit_key: bytes, shards: int) -> int:
    """The shard of a unit's events."""
    return int.from_bytes(unit_key[:4], "big") % shards


def entry_version(entry_id: bytes | str) -> int:
    """A stream id (``ms-seq``) as the int64 that versions its commit."""
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds) * 1_000_000 + int(sequence)


def entry_id(version: int) -> str:
    """The stream id of a commit's version."""
    milliseconds, sequence = divmod(version, 1_000_000)
    return f"{milliseconds}-{sequence}"


class EventStream:
    """Where rows become durable; one object per process and event loop.

    Attributes:
        shards: Number of shards.
        cap: Entries a shard may hold before new events are refused.
        lost_rows: Rows of ``append_later`` given up because Redis stayed away.
    """

    def __init__(
        self, redis: Redis, *, shards: int = 1, cap: int, require_durable: bool = True
    ) -> None:
        """Write to ``redis``; ``require_durable`` is off in tests only."""
        self._redis = redis
        self.shards = shards
        self.cap = cap
        self.lost_rows = 0
        self._require_durable = require_durable
        self._keys = [stream_key(shard_name(n)) for n in range(shards)]
        self._full = False
        self._length_read = self._settings_read = float("-inf")
        self._later: list[EventRow] = []
        self._flushing: asyncio.Task[None] | None = None
        self._enough = asyncio.Event()  # rows for a group of their own
        self._closing = asyncio.Event()

    async def append(self, rows: Sequence[EventRow]) -> None:
        """Make rows durable, all or none; when this returns, they are.

        Raises:
            StreamUnavailableError: Redis is away, unfit or out of memory. Whether
                the rows were taken is unknown only if the connection broke; the
                same rows may be sent again.
            StreamFullError: The stream is at its cap.
        """
        try:
            await self._check_length()
            await self._write(rows)
        except (RedisError, OSError, TimeoutError) as error:
            raise StreamUnavailableError(
                f"The event stream is unavailable ({type(error).__name__}); "
                "send the same events again.",
            ) from error

    @property
    def room(self) -> int:
        """Rows that ``append_later`` takes without giving up others."""
        return MAX_WAITING_ROWS - len(self._later)

    def append_later(self, rows: Sequence[EventRow]) -> None:
        """Queue our own rows (``served``, ``exposure``), written in groups.

        They reach the stream within 200 ms, also when it is at its cap, and are
        kept while Redis is away, up to 20,000.
        """
        self._later.extend(rows)
        excess = len(self._later) - MAX_WAITING_ROWS
        if excess > 0:
            del self._later[:excess]
            self.lost_rows += excess
            LOGGER.error("%d rows were lost: Redis is away", excess)
        if len(self._later) >= FLUSH_ROWS:
            self._enough.set()
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush_soon())

    async def close(self) -> None:
        """Write what is queued.

        Raises:
            StreamUnavailableError: Redis is away; the queued rows are kept.
        """
        self._enough.set()
        self._closing.set()
        if self._flushing is not None:
            await self._flushing
        await self._flush()

    async def check_redis(self) -> None:
        """Refuse a Redis that could drop acknowledged events.

        Raises:
            StreamUnavailableError: Append-only is off or eviction is on.
        """
        if time.monotonic() - self._settings_read < SETTINGS_SECONDS:
            return
        if self._require_durable:
            for name, wanted in (("appendonly", "yes"), ("maxmemory-policy", None)):
                found = (await self._redis.config_get(name)).get(name)
                if found != (wanted or "noeviction"):
                    raise StreamUnavailableError(
                        f"Redis has {name} {found}; the event stream needs "
                        f"{name} {wanted or 'noeviction'}.",
                        retry_after=30,
                    )
        self._settings_read = time.monotonic()

    async def _check_length(self) -> None:
        await self.check_redis()
        now = time.monotonic()
        if now - self._length_read >= LENGTH_SECONDS:
            self._length_read = now
            lengths = [await self._redis.xlen(key) for key in self._keys]
            self._full = max(lengths) >= self.cap
        if self._full:
            raise StreamFullError(
                f"{self.cap} entries wait in the event stream; send the same events "
                "again later.",
                retry_after=5,
            )

    async def _write(self, rows: Sequence[EventRow]) -> None:
        by_key: dict[str, list[EventRow]] = {}
        for row in rows:
            key = self._keys[shard_of(row.unit_key, self.shards)]
            by_key.setdefault(key, []).append(row)
        entries: dict[str, dict[Field, Field]] = {
            key: {ROWS_FIELD: encode_rows(part)} for key, part in by_key.items()
        }
        if len(entries) == 1:
            [(key, entry)] = entries.items()
            await self._redis.xadd(key, entry)
        elif entries:
            async with self._redis.pipeline(transaction=True) as pipe:
                for key, entry in entries.items():
                    pipe.xadd(key, entry)
                await pipe.execute()

    async def _flush_soon(self) -> None:
        while self._later:
            await _pause(self._enough, FLUSH_SECONDS)
            try:
                await self._flush()
            except StreamUnavailableError as error:
                LOGGER.warning("%s %d rows wait", error.message, len(self._later))
                if self._closing.is_set():
                    return
                await _pause(self._closing, RETRY_SECONDS)

    async def _flush(self) -> None:
        rows = self._later
        if not rows:
            return
        self._later = []
        if not self._closing.is_set():
            self._enough.clear()
        try:
            await self.check_redis()
            await self._write(rows)
        except (RedisError, OSError, TimeoutError, StreamUnavailableError) as error:
            self._later = rows + self._later
            raise StreamUnavailableError("The event stream is unavailable.") from error


async def _pause(wake: asyncio.Event, seconds: float) -> None:
    """Wait, but not beyond ``wake``."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
