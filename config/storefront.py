"""What storefronts may ask, and what answering needs: the wiring of all wings.

Imported by the front, which runs without Django's apps, and by the site's URLconf.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from experiments.gateway.clock import Clock
from experiments.gateway.dispatch import Dispatcher
from experiments.gateway.handlers import Route, Services
from experiments.gateway.units import UnitHasher


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
    services = Services(Clock(), UnitHasher(settings.UNIT_KEY), holder)
    services.provide(redis, as_type=Redis)
    services.provide(health.Readiness({"plan": lambda: holder.loaded}))
    return services


def make_dispatcher(holder: PlanHolder) -> Dispatcher:
    """The storefront's routes, with the plan's keys."""
    return Dispatcher(ROUTES, lambda: holder.current().keys)


def make_holder(*, saved: bool) -> PlanHolder:
    """The plan of this process; ``saved``: kept on disk as well."""
    return PlanHolder(path=Path(settings.PLAN_PATH) if saved else None)


# The site's own copy: looked after at each call, since nothing follows it there.
SITE_HOLDER = make_holder(saved=False)
SITE_DISPATCHER = make_dispatcher(SITE_HOLDER)


@asynccontextmanager
async def open_services() -> AsyncIterator[Services]:
    """Services of one call inside Django, whose event loop ends with the call."""
    async with open_redis() as redis:
        await SITE_HOLDER.refresh(redis)
        yield make_services(redis, SITE_HOLDER)
