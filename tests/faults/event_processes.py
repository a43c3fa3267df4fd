"""Processes of the event path, to be killed, run by ``python -m``.

``writer REDIS FILE STOP`` sends batches, each until it is acknowledged, notes the ids
it was promised, and ends once the file STOP exists.
``collector REDIS LAKE SHARD`` drains for ever.
"""

import asyncio
import itertools
import sys
import time
from pathlib import Path

import redis as redis_module
from redis.asyncio import Redis

from experiments.events.collector import Collector
from experiments.events.errors import StreamUnavailableError
from experiments.events.lake import Lake
from experiments.events.stream import EventStream
from tests.experiments.events.shop import row

ROWS = 25
LOST_ANSWER_EVERY = 10
PAUSE_S = 0.02


async def write(url: str, path: Path, stop: Path) -> None:
    """Send, again where there was no answer, and note what was acknowledged."""
    async with Redis.from_url(url) as redis:
        stream = EventStream(redis, cap=1_000_000)
        with path.open("w") as promised:
            for number in itertools.count():
                if stop.exists():  # noqa: ASYNC240 # nobody else is on this loop
                    return
                await asyncio.sleep(PAUSE_S)
                rows = [row() for _ in range(ROWS)]
                answered = number % LOST_ANSWER_EVERY != 0
                while True:
                    try:
                        if not answered:  # as if the connection broke after it
                            await stream.append(rows)
                            answered = True
                        await stream.append(rows)
                    except StreamUnavailableError:
                        await asyncio.sleep(0.01)
                    else:
                        break
                promised.writelines(f"{sent.event_id}\n" for sent in rows)


def collect(url: str, lake: str, shard: str) -> None:
    """Drain for ever; while Redis is away, try again, as beat would."""
    collector = Collector(redis_module.Redis.from_url(url), Lake(lake), bury)
    while True:
        try:
            collector.drain(shard, 0.2)
        except redis_module.ConnectionError:
            time.sleep(PAUSE_S)


def bury(shard: str, entry_id: str, reason: str, payload: bytes) -> None:
    """No entry of these tests is poison."""
    raise AssertionError(f"{shard} {entry_id} ({len(payload)} bytes): {reason}")


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "writer":
        asyncio.run(write(arguments[0], Path(arguments[1]), Path(arguments[2])))
    else:
        collect(*arguments)
