"""Open streams: they tell clients that their configuration has changed (SSE).

A stream carries no state of its own, only the fact that something changed; what it
sends is made when it is sent, so a slow reader gets the latest and nothing piles up.
The plan is looked at ten times a second, which also finds phases that start later.
References: WHATWG HTML, server-sent events; OFREP ADR 0008; GrowthBook's ``/sub``.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import msgspec

from experiments.assignment.holder import PlanHolder
from experiments.assignment.payload import Configuration, Configurations
from experiments.gateway.clock import Clock
from experiments.gateway.errors import RateLimitedError
from experiments.gateway.handlers import Response
from experiments.gateway.keys import Key

LOGGER = logging.getLogger(__name__)
LOOK_SECONDS = 0.1
PING_SECONDS = 25.0  # below the minute after which proxies and SDKs give up
RETRY_MS = 10_000
# A change this fresh is told to a new client too: it may have asked just before it.
FRESH_SECONDS = 10.0
_PING = b": ping\n\n"
_HEADERS = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache, no-transform"),
    ("x-accel-buffering", "no"),
)

Message = Callable[[Configuration, float], bytes]
"""What a stream sends about a configuration at a time, without its id."""


def refetch_message(configuration: Configuration, now: float) -> bytes:
    """OFREP: evaluate again; ``etag`` names the state that must answer."""
    data = {
        "type": "refetchEvaluation",
        "etag": configuration.state(now),
        "lastModified": int(configuration.modified_at(now)),
    }
    return b"event: message\ndata: " + msgspec.json.encode(data)


def features_message(configuration: Configuration, now: float) -> bytes:
    """GrowthBook: the whole payload."""
    return b"event: features\ndata: " + configuration.payload(now)


def features_updated_message(configuration: Configuration, now: float) -> bytes:  # noqa: ARG001 # a Message
    """GrowthBook, remote evaluation: a beacon; the client asks again."""
    return b"event: features-updated\ndata: "


class _Reader:
    """One open stream."""

    __slots__ = ("key", "told", "wake")

    def __init__(self, key: Key, told: str) -> None:
        self.key = key
        self.told = told  # the state it was last told of
        self.wake = asyncio.Event()


class Streams:
    """The open streams of this process.

    Args:
        holder: Whose plan is watched.
        configurations: What clients hold of it.
        clock: For phases that start later, and for keys that end.
        per_key: Streams a key may have open in this process.
    """

    def __init__(
        self,
        holder: PlanHolder,
        configurations: Configurations,
        clock: Clock,
        *,
        per_key: int,
    ) -> None:
        self._holder = holder
        self._configurations = configurations
        self._clock = clock
        self._per_key = per_key
        self._readers: set[_Reader] = set()
        self._open: Counter[str] = Counter()
        self._changed_at = float("-inf")
        self._state = ""
        self._closing = False

    def __len__(self) -> int:
        return len(self._readers)

    def open(self, key: Key, message: Message, last_event_id: str = "") -> Response:
        """A stream for a client of a key.

        Args:
            key: Whose stream it is; it ends when the key does.
            message: What is sent on a change.
            last_event_id: The state the client last heard of, if it says so.

        Raises:
            RateLimitedError: The key has too many open already.
            PlanUnavailableError: There is no plan yet.
        """
        if self._open[key.digest] >= self._per_key:
            raise RateLimitedError(
                f"Key {key.label!r} has {self._per_key} streams open here already; "
                "close some or poll.",
                retry_after=60,
            )
        state = self._configuration().state(self._clock.now())
        fresh = self._clock.now() - self._changed_at < FRESH_SECONDS
        missed = last_event_id not in {"", state} or (not last_event_id and fresh)
        reader = _Reader(key, "" if missed else state)
        return Response(200, b"", _HEADERS, self._messages(reader, message))

    async def watch(self) -> None:
        """Wake the streams whenever clients should know; until cancelled."""
        seen: object = None
        while True:
            try:
                if self._holder.loaded:
                    seen = self._look(seen)
            except Exception:  # a fault of ours may not end the watching
                LOGGER.exception("The streams cannot look at the plan")
            await asyncio.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """End every stream; clients come back to another process."""
        self._closing = True
        for reader in self._readers:
            reader.wake.set()

    def _look(self, seen: object) -> object:
        compiled = self._holder.compiled()
        state = self._configuration().state(self._clock.now())
        if state != self._state:
            if self._state:
                self._changed_at = self._clock.now()
            self._state = state
        elif compiled is seen:
            return seen
        for reader in self._readers:  # also for a plan that only took their key
            reader.wake.set()
        return compiled

    def _configuration(self) -> Configuration:
        return self._configurations.of(self._holder.current())

    def _ended(self, reader: _Reader) -> bool:
        key = self._holder.current().keys.get(reader.key.digest)
        now = self._clock.now()
        return self._closing or key is None or 0 < key.expires_at <= now

    async def _messages(
        self, reader: _Reader, message: Message
    ) -> AsyncIterator[bytes]:
        self._readers.add(reader)
        self._open[reader.key.digest] += 1
        try:
            # An id without data is no message, but what a reconnect then sends.
            told = f"id: {reader.told}\n" if reader.told else ""
            yield f"retry: {RETRY_MS}\n{told}\n".encode()
            while not self._ended(reader):
                yield self._news(reader, message) or _PING
                with suppress(TimeoutError):
                    async with asyncio.timeout(PING_SECONDS):
                        await reader.wake.wait()
                reader.wake.clear()
        finally:
            self._readers.discard(reader)
            self._open[reader.key.digest] -= 1
            if not self._open[reader.key.digest]:
                del self._open[reader.key.digest]

    def _news(self, reader: _Reader, message: Message) -> bytes | None:
        configuration, now = self._configuration(), self._clock.now()
        state = configuration.state(now)
        if state == reader.told:
            return None
        reader.told = state
        return b"id: %b\n%b\n\n" % (state.encode(), message(configuration, now))
