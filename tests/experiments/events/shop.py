"""A shop that sends events, for the tests of the event path."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import cast

import duckdb
from django.conf import settings
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from experiments.events.lake import EVENTS, Lake
from experiments.events.rows import EventRow, decode_rows
from experiments.events.stream import EventStream
from experiments.gateway.keys import Key
from experiments.gateway.units import UnitHasher

HASHER = UnitHasher("a-unit-key-for-tests-that-is-long-enough")
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRET = Key(id=7, digest="", kind="secret", label="server", scopes=("events",))
PUBLISHABLE = Key(
    id=8, digest="", kind="publishable", label="browser", scopes=("events",)
)
SIMULATOR = Key(
    id=9, digest="", kind="secret", label="demo", scopes=("events", "simulate")
)


def event(**fields: object) -> dict[str, object]:
    """A valid event, but for what ``fields`` says; None leaves a field out."""
    made: dict[str, object] = {
        "event_id": str(uuid.uuid4()),
        "name": "view",
        "unit_id": "anna",
        "timestamp": NOW.isoformat(),
        "item_id": "lamp",
        **fields,
    }
    return {name: value for name, value in made.items() if value is not None}


def body(*events: object, **envelope: object) -> bytes:
    return json.dumps({"events": events, **envelope}).encode()


def row(**fields: object) -> EventRow:
    """A row received now."""
    now = datetime.now(UTC)
    defaults: dict[str, object] = {
        "name": "view",
        "unit_key": HASHER.hash("anna"),
        "timestamp": now,
        "received_at": now,
        "item_id": "lamp",
    }
    return EventRow(**{**defaults, **fields})  # type: ignore[arg-type]  # test data


def with_stream(act: Callable[[EventStream], Awaitable[None]], **options: int) -> None:
    """Run ``act`` with a stream on the test's Redis."""

    async def run() -> None:
        async with AsyncRedis.from_url(settings.REDIS_URL) as redis:
            stream = EventStream(
                redis, cap=options.pop("cap", 1000), require_durable=False, **options
            )
            await act(stream)
            await stream.close()

    asyncio.run(run())


def send(*batches: Sequence[EventRow], shards: int = 1) -> None:
    """Append each batch to the stream as an entry of its own."""

    async def act(stream: EventStream) -> None:
        for rows in batches:
            await stream.append(rows)

    with_stream(act, shards=shards)


def entries(client: Redis, key: str) -> list[tuple[str, list[EventRow]]]:
    """Ids and rows of a stream's entries, in order."""
    found = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(key))
    return [(name.decode(), decode_rows(fields[b"rows"])) for name, fields in found]


def logged(
    url: str, columns: str = "event_id", table: str = EVENTS
) -> list[tuple[object, ...]]:
    """Rows of the log, read from its files by plain DuckDB."""
    files = Lake(url).active_files(name=table)
    if not files:
        return []
    with duckdb.connect() as database:
        found = database.sql(
            f"SELECT {columns} FROM read_parquet($files) ORDER BY ALL",
            params={"files": files},
        ).to_arrow_table()  # DuckDB's own rows with time zones would need pytz
    return [tuple(values.values()) for values in found.to_pylist()]
