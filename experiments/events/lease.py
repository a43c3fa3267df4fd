"""A lease in Redis: one owner at a time, for as long as it shows signs of life.

It spares work; it is not what keeps the log right. A paused owner may wake up after
its lease has gone to another: then the log's own fence refuses the later commit.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from redis import Redis

_RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', "
_RENEW += "KEYS[1], ARGV[2]) else return 0 end"
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', "
_RELEASE += "KEYS[1]) else return 0 end"


class Lease:
    """A lease we hold."""

    def __init__(self, redis: Redis, key: str, token: str, lasts: timedelta) -> None:
        self._redis, self._key, self._token, self._lasts = redis, key, token, lasts

    def renew(self) -> bool:
        """Hold it for its full time from now; False if it has gone to another."""
        milliseconds = int(self._lasts.total_seconds() * 1000)
        return bool(
            self._redis.eval(_RENEW, 1, self._key, self._token, str(milliseconds))
        )

    def release(self) -> None:
        """Let others have it, if it is still ours."""
        self._redis.eval(_RELEASE, 1, self._key, self._token)


@contextmanager
def lease(redis: Redis, name: str, lasts: timedelta) -> Iterator[Lease | None]:
    """The lease of that name, or None while another holds it."""
    key, token = f"shipworthy:lease:{name}", secrets.token_hex(16)
    if not redis.set(key, token, nx=True, px=lasts):
        yield None
        return
    held = Lease(redis, key, token, lasts)
    try:
        yield held
    finally:
        held.release()
