"""The storefront port: granian serves ``app`` over RSGI.

``granian --interface rsgi --loop uvloop --no-ws config.front:app``. Without Django's
apps, and no request touches PostgreSQL but ``/readyz``.
"""

import asyncio
import gc
import logging.config
import os
from contextlib import AsyncExitStack

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

from config.proxy import SiteProxy
from config.storefront import Storefront, look, open_redis
from experiments.gateway.rsgi import HTTPProtocol, RSGIAdapter, Scope


class Front:
    """One worker process: its plan, models, clients and routes."""

    _adapter: RSGIAdapter
    _opened: AsyncExitStack

    async def start(self) -> None:
        """Open what the worker needs; a plan from Redis, else from disk."""
        self._opened = AsyncExitStack()
        proxy = SiteProxy(
            settings.SITE_SOCKET, trust_forwarded=settings.SECURE_SSL_REDIRECT
        )
        self._opened.push_async_callback(proxy.close)
        redis = open_redis()
        self._opened.push_async_callback(redis.aclose)
        storefront = Storefront(saved=True)
        self._opened.callback(storefront.models.close)
        await look(storefront.holder, redis)
        if not storefront.holder.loaded:
            await storefront.holder.restore()
        services = await self._opened.enter_async_context(storefront.services(redis))
        self._adapter = RSGIAdapter(storefront.dispatcher, services, proxy)
        following = asyncio.create_task(
            storefront.holder.follow(redis, settings.PLAN_POLL_SECONDS)
        )
        self._opened.push_async_callback(_end, following)
        watching = asyncio.create_task(storefront.streams.watch())
        self._opened.push_async_callback(_end, watching)
        self._opened.callback(storefront.streams.close)
        # What lives as long as the process is not looked through for garbage again:
        # else each full collection holds up answers for tens of milliseconds.
        gc.collect()
        gc.freeze()

    async def stop(self) -> None:
        """Close what was opened, last first; queued rows are written."""
        await self._opened.aclose()

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


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


app = Front()
