"""Real models, a real plan and a real Redis around the handler, without a front."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import numpy as np
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from experiments.assignment.bucketing import bucket_ranges
from experiments.assignment.exposures import ExposureLog
from experiments.assignment.holder import PlanHolder
from experiments.assignment.plan import (
    ExperimentPlan,
    PlacementPlan,
    Plan,
    VariantPlan,
    VersionPlan,
)
from experiments.events.history import write_history
from experiments.events.rows import EventRow, decode_rows
from experiments.events.stream import ROWS_FIELD, EventStream, shard_name, stream_key
from experiments.gateway.clock import Clock
from experiments.gateway.handlers import Request, Response, Services
from experiments.gateway.keys import Key
from models_registry import artifacts
from scoring.engine.protocol import Interactions, QuietContext
from scoring.engine.registry import make_trainer
from scoring.serving.api.routes import post_recommendations
from scoring.serving.history import RecentHistory
from scoring.serving.models_cache import ModelCache
from scoring.serving.services import Answer, Recommender
from tests.scoring.shop import HASHER

T = TypeVar("T")
ITEMS = tuple(f"item-{n:02d}" for n in range(30))
POPULARITY, NEIGHBOURS, BROKEN = 1, 2, 3
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
SHOP_KEY = Key(1, "x", "secret", "shop", ("recommend",))
SIMULATOR_KEY = Key(2, "y", "secret", "simulator", ("recommend", "simulate"))


class StillClock(Clock):
    """A clock that stands at ``NOW``."""

    def now(self) -> float:
        return NOW


def log(n_items: int = len(ITEMS), units: int = 200) -> Interactions:
    """Shoppers who view neighbours on a ring; low items are the popular ones."""
    rng = np.random.default_rng(0)
    begin = (rng.random(units) ** 2 * n_items).astype(int)
    item = (begin[:, None] + np.arange(6)) % n_items
    count = item.size
    return Interactions(
        unit=np.repeat(np.arange(units), 6).astype(np.int32),
        item=item.ravel().astype(np.int32),
        timestamp=np.arange(count, dtype=np.float64),
        weight=np.ones(count, np.float32),
        n_units=units,
        item_ids=tuple(f"item-{n:02d}" for n in range(n_items)),
    )


def put_version(
    pk: int, kind: str, interactions: Interactions | None = None
) -> VersionPlan:
    artifact = make_trainer(kind).fit(interactions or log(), QuietContext())
    return VersionPlan(pk, "home", pk, kind, artifacts.put(artifact.to_files()))


def experiment(*version_ids: int, **more: object) -> ExperimentPlan:
    """A test of versions in equal parts; of one alone, against a variant of nobody."""
    weights = [1.0 / len(version_ids)] * len(version_ids)
    if len(version_ids) == 1:
        version_ids, weights = (*version_ids, *version_ids), [1.0, 0.0]
    ranges = bucket_ranges(len(version_ids), 1.0, weights)
    values: dict[str, object] = {
        "id": 1,
        "key": "home-page",
        "status": "running",
        "phase": 1,
        "epoch": 1,
        "seed": "seed",
        "coverage": 1.0,
        "control": "v0",
        "variants": tuple(
            VariantPlan(f"v{n}", start, end, weights[n], version_id=pk)
            for n, (pk, (start, end)) in enumerate(
                zip(version_ids, ranges, strict=True)
            )
        ),
    }
    return ExperimentPlan(**(values | more))  # type: ignore[arg-type]


def placement(
    *rules: ExperimentPlan, default: int | None = POPULARITY, **more: object
) -> PlacementPlan:
    return PlacementPlan(
        "home",
        "model",
        experiments=rules,
        default_version_id=default,
        **more,  # type: ignore[arg-type]
    )


def plan(
    place: PlacementPlan, *versions: VersionPlan, out: frozenset[str] = frozenset()
) -> Plan:
    popular = [v.id for v in versions if v.kind == "popularity"]
    return Plan(
        revision="r1",
        built_at=NOW,
        placements={
            place.key: place,
            "button": PlacementPlan("button", "string", default_payload='"blue"'),
        },
        versions={v.id: v for v in versions},
        fallback_version_ids={"home": popular[0]} if popular else {},
        items_out=out,
    )


@dataclass
class Kitchen:
    """What one event loop answers with."""

    services: Services
    stream: EventStream
    models: ModelCache
    redis: Redis

    async def ask(self, unit_id: str = "u1", **body: object) -> Answer:
        key = SIMULATOR_KEY if "timestamp" in body else SHOP_KEY
        asked = {"unit_id": unit_id, "placement": "home"} | body
        response = await self.answer(asked, key)
        assert response.status == 200
        return msgspec.json.decode(response.body, type=Answer)

    async def answer(
        self, body: Mapping[str, object] | bytes, key: Key = SHOP_KEY
    ) -> Response:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        path = "/api/v1/recommendations"
        request = Request("POST", path, {}, content, key=key)
        return await post_recommendations(request, self.services)

    async def rows(self, name: str | None = None) -> list[EventRow]:
        """What was logged so far, from the stream itself."""
        await self.stream.close()
        entries = await self.redis.xrange(stream_key(shard_name(0)))
        rows = rows_of(entries)
        return [row for row in rows if name in {None, row.name}]


def rows_of(entries: object) -> list[EventRow]:
    """The rows of what XRANGE gave."""
    assert isinstance(entries, list)
    return [row for _, fields in entries for row in decode_rows(fields[ROWS_FIELD])]


class Holder(PlanHolder):
    """A holder that was given its plan."""

    async def hold(self, content: Plan) -> None:
        await self._take(content)


@asynccontextmanager
async def open_kitchen(
    content: Plan, url: str, *, models: ModelCache | None = None
) -> AsyncIterator[Kitchen]:
    redis = Redis.from_url(url, socket_timeout=1.0)
    models = models or ModelCache()
    stream = EventStream(redis, cap=1000, require_durable=False)
    holder = Holder(prepare=(models.prepare,), clock=StillClock())
    await holder.hold(content)
    recommender = Recommender(
        models, RecentHistory(redis), ExposureLog(stream, HASHER), stream, HASHER
    )
    services = Services(recommender)
    services.provide(StillClock(), as_type=Clock)
    services.provide(holder, as_type=PlanHolder)
    try:
        yield Kitchen(services, stream, models, redis)
    finally:
        models.close()
        if stream._flushing is not None:
            stream._flushing.cancel()
            await asyncio.wait([stream._flushing])
        await redis.aclose()


def cook(
    content: Plan,
    url: str,
    meal: Callable[[Kitchen], Awaitable[T]],
    *,
    models: ModelCache | None = None,
) -> T:
    """Run a coroutine function with a kitchen of its own."""

    async def whole() -> T:
        async with open_kitchen(content, url, models=models) as kitchen:
            return await meal(kitchen)

    return asyncio.run(whole())


def remember(redis: SyncRedis, unit_id: str, *item_ids: str) -> None:
    """Give a unit a history that ended an hour ago."""
    write_history(
        redis,
        [
            EventRow(
                name="view",
                unit_key=HASHER.hash(unit_id),
                item_id=item_id,
                timestamp=datetime.fromtimestamp(NOW - 3600 + n, UTC),
            )
            for n, item_id in enumerate(item_ids)
        ],
    )


def ids(answer: Answer) -> list[str]:
    return [item.item_id for item in answer.items]
