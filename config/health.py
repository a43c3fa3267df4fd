"""``/healthz``: the process lives; ``/readyz``: storefronts can be answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psycopg
from django.conf import settings
from psycopg.conninfo import make_conninfo
from redis.asyncio import Redis

from experiments.assignment.holder import PlanHolder
from experiments.gateway.handlers import Request, Response, Route, Services

TIMEOUT_SECONDS = 1.0
# As ``experiments.events.collector`` writes it; importing that needs the lake's wheels.
DRAINS_KEY = "shipworthy:drains"
Fact = dict[str, object]


class Readiness:
    """What must be there before storefronts can be answered, by name."""

    def __init__(self, needs: Mapping[str, Callable[[], bool]] | None = None) -> None:
        self.needs = dict(needs or {})

    def missing(self) -> list[str]:
        """The needs that are not met."""
        return [name for name, met in self.needs.items() if not met()]


async def healthz(request: Request, services: Services) -> Response:  # noqa: ARG001 # a handler
    """Answer: that is all it says."""
    return Response(200, b'{"status":"ok"}')


async def readyz(request: Request, services: Services) -> Response:  # noqa: ARG001 # a handler
    """200 while storefronts can be answered, else 503; either way the facts."""
    holder = services.get(PlanHolder)
    redis, postgres, lake = await asyncio.gather(
        _fact(_redis(services.get(Redis))), _fact(_postgres()), _fact(_lake())
    )
    missing = services.get(Readiness).missing()
    body = {
        "status": "unavailable" if missing else "ready",
        "missing": missing,
        "plan": _plan(holder),
        "redis": redis,
        "postgres": postgres,
        "lake": lake,
    }
    return Response(503 if missing else 200, msgspec.json.encode(body))


def _plan(holder: PlanHolder) -> Fact:
    if not holder.loaded:
        return {"loaded": False}
    plan = holder.current()
    return {
        "loaded": True,
        "revision": plan.revision,
        "age_seconds": round(holder.age_seconds, 1),
        "placements": len(plan.placements),
        "versions": len(plan.versions),
        "faults": holder.faults.total,
    }


async def _fact(check: Awaitable[Fact]) -> Fact:
    began = time.perf_counter()
    try:
        found = await asyncio.wait_for(check, TIMEOUT_SECONDS)
    except Exception as error:  # noqa: BLE001 # any failure is the fact we report
        return {"ok": False, "error": type(error).__name__}
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    return {"ok": True, "milliseconds": milliseconds} | found


async def _redis(redis: Redis) -> Fact:
    drains = [
        msgspec.json.decode(t) for t in (await redis.hgetall(DRAINS_KEY)).values()
    ]
    if not drains:
        return {"last_drain_seconds": None, "waiting_entries": None}
    oldest = min(drain["at"] for drain in drains)
    return {
        "last_drain_seconds": round(max(0.0, time.time() - oldest), 1),
        "waiting_entries": sum(drain["waiting"] for drain in drains),
    }


async def _postgres() -> Fact:
    database = settings.DATABASES["default"]
    given = {
        "dbname": database["NAME"],
        "user": database["USER"],
        "password": database["PASSWORD"],
        "host": database["HOST"],
        "port": database["PORT"],
        "connect_timeout": 1,
    }
    address = make_conninfo("", **{k: str(v) for k, v in given.items() if v})
    connection = await psycopg.AsyncConnection.connect(address)
    async with connection:
        await connection.execute("SELECT 1")
    return {}


async def _lake() -> Fact:
    """A lake on disk is looked at; an object store is not, to keep this cheap."""
    parts = urlsplit(settings.LAKE_URL)
    if parts.scheme not in {"", "file"}:
        return {"checked": False}
    folder = Path(parts.path)
    return {"checked": True, "exists": await asyncio.to_thread(folder.is_dir)}


ROUTES = (
    Route("GET", "/healthz", healthz, None, summary="Whether the process lives."),
    Route("GET", "/readyz", readyz, None, summary="Whether storefronts are answered."),
)
