"""Storefront calls on a plan, without Django and without a server process."""

import asyncio
import json
from typing import Any

import redis
from redis.asyncio import Redis

from experiments.assignment.api.routes import ROUTES
from experiments.assignment.claims import Claims
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.exposures import ExposureLog
from experiments.assignment.holder import PlanHolder
from experiments.assignment.payload import Configurations
from experiments.assignment.plan import Plan
from experiments.assignment.streams import Streams
from experiments.events.api.routes import ROUTES as EVENT_ROUTES
from experiments.events.ingestion import ExposureCheck
from experiments.events.rows import EventRow, decode_rows
from experiments.events.stream import ROWS_FIELD, EventStream, shard_name, stream_key
from experiments.gateway.clock import Clock
from experiments.gateway.dispatch import Call, Dispatcher
from experiments.gateway.handlers import Response, Services
from experiments.gateway.tokens import Tokens
from experiments.gateway.units import UnitHasher
from tests.conftest import SERVERS
from tests.experiments.assignment import plans

KEYS = plans.Keys()
NOW = 1_764_000_000.0  # 2025-11-24, 16:00 UTC
HASHER = UnitHasher("a-unit-key-for-tests-that-is-long-enough")


class StoppedClock(Clock):
    """A clock that stands until it is moved."""

    def __init__(self, moment: float = NOW) -> None:
        self.moment = moment

    def now(self) -> float:
        return self.moment


class Held(PlanHolder):
    """A holder of the plan it is given."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.swap(plan)

    def swap(self, plan: Plan) -> None:
        self._compiled = CompiledPlan(plan)


class Wire:
    """A process that answers by one plan, until another is put in."""

    def __init__(self, plan: Plan | None = None, *, per_key: int = 100) -> None:
        self.clock = StoppedClock()
        self.holder = Held(plan or plans.plan(KEYS))
        self.configurations = Configurations()
        self.tokens = Tokens("a-secret")
        self.streams = Streams(
            self.holder, self.configurations, self.clock, per_key=per_key
        )
        self.dispatcher = Dispatcher(
            (*ROUTES, *EVENT_ROUTES), lambda: self.holder.current().keys, self.tokens
        )

    def ask(  # a call has many parts
        self,
        path: str,
        body: Any = None,
        key: str = KEYS.browser,
        *,
        method: str = "POST",
        query: str = "",
        **headers: str,
    ) -> Response:
        """One call, in an event loop of its own."""
        return asyncio.run(
            self.answer(path, body, key, method=method, query=query, **headers)
        )

    async def answer(  # a call has many parts
        self,
        path: str,
        body: Any = None,
        key: str = KEYS.browser,
        *,
        method: str = "POST",
        query: str = "",
        **headers: str,
    ) -> Response:
        """One call; its exposures are in the stream when this returns."""
        match = self.dispatcher.find(path)
        assert match is not None
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()

        async def read(limit: int) -> bytes:
            return raw

        sent = {"x-api-key": key} if key else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        call = Call(method, path, query, sent, read, "")
        async with Redis.from_url(SERVERS.redis.url) as client:
            stream = EventStream(client, cap=1_000, require_durable=False)
            exposures = ExposureLog(stream, HASHER)
            services = Services(
                HASHER,
                self.configurations,
                self.tokens,
                self.streams,
                stream,
                exposures,
            )
            services.provide(self.clock, as_type=Clock)
            services.provide(self.holder, as_type=PlanHolder)
            services.provide(client, as_type=Redis)
            services.provide(Claims(self.holder), as_type=ExposureCheck)
            response = await self.dispatcher.answer(call, match, services)
            exposures.close()
            await stream.close()
        return response


def logged(client: "redis.Redis", name: str | None = None) -> list[EventRow]:
    """The rows in the event stream, of one name or all."""
    entries: Any = client.xrange(stream_key(shard_name(0)))
    rows = [row for _, fields in entries for row in decode_rows(fields[ROWS_FIELD])]
    return [row for row in rows if name in {None, row.name}]
