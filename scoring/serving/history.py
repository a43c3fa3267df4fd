"""What a unit did lately, from Redis; without Redis, nothing, and quickly."""

import asyncio
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from experiments.events.history import read_history
from scoring.engine.protocol import History

TIMEOUT_SECONDS = 0.5
SLOW_BEFORE_REST = 3  # a slow answer may be our own busy process: Redis is there
REST_SECONDS = 1.0  # then, requests do not wait for Redis


class RecentHistory:
    """Reads histories; one object per process and event loop.

    Attributes:
        failures: Reads that Redis did not answer.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._rests_until = float("-inf")
        self._slow = 0
        self.failures = 0

    async def of(self, unit_key: bytes, now: float) -> History:
        """A unit's history up to a moment; empty when unknown or Redis is away."""
        if time.monotonic() < self._rests_until:
            return History((), (), now)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                entries = await read_history(self._redis, unit_key)
        except (RedisError, OSError, TimeoutError) as error:
            self.failures += 1
            self._slow += 1
            if not isinstance(error, TimeoutError) or self._slow >= SLOW_BEFORE_REST:
                self._rests_until = time.monotonic() + REST_SECONDS
            return History((), (), now)
        self._slow = 0
        past = [entry for entry in entries if entry.timestamp <= now]
        return History(
            tuple(entry.item_id for entry in past),
            tuple(entry.timestamp for entry in past),
            now,
        )
