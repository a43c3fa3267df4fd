"""Which exposures were logged already: once per unit, phase and day is enough.

A process remembers what it logged; Redis remembers for all of them. With Redis away
an exposure may be logged again: its event id is the same, so the log keeps one.
"""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

EXPIRY = timedelta(hours=26)
REMEMBERED = 200_000
TIMEOUT_SECONDS = 0.5
REST_SECONDS = 1.0
_NAMESPACE = uuid.UUID("6f1d2f5e-3c1b-5f0a-9c55-0e3b6a0d7a11")


class Exposure(NamedTuple):
    """A unit meeting an experiment's phase on a UTC day (``2026-11-24``)."""

    experiment: str
    phase: int
    day: str
    unit_key: bytes

    @property
    def event_id(self) -> str:
        """The same for the same exposure, whoever logs it."""
        name = f"{self.experiment}\n{self.phase}\n{self.day}\n{self.unit_key.hex()}"
        return str(uuid.uuid5(_NAMESPACE, name))


def utc_day(now: float) -> str:
    """The UTC date of a moment given in unix seconds."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


class ExposureLog:
    """Remembers exposures; one object per process and event loop."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known: set[Exposure] = set()
        self._rests_until = float("-inf")

    async def is_first(self, exposure: Exposure) -> bool:
        """Whether nobody has logged it yet; from now on somebody has."""
        if exposure in self._known:
            return False
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known.add(exposure)
        if time.monotonic() < self._rests_until:
            return True
        key = f"shipworthy:exposed:{exposure.experiment}:{exposure.phase}"
        key = f"{key}:{exposure.day}"
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                # One set a day: a third of the memory of a key for each unit.
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.sadd(key, exposure.unit_key)
                    pipe.expire(key, EXPIRY)
                    added, _ = await pipe.execute()
        except (RedisError, OSError, TimeoutError):
            self._rests_until = time.monotonic() + REST_SECONDS
            return True
        return bool(added)
