import asyncio
import json

import pytest
import redis as redis_module
from django.conf import settings
from redis.asyncio import Redis as AsyncRedis

from experiments.events.api.routes import ROUTES
from experiments.events.errors import NothingAcceptedError, StreamUnavailableError
from experiments.events.ingestion import ExposureCheck
from experiments.events.stream import EventStream, shard_name, stream_key
from experiments.gateway.clock import Clock
from experiments.gateway.handlers import Request, Response, Services
from tests.experiments.events.shop import HASHER, NOW, SECRET, body, event

[ROUTE] = ROUTES
KEY = stream_key(shard_name(0))


class StoppedClock(Clock):
    """Shows ``NOW``."""

    def now(self) -> float:
        return NOW.timestamp()


def post(data: bytes, url: str = "") -> Response:
    async def run() -> Response:
        async with AsyncRedis.from_url(url or settings.REDIS_URL) as redis:
            services = Services(
                EventStream(redis, cap=1000, require_durable=False),
                HASHER,
                ExposureCheck(),
            )
            services.provide(StoppedClock(), as_type=Clock)
            request = Request("POST", ROUTE.pattern, {}, data, key=SECRET)
            return await ROUTE.handler(request, services)

    return asyncio.run(run())


def test_good_events_are_taken_and_bad_ones_explained(
    redis_client: redis_module.Redis,
) -> None:
    response = post(body(event(), event(position=0)))
    assert response.status == 202
    assert json.loads(response.body) == {
        "accepted": 1,
        "rejected": [
            {
                "index": 1,
                "field": "position",
                "code": "invalid",
                "message": "Expected `int` >= 1, got '0'",
            }
        ],
    }
    assert redis_client.xlen(KEY) == 1


def test_only_bad_events_are_an_error_and_leave_nothing(
    redis_client: redis_module.Redis,
) -> None:
    with pytest.raises(NothingAcceptedError) as refused:
        post(body(event(position=0), event(name="purchase", value="x")))
    assert refused.value.status == 400
    assert [d.field for d in refused.value.details] == [
        "events[0].position",
        "events[1].value",
    ]
    assert redis_client.xlen(KEY) == 0


def test_without_redis_the_answer_is_to_come_again() -> None:
    with pytest.raises(StreamUnavailableError) as refused:
        post(body(event()), "unix:///nowhere.sock")
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
