import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from experiments.assignment import exposures
from experiments.assignment.answers import Assignment, Reason, UnitContext
from experiments.assignment.exposures import (
    Exposure,
    ExposureLog,
    Source,
    frozen_attributes,
)
from experiments.events import stream as streams
from experiments.events.stream import EventStream
from experiments.gateway.handlers import Request
from tests.conftest import SERVERS
from tests.experiments.assignment import plans
from tests.experiments.assignment.wire import HASHER, KEYS, NOW, logged

PLAN = plans.plan(KEYS)
NOBODY = "redis://127.0.0.1:1/0"


def answer(experiment: str = "home-test", exposure: str = "server") -> Assignment:
    return Assignment(
        placement="home",
        reason=Reason.SPLIT,
        experiment=experiment,
        phase=1,
        epoch=1,
        variant="control",
        probability=0.5,
        version_id=1,
        exposure=exposure,
    )


def source() -> Source:
    return Source("ofrep.bulk")


def in_loop(
    meal: Callable[[ExposureLog, EventStream], Awaitable[None]], url: str = ""
) -> None:
    async def run() -> None:
        async with Redis.from_url(url or SERVERS.redis.url) as client:
            stream = EventStream(client, cap=1_000, require_durable=False)
            await meal(ExposureLog(stream, HASHER), stream)

    asyncio.run(run())


def unit(number: int = 1, **attributes: Any) -> UnitContext:
    return UnitContext(f"u{number}", attributes, NOW)


def test_rows_are_written_in_a_group_after_the_answer(
    redis_client: "redis.Redis",
) -> None:
    async def meal(log: ExposureLog, stream: EventStream) -> None:
        for number in range(30):
            log.note(unit(number), [answer(), answer("other")], PLAN, source)
        assert stream.room == streams.MAX_WAITING_ROWS  # nothing was made yet
        began = time.monotonic()
        while not redis_client.exists("shipworthy:events:stream-0"):  # noqa: ASYNC110 # another process's key
            await asyncio.sleep(0.005)
        assert time.monotonic() - began < 1.0  # 0.2 s, on a busy machine
        await stream.close()

    in_loop(meal)
    assert len(logged(redis_client, "exposure")) == 60
    entries: Any = redis_client.xlen("shipworthy:events:stream-0")
    assert entries == 1


def test_a_unit_that_comes_back_is_not_written_again(
    redis_client: "redis.Redis",
) -> None:
    async def meal(log: ExposureLog, stream: EventStream) -> None:
        for _ in range(3):
            log.note(unit(), [answer()], PLAN, source)
            log.close()
        await stream.close()

    in_loop(meal)
    assert len(logged(redis_client)) == 1


def test_what_is_remembered_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposures, "REMEMBERED", 50)

    async def meal(log: ExposureLog, stream: EventStream) -> None:
        for number in range(1_000):
            log.note(unit(number), [answer()], PLAN, source)
        log.close()
        assert len(log._known) <= 50
        assert len(log._known_before) <= 50
        await stream.close()

    in_loop(meal)


def test_while_the_stream_is_full_exposures_are_put_off_and_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MAX_WAITING_ROWS", 300)

    async def meal(log: ExposureLog, stream: EventStream) -> None:
        for number in range(1_000):
            log.note(unit(number), [answer()], PLAN, source)
        log.close()
        assert log.put_off > 0
        assert stream.lost_rows == 0
        put_off, waiting = log.put_off, 300 - stream.room
        assert put_off + waiting == 1_000
        stream._later.clear()
        log.note(unit(999), [answer()], PLAN, source)
        log.close()
        assert stream.room == 299  # it is logged when it comes back
        stream._later.clear()
        assert stream._flushing is not None
        stream._flushing.cancel()

    in_loop(meal, NOBODY)


def test_nothing_is_asked_of_an_answer_that_exposes_to_nothing() -> None:
    def unasked() -> Source:
        raise AssertionError

    async def meal(log: ExposureLog, stream: EventStream) -> None:
        log.note(
            unit(), [answer(exposure="client"), answer(exposure="")], PLAN, unasked
        )
        log.close()

    in_loop(meal)


def test_an_exposure_is_the_same_for_all_and_another_tomorrow() -> None:
    first = Exposure("e", 1, "2026-11-24", b"u" * 16)
    assert first.event_id == Exposure("e", 1, "2026-11-24", b"u" * 16).event_id
    others = {
        first._replace(experiment="f"),
        first._replace(phase=2),
        first._replace(day="2026-11-25"),
        first._replace(unit_key=b"v" * 16),
    }
    assert len({first.event_id} | {other.event_id for other in others}) == 5


def test_raw_ids_are_never_frozen() -> None:
    given = {"id": "u", "targetingKey": "u", "device_id": "d", "account": "a", "n": 1}
    assert frozen_attributes(given, {"account"}) == '{"n":1}'
    assert frozen_attributes({"id": "u"}) is None
    assert frozen_attributes({"text": "x" * 5_000}) is None


@pytest.mark.parametrize(
    ("agent", "sdk", "version"),
    [
        ("openfeature-js/1.2.3 (node)", "openfeature-js", "1.2.3"),
        ("python-requests/2.32", "python-requests", "2.32"),
        ("", "", ""),
    ],
)
def test_the_calling_library_is_named(agent: str, sdk: str, version: str) -> None:
    request = Request("POST", "/", {"user-agent": agent}, b"", request_id="r")
    found = Source.of(request, "ofrep.single")
    assert (found.sdk, found.sdk_version, found.endpoint) == (
        sdk,
        version,
        "ofrep.single",
    )
    assert json.loads(json.dumps(found))
