"""What storefronts may ask, and what answering needs: the wiring of all wings.

Imported by the front, which runs without Django's apps, and by the site's URLconf.
"""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config import health
from experiments.assignment.api.routes import ROUTES as ASSIGNMENT_ROUTES
from experiments.assignment.claims import Claims
from experiments.assignment.exposures import ExposureLog
from experiments.assignment.holder import PlanHolder
from experiments.assignment.payload import Configurations
from experiments.assignment.plan import Plan
from experiments.assignment.reservoir import Cipher, Reservoir
from experiments.assignment.streams import Streams
from experiments.events.api.routes import ROUTES as EVENT_ROUTES
from experiments.events.errors import StreamUnavailableError
from experiments.events.ingestion import ExposureCheck
from experiments.events.stream import EventStream
from experiments.gateway.clock import Clock
from experiments.gateway.dispatch import Dispatcher
from experiments.gateway.handlers import Route, Services
from experiments.gateway.tokens import Tokens
from experiments.gateway.units import UnitHasher
from scoring.serving.api.routes import ROUTES as SERVING_ROUTES
from scoring.serving.history import RecentHistory
from scoring.serving.models_cache import ModelCache
from scoring.serving.services import Recommender

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *ASSIGNMENT_ROUTES,
    *EVENT_ROUTES,
    *SERVING_ROUTES,
)


logger = logging.getLogger(__name__)


class Storefront:
    """What a process keeps between calls: the plan, the models it needs, the routes.

    Args:
        saved: Keep the plan on disk, for a start without Redis and PostgreSQL.
    """

    def __init__(self, *, saved: bool) -> None:
        self.models = ModelCache()
        self.configurations = Configurations()
        self.tokens = Tokens(settings.SECRET_KEY)
        self._clock = Clock()
        self.holder = PlanHolder(
            path=Path(settings.PLAN_PATH) if saved else None,
            prepare=[self.models.prepare, self._prepare_configuration],
            withdrawn_seconds=lambda: settings.WITHDRAWN_SECONDS,
        )
        self.streams = Streams(
            self.holder,
            self.configurations,
            self._clock,
            per_key=settings.STREAMS_PER_KEY,
        )
        self.dispatcher = Dispatcher(
            ROUTES, lambda: self.holder.current().keys, self.tokens
        )
        self._readiness = health.Readiness(
            {"plan": lambda: self.holder.loaded, "models": self._has_models}
        )

    @asynccontextmanager
    async def services(self, redis: Redis) -> AsyncIterator[Services]:
        """Everything handlers may use, around the client of one event loop."""
        hasher = UnitHasher(settings.UNIT_KEY)
        stream = EventStream(
            redis,
            shards=settings.STREAM_SHARDS,
            cap=settings.STREAM_CAP,
            require_durable=settings.ENVIRONMENT != "test",
        )
        reservoir = Reservoir(redis, hasher, Cipher(settings.UNIT_KEY))
        exposures = ExposureLog(stream, hasher, reservoir)
        recommender = Recommender(
            self.models, RecentHistory(redis), exposures, stream, hasher
        )
        services = Services(
            self._clock,
            hasher,
            self.holder,
            self.configurations,
            self.tokens,
            self.streams,
            self._readiness,
            stream,
            exposures,
            recommender,
        )
        services.provide(redis, as_type=Redis)
        services.provide(Claims(self.holder), as_type=ExposureCheck)
        try:
            async with reservoir.writing():
                yield services
        finally:
            exposures.close()
            await _close(stream)

    async def _prepare_configuration(self, plan: Plan) -> None:
        await self.configurations.prepare(plan, self._clock.now())

    def _has_models(self) -> bool:
        """Whether lists can be answered; a plan without versions asks for none."""
        if not self.holder.loaded or not self.holder.current().versions:
            return True
        return bool(self.models.loaded)


async def _close(stream: EventStream) -> None:
    try:
        await stream.close()
    except StreamUnavailableError as error:
        logger.warning("Rows of the last answers are lost: %s", error)


def open_redis() -> Redis:
    """A client for one event loop; it fails fast, since shoppers wait."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=1.0,
        socket_timeout=2.0,
        retry=Retry(NoBackoff(), 1),
    )


async def look(holder: PlanHolder, redis: Redis) -> None:
    """Take the published plan; Redis away, the present one stays."""
    try:
        await holder.refresh(redis)
    except (RedisError, OSError) as error:
        logger.warning("The plan could not be looked for: %s", error)


@cache
def site() -> Storefront:
    """The site's own: its plan is looked at in each call, as nothing follows it."""
    return Storefront(saved=False)


_LOOKING = threading.Lock()


@asynccontextmanager
async def open_services() -> AsyncIterator[Services]:
    """Services of one call inside Django, whose event loop ends with the call."""
    async with open_redis() as redis:
        # Calls have threads and loops of their own; models are loaded by one of them.
        with _LOOKING:
            await look(site().holder, redis)
        async with site().services(redis) as services:
            yield services
