import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from django.conf import settings
from redis.asyncio import Redis

from experiments.assignment.holder import PlanHolder, PlanUnavailableError
from experiments.assignment.plan import Plan
from experiments.assignment.publication import (
    HEAD_KEY,
    PLAN_KEY,
    encode_head,
    encode_plan,
)
from tests.experiments.assignment import plans

KEYS = plans.Keys()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 # of any kind, so no event tells
            await asyncio.sleep(0.005)


def refresh(holder: PlanHolder) -> bool:
    async def run() -> bool:
        async with Redis.from_url(settings.REDIS_URL) as client:
            return await holder.refresh(client)

    return asyncio.run(run())


def test_without_a_plan_the_holder_says_so() -> None:
    holder = PlanHolder()
    assert not holder.loaded
    assert not refresh(holder)
    with pytest.raises(PlanUnavailableError):
        holder.current()


def test_a_published_plan_is_taken_once(redis_client: "redis.Redis") -> None:
    made = plans.plan(KEYS)
    plans.publish(redis_client, made)
    holder = PlanHolder()
    assert refresh(holder)
    assert holder.current() == made
    held = holder.current()
    assert not refresh(holder)
    assert holder.current() is held


def test_a_plan_published_again_unchanged_is_young_again(
    redis_client: "redis.Redis",
) -> None:
    made = plans.plan(KEYS)
    plans.publish(redis_client, made)
    holder = PlanHolder()
    refresh(holder)
    old = holder.age_seconds
    redis_client.set(HEAD_KEY, f'["{made.revision}", {made.built_at + 500}]')
    assert not refresh(holder)
    assert holder.age_seconds == pytest.approx(old - 500, abs=5)


def test_a_new_process_starts_from_the_plan_on_disk(
    redis_client: "redis.Redis", tmp_path: Path
) -> None:
    path = tmp_path / "data" / "plan.json"
    made = plans.plan(KEYS)
    plans.publish(redis_client, made)
    refresh(PlanHolder(path=path))
    other = PlanHolder(path=path)
    assert asyncio.run(other.restore())
    assert other.current() == made
    assert [file.name for file in path.parent.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("text", [None, b"", b"{", b'{"revision": 1}', b"\xff"])
def test_a_plan_on_disk_that_cannot_be_read_is_passed_over(
    tmp_path: Path, text: bytes | None
) -> None:
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_bytes(text)
    holder = PlanHolder(path=path)
    assert not asyncio.run(holder.restore())
    assert not holder.loaded


def test_models_are_prepared_before_the_swap(redis_client: "redis.Redis") -> None:
    seen: list[tuple[Plan, bool]] = []

    async def prepare(plan: Plan) -> None:
        seen.append((plan, holder.loaded))

    holder = PlanHolder(prepare=[prepare])
    made = plans.plan(KEYS)
    plans.publish(redis_client, made)
    refresh(holder)
    assert seen == [(made, False)]
    assert holder.loaded


def test_a_plan_that_cannot_be_prepared_waits_but_not_for_ever(
    redis_client: "redis.Redis",
) -> None:
    broken = ""

    async def prepare(plan: Plan) -> None:
        if plan.revision == broken:
            raise OSError("no such artifact")

    holder = PlanHolder(prepare=[prepare])
    first, second = plans.plan(KEYS), plans.plan(KEYS)
    broken = second.revision
    plans.publish(redis_client, first)
    refresh(holder)
    plans.publish(redis_client, second)
    for _ in range(PlanHolder.ATTEMPTS - 1):
        assert not refresh(holder)
        assert holder.current() == first
    assert refresh(holder)
    assert holder.current() == second


def test_a_change_is_followed_on_notice_without_waiting_for_the_poll(
    redis_client: "redis.Redis",
) -> None:
    async def run() -> None:
        holder = PlanHolder()
        async with Redis.from_url(settings.REDIS_URL, socket_timeout=60) as client:
            following = asyncio.create_task(holder.follow(client, poll_seconds=50))
            plans.publish(redis_client, plans.plan(KEYS))
            await until(lambda: holder.loaded)
            for _ in range(3):
                made = plans.plan(KEYS)
                plans.publish(redis_client, made)
                await until(lambda: holder.current().revision == made.revision)  # noqa: B023 # awaited here
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())


def test_a_change_whose_notice_was_lost_is_found_by_looking(
    redis_client: "redis.Redis",
) -> None:
    async def run() -> None:
        holder = PlanHolder()
        async with Redis.from_url(settings.REDIS_URL) as client:
            following = asyncio.create_task(holder.follow(client, poll_seconds=0.02))
            plans.publish(redis_client, plans.plan(KEYS))
            await until(lambda: holder.loaded)
            made = plans.plan(KEYS)
            redis_client.set(PLAN_KEY, encode_plan(made))
            redis_client.set(HEAD_KEY, encode_head(made))
            await until(lambda: holder.current().revision == made.revision)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())


def test_following_goes_on_when_the_connection_breaks(
    redis_client: "redis.Redis",
) -> None:
    async def run() -> None:
        holder = PlanHolder()
        async with Redis.from_url(settings.REDIS_URL) as client:
            following = asyncio.create_task(holder.follow(client, poll_seconds=0.02))
            plans.publish(redis_client, plans.plan(KEYS))
            await until(lambda: holder.loaded)
            redis_client.client_kill_filter(_type="pubsub")
            redis_client.client_kill_filter(_type="normal", skipme=True)
            made = plans.plan(KEYS)
            plans.publish(redis_client, made)
            await until(lambda: holder.current().revision == made.revision)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())
