"""The storefront port: granian serves ``app`` over RSGI.

``granian --interface rsgi --loop uvloop --no-ws config.front:app``. Without Django's
apps, and no request touches PostgreSQL but ``/readyz``.
"""

import asyncio
import logging.config
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from config import storefront
from config.proxy import SiteProxy
from experiments.assignment.holder import PlanHolder
from experiments.gateway.handlers import Services
from experiments.gateway.rsgi import HTTPProtocol, RSGIAdapter, Scope

logger = logging.getLogger(__name__)


class Front:
    """One worker process: its plan, clients and routes."""

    _adapter: RSGIAdapter
    _redis: Redis
    _proxy: SiteProxy
    _services: Services
    _following: asyncio.Task[None]

    async def start(self) -> None:
        """Open what the worker needs; a plan from Redis, else from disk."""
        self._redis = storefront.open_redis()
        self._proxy = SiteProxy(
            settings.SITE_SOCKET, trust_forwarded=settings.SECURE_SSL_REDIRECT
        )
        holder = storefront.make_holder(saved=True)
        await _first_plan(holder, self._redis)
        self._services = storefront.make_services(self._redis, holder)
        dispatcher = storefront.make_dispatcher(holder)
        self._adapter = RSGIAdapter(dispatcher, self._services, self._proxy)
        self._following = asyncio.create_task(
            holder.follow(self._redis, settings.PLAN_POLL_SECONDS)
        )

    async def stop(self) -> None:
        """Close what was opened."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await storefront.close_services(self._services)
        await self._proxy.close()
        await self._redis.aclose()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian before it accepts."""
        logging.config.dictConfig(settings.LOGGING)
        loop.run_until_complete(self.start())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian after the last answer."""
        loop.run_until_complete(self.stop())

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """One call."""
        await self._adapter(scope, protocol)


async def _first_plan(holder: PlanHolder, redis: Redis) -> None:
    try:
        await holder.refresh(redis)
    except (RedisError, OSError) as error:
        logger.warning("Redis is away at the start: %s", error)
    if not holder.loaded:
        await holder.restore()


app = Front()
