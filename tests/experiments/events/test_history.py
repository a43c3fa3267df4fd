import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis as redis_module
from django.conf import settings
from redis.asyncio import Redis as AsyncRedis

from experiments.events.collector import Collector
from experiments.events.history import (
    EXPIRY,
    MAX_ENTRIES,
    HistoryEntry,
    history_key,
    read_history,
    write_history,
)
from experiments.events.lake import Lake
from experiments.events.stream import shard_name
from tests.experiments.events.shop import HASHER, row, send

ANNA = HASHER.hash("anna")
MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


def history(unit_key: bytes = ANNA) -> list[HistoryEntry]:
    async def read() -> list[HistoryEntry]:
        async with AsyncRedis.from_url(settings.REDIS_URL) as redis:
            return await read_history(redis, unit_key)

    return asyncio.run(read())


def test_what_a_unit_did_is_remembered_oldest_first(
    redis_client: redis_module.Redis,
) -> None:
    later = row(name="purchase", item_id="b|c", timestamp=MOMENT + timedelta(hours=1))
    earlier = row(name="click", item_id="a", timestamp=MOMENT)
    other = row(unit_key=HASHER.hash("ben"), item_id="z")
    unseen = [row(name="served"), row(name="search", item_id=None)]
    write_history(redis_client, [later, earlier, other, *unseen])
    assert history() == [
        HistoryEntry("a", "click", MOMENT.timestamp()),
        HistoryEntry("b|c", "purchase", MOMENT.timestamp() + 3600),
    ]


def test_the_same_event_twice_is_one_entry(redis_client: redis_module.Redis) -> None:
    once = row(timestamp=MOMENT)
    write_history(redis_client, [once])
    write_history(redis_client, [once])
    assert len(history()) == 1


def test_only_the_last_200_are_kept_and_not_for_ever(
    redis_client: redis_module.Redis,
) -> None:
    rows = [
        row(item_id=f"i{n}", timestamp=MOMENT + timedelta(seconds=n))
        for n in range(MAX_ENTRIES + 50)
    ]
    write_history(redis_client, rows[100:])
    write_history(redis_client, rows[:100])
    assert [entry.item_id for entry in history()] == [
        f"i{n}" for n in range(50, MAX_ENTRIES + 50)
    ]
    left = int(redis_client.ttl(history_key(ANNA)))
    assert 0 < left <= EXPIRY.total_seconds()


def test_an_own_event_is_in_the_history_once_it_is_logged(
    lake: Path, redis_client: redis_module.Redis
) -> None:
    send([row(name="click", item_id="lamp")])
    collector = Collector(redis_client, Lake(str(lake)), lambda *_: None)
    collector.drain(shard_name(0))
    assert [(e.item_id, e.name) for e in history()] == [("lamp", "click")]


def test_a_stranger_has_no_history() -> None:
    assert history(HASHER.hash("nobody")) == []
