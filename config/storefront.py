"""What storefronts may ask, and what answering needs: the wiring of all wings.

Imported by the front, which runs without Django's apps, and by the site's URLconf.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from config import health
from experiments.assignment.api.routes import ROUTES as ASSIGNMENT_ROUTES
from experiments.assignment.holder import PlanHolder
from experiments.events.api.routes import ROUTES as EVENT_ROUTES
from experiments.events.stream import EventStream
from experiments.gateway.clock import Clock
from experiments.gateway.dispatch import Dispatcher
from experiments.gateway.handlers import Route, Services
from experiments.gateway.units import UnitHasher
from scoring.serving.api.routes import ROUTES as SERVING_ROUTES
from scoring.serving.exposures import ExposureLog
from scoring.serving.history import RecentHistory
from scoring.serving.models_cache import ModelCache
from scoring.serving.services import Recommender

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *ASSIGNMENT_ROUTES,
    *EVENT_ROUTES,
    *SERVING_ROUTES,
)


def open_redis() -> Redis:
    """A client for one event loop; it fails fast, since shoppers wait."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=1.0,
        socket_timeout=2.0,
        retry=Retry(NoBackoff(), 1),
    )


def make_stream(redis: Redis) -> EventStream:
    """Where rows become durable."""
    return EventStream(
        redis,
        shards=settings.STREAM_SHARDS,
        cap=settings.STREAM_CAP,
        require_durable=settings.ENVIRONMENT != "test",
    )


def make_services(
    redis: Redis, holder: PlanHolder, models: ModelCache, stream: EventStream
) -> Services:
    """Everything handlers may use, around the clients of one event loop."""
    hasher = UnitHasher(settings.UNIT_KEY)
    services = Services(Clock(), hasher, holder, stream)
    services.provide(redis, as_type=Redis)
    services.provide(
        Recommender(models, RecentHistory(redis), ExposureLog(redis), stream, hasher)
    )
    services.provide(
        health.Readiness(
            {
                "plan": lambda: holder.loaded,
                "model": lambda: len(models) > 0 or not _needs_models(holder),
            }
        )
    )
    return services


def _needs_models(holder: PlanHolder) -> bool:
    return holder.loaded and bool(holder.current().versions)


def make_dispatcher(holder: PlanHolder) -> Dispatcher:
    """The storefront's routes, with the plan's keys."""
    return Dispatcher(ROUTES, lambda: holder.current().keys)


def make_holder(models: ModelCache, *, saved: bool) -> PlanHolder:
    """The plan of this process; ``saved``: kept on disk as well."""
    path = Path(settings.PLAN_PATH) if saved else None
    return PlanHolder(path=path, prepare=(models.prepare,))


# The site's own copy: looked after at each call, since nothing follows it there.
SITE_MODELS = ModelCache()
SITE_HOLDER = make_holder(SITE_MODELS, saved=False)
SITE_DISPATCHER = make_dispatcher(SITE_HOLDER)


@asynccontextmanager
async def open_services() -> AsyncIterator[Services]:
    """Services of one call inside Django, whose event loop ends with the call."""
    async with open_redis() as redis:
        await SITE_HOLDER.refresh(redis)
        stream = make_stream(redis)
        yield make_services(redis, SITE_HOLDER, SITE_MODELS, stream)
        await stream.close()
