"""What storefronts may ask, and what answering needs: the wiring of all wings.

Imported by the front, which runs without Django's apps, and by the site's URLconf.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from config import health
from experiments.assignment.api.routes import ROUTES as ASSIGNMENT_ROUTES
from experiments.assignment.holder import PlanHolder
from experiments.events.errors import StreamUnavailableError
from experiments.events.stream import EventStream
from experiments.gateway.clock import Clock
from experiments.gateway.dispatch import Dispatcher
from experiments.gateway.handlers import Route, Services
from experiments.gateway.units import UnitHasher
from scoring.serving.exposures import ExposureLog
from scoring.serving.history import RecentHistory
from scoring.serving.models_cache import ModelCache
from scoring.serving.services import Recommender


def _routes_of(module: str) -> tuple[Route, ...]:
    """The routes of a wing that is present."""
    if find_spec(module.rpartition(".")[0]) is None or find_spec(module) is None:
        return ()
    found: tuple[Route, ...] = import_module(module).ROUTES
    return found


ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *ASSIGNMENT_ROUTES,
    *_routes_of("experiments.events.api.routes"),
    *_routes_of("scoring.serving.api.routes"),
)


# The model versions of this process, loaded before a plan that needs them answers.
MODELS = ModelCache()


def open_redis() -> Redis:
    """A client for one event loop; it fails fast, since shoppers wait."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=1.0,
        socket_timeout=2.0,
        retry=Retry(NoBackoff(), 1),
    )


def make_services(redis: Redis, holder: PlanHolder) -> Services:
    """Everything handlers may use, around the clients of one event loop."""
    hasher = UnitHasher(settings.UNIT_KEY)
    stream = EventStream(
        redis,
        shards=settings.STREAM_SHARDS,
        cap=settings.STREAM_CAP,
        require_durable=settings.ENVIRONMENT != "test",
    )
    services = Services(Clock(), hasher, holder, stream)
    services.provide(redis, as_type=Redis)
    services.provide(
        Recommender(MODELS, RecentHistory(redis), ExposureLog(redis), stream, hasher)
    )
    services.provide(
        health.Readiness({"plan": lambda: holder.loaded, "model": lambda: MODELS.ready})
    )
    return services


async def close_services(services: Services) -> None:
    """Write what is still queued for the log; without Redis, it is lost."""
    with suppress(StreamUnavailableError):
        await services.get(EventStream).close()


def make_dispatcher(holder: PlanHolder) -> Dispatcher:
    """The storefront's routes, with the plan's keys."""
    return Dispatcher(ROUTES, lambda: holder.current().keys)


def make_holder(*, saved: bool) -> PlanHolder:
    """The plan of this process; ``saved``: kept on disk as well."""
    return PlanHolder(
        path=Path(settings.PLAN_PATH) if saved else None, prepare=(MODELS.prepare,)
    )


# The site's own copy: looked after at each call, since nothing follows it there.
SITE_HOLDER = make_holder(saved=False)
SITE_DISPATCHER = make_dispatcher(SITE_HOLDER)


@asynccontextmanager
async def open_services() -> AsyncIterator[Services]:
    """Services of one call inside Django, whose event loop ends with the call."""
    async with open_redis() as redis:
        await SITE_HOLDER.refresh(redis)
        services = make_services(redis, SITE_HOLDER)
        try:
            yield services
        finally:
            await close_services(services)
