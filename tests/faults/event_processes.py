"""Processes of the event path, to be killed, run by ``python -m``.

``writer REDIS FILE BATCHES`` sends batches, each until it is acknowledged, and notes
the ids it was promised. ``collector REDIS LAKE SHARD`` drains for ever.
"""

import asyncio
import sys
from pathlib import Path

import redis as redis_module
from redis.asyncio import Redis

from experiments.events.collector import Collector
from experiments.events.errors import StreamUnavailableError
from experiments.events.lake import Lake
from experiments.events.stream import EventStream
from tests.experiments.events.shop import row

ROWS = 25


async def write(url: str, path: Path, batches: int) -> None:
    """Send, again where there was no answer, and note what was acknowledged."""
    async with Redis.from_url(url) as redis:
        stream = EventStream(redis, cap=1_000_000)
        with path.open("w") as promised:
            for _ in range(batches):
                rows = [row() for _ in range(ROWS)]
                while True:
                    try:
                        await stream.append(rows)
                    except StreamUnavailableError:
                        await asyncio.sleep(0.01)
                    else:
                        break
                promised.writelines(f"{sent.event_id}\n" for sent in rows)


def collect(url: str, lake: str, shard: str) -> None:
    """Drain for ever; an error ends the process, as it would a task."""
    collector = Collector(redis_module.Redis.from_url(url), Lake(lake), bury)
    while True:
        collector.drain(shard, 0.2)


def bury(shard: str, entry_id: str, reason: str, payload: bytes) -> None:
    """No entry of these tests is poison."""
    raise AssertionError(f"{shard} {entry_id} ({len(payload)} bytes): {reason}")


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "writer":
        asyncio.run(write(arguments[0], Path(arguments[1]), int(arguments[2])))
    else:
        collect(*arguments)
