"""Concurrent shoppers over HTTP: ask for a list, look, respond, send events."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import orjson

from config.demo.world import Event, Visit, World

CONCURRENCY = 24
EVENTS_PER_REQUEST = 400
TRIES = 8


class StorefrontError(Exception):
    """The product did not answer a storefront as promised; the message says what."""


@dataclass
class Tally:
    """What the storefront has done so far."""

    visits: int = 0
    lists: int = 0
    events: int = 0
    rejected: int = 0


class Storefront:
    """The shop's own code in front of Shipworthy.

    Args:
        url: Address of the front.
        key: Secret key with the scopes recommend, events and simulate.
        world: Who comes and how they respond.
    """

    def __init__(self, url: str, key: str, world: World) -> None:
        self.url = url
        self.world = world
        self.key = key
        self.tally = Tally()
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
        }
        self._waiting: list[Event] = []

    def open_for(
        self,
        visits: Sequence[Visit],
        background: Iterable[Event],
        progress: Callable[[Tally], None],
    ) -> None:
        """Serve these visits, and send the background events, in time order."""
        asyncio.run(self._run(visits, background, progress))

    async def _run(
        self,
        visits: Sequence[Visit],
        background: Iterable[Event],
        progress: Callable[[Tally], None],
    ) -> None:
        coming = iter(visits)
        connector = aiohttp.TCPConnector(limit=CONCURRENCY + 4)
        async with aiohttp.ClientSession(
            self.url, headers=self._headers, connector=connector
        ) as session:
            aside = _UpTo(background)
            shoppers = [
                asyncio.create_task(self._shopper(session, coming, aside, progress))
                for _ in range(CONCURRENCY)
            ]
            try:
                await asyncio.gather(*shoppers)
            finally:
                for task in shoppers:
                    task.cancel()
            self._waiting += aside.up_to(float("inf"))
            await self._flush(session, everything=True)
        progress(self.tally)

    async def _shopper(
        self,
        session: aiohttp.ClientSession,
        coming: Iterator[Visit],
        background: "_UpTo",
        progress: Callable[[Tally], None],
    ) -> None:
        for visit in coming:
            self._waiting += background.up_to(visit.at)
            answer = await self._post(
                session,
                "/api/v1/recommendations",
                {
                    "unit_id": visit.unit_id,
                    "placement": "home",
                    "timestamp": datetime.fromtimestamp(visit.at, UTC).isoformat(),
                },
            )
            items = [item["item_id"] for item in answer["items"]]
            self.tally.visits += 1
            self.tally.lists += bool(items)
            self._waiting += self.world.respond(visit, items, answer["request_id"])
            if len(self._waiting) >= EVENTS_PER_REQUEST:
                await self._flush(session)
            if self.tally.visits % 50 == 0:
                progress(self.tally)

    async def _flush(
        self, session: aiohttp.ClientSession, *, everything: bool = False
    ) -> None:
        while len(self._waiting) >= EVENTS_PER_REQUEST or (
            everything and self._waiting
        ):
            batch = self._waiting[:EVENTS_PER_REQUEST]
            del self._waiting[:EVENTS_PER_REQUEST]
            answer = await self._post(session, "/api/v1/events", {"events": batch})
            self.tally.events += answer["accepted"]
            self.tally.rejected += len(answer.get("rejected", ()))

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: object
    ) -> dict:  # type: ignore[type-arg]
        """Post, and try again when the product says that it is busy."""
        data = orjson.dumps(body)
        said = ""
        for attempt in range(TRIES):
            try:
                async with session.post(path, data=data) as response:
                    text = await response.read()
                    if response.status < 300:
                        return orjson.loads(text)  # type: ignore[no-any-return]
                    said = f"{response.status}: {text[:300].decode(errors='replace')}"
                    if response.status not in {429, 502, 503, 504}:
                        break
                    pause = float(response.headers.get("Retry-After", "1"))
            except aiohttp.ClientConnectionError as error:
                said, pause = repr(error), 0.2 * 2**attempt
            await asyncio.sleep(min(pause, 5.0))
        raise StorefrontError(f"POST {path} was not answered: {said}")


class _UpTo:
    """Hands out events in time order, up to a moment."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = iter(events)
        self._next = next(self._events, None)

    def up_to(self, at: float) -> list[Event]:
        moment = (
            datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
            if at != float("inf")
            else "9999"
        )
        out: list[Event] = []
        while self._next is not None and str(self._next["timestamp"]) <= moment:
            out.append(self._next)
            self._next = next(self._events, None)
        return out
