import asyncio

import pytest
import redis as redis_module
from django.conf import settings
from redis.asyncio import Redis as AsyncRedis

from experiments.events import stream as stream_module
from experiments.events.errors import StreamFullError, StreamUnavailableError
from experiments.events.rows import EventRow
from experiments.events.stream import (
    EventStream,
    shard_name,
    shard_of,
    stream_key,
)
from tests.experiments.events.shop import HASHER, entries, row, send, with_stream

KEY = stream_key(shard_name(0))


def waiting(client: redis_module.Redis, key: str = KEY) -> list[EventRow]:
    """All rows in a stream, in order."""
    return [found for _, rows in entries(client, key) for found in rows]


async def first_entry(client: redis_module.Redis) -> None:
    """Wait until something stands in the stream, letting the event loop run."""

    def wait() -> None:
        assert client.xread({KEY: "0"}, block=5000), "nothing came"

    await asyncio.to_thread(wait)


def test_a_request_is_one_entry_and_comes_back_as_it_was(
    redis_client: redis_module.Redis,
) -> None:
    rows = [row(), row(name="click")]
    send(rows)
    assert redis_client.xlen(KEY) == 1
    assert waiting(redis_client) == rows


def test_a_request_over_several_shards_is_divided_by_unit(
    redis_client: redis_module.Redis,
) -> None:
    rows = [row(unit_key=HASHER.hash(str(n))) for n in range(30)]
    send(rows, shards=4)
    for number in range(4):
        found = waiting(redis_client, stream_key(shard_name(number)))
        assert found == [r for r in rows if shard_of(r.unit_key, 4) == number]
        assert found


def test_a_request_over_several_shards_is_taken_whole_or_not_at_all(
    redis_client: redis_module.Redis,
) -> None:
    redis_client.set(stream_key(shard_name(3)), "not a stream")
    rows = [row(unit_key=HASHER.hash(str(n))) for n in range(30)]
    with pytest.raises(StreamUnavailableError):
        send(rows, shards=4)
    assert all(
        redis_client.xlen(stream_key(shard_name(number))) == 0 for number in range(3)
    )


def test_at_its_cap_the_stream_refuses_and_drops_nothing(
    redis_client: redis_module.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "LENGTH_SECONDS", 0.0)

    async def act(stream: EventStream) -> None:
        await stream.append([row()])
        await stream.append([row()])
        with pytest.raises(StreamFullError) as refused:
            await stream.append([row()])
        assert refused.value.retry_after >= 1
        assert refused.value.status == 503

    with_stream(act, cap=2)
    assert redis_client.xlen(KEY) == 2


def test_without_redis_the_stream_is_unavailable() -> None:
    async def run() -> None:
        async with AsyncRedis.from_url("unix:///nowhere.sock") as redis:
            stream = EventStream(redis, cap=10, require_durable=False)
            with pytest.raises(StreamUnavailableError):
                await stream.append([row()])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [("appendonly", "no", "yes"), ("maxmemory-policy", "allkeys-lru", "noeviction")],
)
def test_a_redis_that_could_lose_events_is_refused(
    redis_client: redis_module.Redis, name: str, bad: str, good: str
) -> None:
    def attempt() -> None:
        async def run() -> None:
            async with AsyncRedis.from_url(settings.REDIS_URL) as redis:
                await EventStream(redis, cap=10).append([row()])

        asyncio.run(run())

    before = {n: str(redis_client.config_get(n)[n]) for n in ("appendonly", name)}
    try:
        redis_client.config_set("appendonly", "yes")
        redis_client.config_set(name, bad)
        with pytest.raises(StreamUnavailableError, match=name):
            attempt()
        redis_client.config_set(name, good)
        attempt()
        assert redis_client.xlen(KEY) == 1
    finally:
        for setting, value in before.items():
            redis_client.config_set(setting, value)


def test_our_own_rows_are_written_in_groups_soon_after(
    redis_client: redis_module.Redis,
) -> None:
    rows = [row() for _ in range(10)]

    async def act(stream: EventStream) -> None:
        for each in rows:
            stream.append_later([each])
        assert redis_client.xlen(KEY) == 0
        await first_entry(redis_client)

    with_stream(act)
    assert redis_client.xlen(KEY) == 1
    assert waiting(redis_client) == rows


def test_many_rows_are_not_kept_waiting_and_close_writes_the_rest(
    redis_client: redis_module.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "FLUSH_SECONDS", 3600.0)
    many, few = [row() for _ in range(500)], [row()]

    async def act(stream: EventStream) -> None:
        stream.append_later(many)
        await first_entry(redis_client)
        stream.append_later(few)

    with_stream(act)
    assert [r.event_id for r in waiting(redis_client)] == [
        r.event_id for r in (*many, *few)
    ]


def test_rows_are_kept_while_redis_is_away_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "MAX_WAITING_ROWS", 5)

    async def run() -> None:
        async with AsyncRedis.from_url("unix:///nowhere.sock") as away:
            stream = EventStream(away, cap=10, require_durable=False)
            stream.append_later([row() for _ in range(4)])
            with pytest.raises(StreamUnavailableError):
                await stream.close()
            stream.append_later([row() for _ in range(4)])
            assert stream.lost_rows == 3
            with pytest.raises(StreamUnavailableError):
                await stream.close()

    asyncio.run(run())
