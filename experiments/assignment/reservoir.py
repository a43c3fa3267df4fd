"""The last 20,000 units a shop asked about, encrypted, so that edits can be previewed.

A front remembers whom it answered and writes them once a second, at most a few hundred
at a time; what a busy second leaves out comes back with the next one. Raw ids and
attributes are encrypted (AES-256-GCM, the unit key as associated data) under a key made
from the installation's secret, and gone after 7 days.
"""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final, cast

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from experiments.assignment.answers import UnitContext
from experiments.assignment.javascript import Json
from experiments.assignment.moves import Shopper
from experiments.gateway.units import UnitHasher

logger = logging.getLogger(__name__)

CAPACITY: Final = 20_000
KEPT_SECONDS: Final = 7 * 86_400
AT_ONCE: Final = 300  # units a process writes a second
SEEN = "reservoir:seen"  # sorted set of unit keys by the time they were last seen
UNITS = "reservoir:units"  # hash of unit key to cipher text
_NONCE_BYTES = 12


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    unit_id: str
    attributes: dict[str, object]


_DECODER = msgspec.msgpack.Decoder(_Sealed)


class Cipher:
    """Encrypts what the reservoir keeps of a unit.

    Args:
        secret: The installation's unit secret.
    """

    def __init__(self, secret: str) -> None:
        key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"reservoir")
        self._aead = AESGCM(key.digest())

    def seal(self, unit_key: bytes, shopper: Shopper) -> bytes:
        """Cipher text that only opens under the same unit key."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = msgspec.msgpack.encode(
            _Sealed(shopper.unit_id, dict(shopper.attributes))
        )
        return nonce + self._aead.encrypt(nonce, plain, unit_key)

    def open(self, unit_key: bytes, sealed: bytes) -> Shopper | None:
        """The unit; None: another key sealed it, as after a change of the secret."""
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            plain = self._aead.decrypt(nonce, body, unit_key)
        except InvalidTag:
            return None
        found = _DECODER.decode(plain)
        known = cast("dict[str, Json]", found.attributes)
        return Shopper(found.unit_id, known)


class Reservoir:
    """Where a front leaves whom it answered; one object per process.

    Args:
        redis: The installation's Redis.
        hasher: Makes unit keys.
        cipher: Encrypts.
    """

    def __init__(self, redis: AsyncRedis, hasher: UnitHasher, cipher: Cipher) -> None:
        self._redis = redis
        self._hasher = hasher
        self._cipher = cipher
        self._met: dict[str, UnitContext] = {}

    def note(self, context: UnitContext) -> None:
        """Remember a unit until the next write; costs the answer a dictionary entry."""
        if len(self._met) < AT_ONCE:
            self._met[context.unit_id] = context

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write once a second inside the block, and what is left at its end."""
        task = asyncio.create_task(self._write_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._try_to_write()

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self.write(time.time())
        except (RedisError, OSError) as error:
            logger.warning("Previews miss the last shoppers: %s", error)

    async def write(self, now: float) -> None:
        """Write whom we met, and forget the oldest.

        Args:
            now: Unix seconds.

        Raises:
            redis.RedisError: Redis is away; whom we met is forgotten.
        """
        met, self._met = self._met, {}
        if not met:
            return
        sealed = {}
        for unit_id, context in met.items():
            unit_key = self._hasher.hash(unit_id)
            shopper = Shopper(unit_id, context.attributes)
            sealed[unit_key] = self._cipher.seal(unit_key, shopper)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zadd(SEEN, dict.fromkeys(sealed, now))
            pipe.hset(UNITS, mapping=sealed)  # type: ignore[arg-type]  # bytes are fine
            pipe.zrange(SEEN, 0, -CAPACITY - 1)
            pipe.zrangebyscore(SEEN, "-inf", now - KEPT_SECONDS)
            *_, surplus, old = await pipe.execute()
        await self._forget({*surplus, *old})

    async def _forget(self, unit_keys: set[bytes]) -> None:
        if unit_keys:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zrem(SEEN, *unit_keys)
                pipe.hdel(UNITS, *unit_keys)
                await pipe.execute()


def recent(redis: Redis, cipher: Cipher, *, now: float) -> Iterator[Shopper]:
    """The units seen lately, newest first.

    Args:
        redis: The installation's Redis.
        cipher: The one they were written with.
        now: Unix seconds.
    """
    found = redis.zrevrangebyscore(SEEN, "+inf", now - KEPT_SECONDS)
    keys = cast("list[bytes]", found)
    for start in range(0, len(keys), 1_000):
        some = keys[start : start + 1_000]
        values = cast("list[bytes | None]", redis.hmget(UNITS, some))
        for unit_key, sealed in zip(some, values, strict=True):
            shopper = cipher.open(unit_key, sealed) if sealed else None
            if shopper is not None:
                yield shopper


def erase(redis: Redis, unit_keys: set[bytes]) -> int:
    """Forget units; returns how many were known."""
    if not unit_keys:
        return 0
    redis.hdel(UNITS, *unit_keys)
    return int(redis.zrem(SEEN, *unit_keys))
