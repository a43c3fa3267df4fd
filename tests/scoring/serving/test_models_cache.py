"""What a front holds in memory: loaded before a plan answers, tried again if lost."""

import asyncio
from typing import Never

import msgspec
import pytest

from experiments.assignment.plan import Plan, VersionPlan
from scoring.serving.models_cache import ModelCache
from scoring.serving.ranking import Ranker
from tests.scoring.serving import kitchen
from tests.scoring.serving.kitchen import (
    ITEMS,
    NEIGHBOURS,
    POPULARITY,
    Kitchen,
    cook,
    ids,
)
from tests.waiting import wait_for

Shelf = dict[int, VersionPlan]


def test_a_new_plan_is_ready_before_it_answers(shelf: Shelf, redis_url: str) -> None:
    before = kitchen.plan(kitchen.placement(), shelf[POPULARITY])
    after = msgspec.structs.replace(
        kitchen.plan(kitchen.placement(default=NEIGHBOURS), *shelf.values()),
        revision="r2",
    )

    async def meal(k: Kitchen) -> None:
        await k.models.prepare(before)
        assert k.models.get(NEIGHBOURS) is None
        await k.models.prepare(after)
        assert k.models.get(NEIGHBOURS) is not None
        assert k.models.get(POPULARITY) is not None
        alone = kitchen.plan(kitchen.placement(), shelf[NEIGHBOURS])
        await k.models.prepare(alone)
        await k.models.prepare(alone)
        assert k.models.get(POPULARITY) is None
        assert k.models.loaded == {NEIGHBOURS}

    cook(before, redis_url, meal)


def test_a_version_that_failed_to_load_is_tried_again(
    neighbours: Plan, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models_registry.artifacts import ArtifactUnusableError
    from scoring.serving import models_cache

    monkeypatch.setattr(models_cache, "RETRY_SECONDS", 0.0)
    broken = [True]

    def load(version: VersionPlan) -> Ranker:
        if version.id == NEIGHBOURS and broken[0]:
            raise ArtifactUnusableError("the store is away")
        return models_cache.load_ranker(version)

    async def meal(k: Kitchen) -> None:
        assert (await k.ask("u1")).fallback == "model_unavailable"
        broken[0] = False
        await asyncio.to_thread(wait_for, lambda: k.models.get(NEIGHBOURS) is not None)
        assert (await k.ask("u1", history=[ITEMS[3]], k=1)).fallback == "none"
        assert not k.models.failures

    cook(neighbours, redis_url, meal, models=ModelCache(load))


def test_a_slow_model_ranks_in_a_thread_with_the_same_answer(
    neighbours: Plan, redis_url: str
) -> None:
    async def meal(k: Kitchen) -> None:
        fast = await k.ask("u1", history=[ITEMS[3]])
        ranker = k.models.get(NEIGHBOURS)
        assert ranker is not None
        ranker.seconds = 1.0
        slow = await k.ask("u1", history=[ITEMS[3]])
        assert ids(slow) == ids(fast)

    cook(neighbours, redis_url, meal)


def test_a_version_that_cannot_be_loaded_keeps_its_variant(
    shelf: Shelf, redis_url: str
) -> None:
    lost = VersionPlan(9, "home", 9, "item_knn", "0" * 64)
    rule = kitchen.experiment(9)
    content = kitchen.plan(kitchen.placement(rule), lost, *shelf.values())

    async def meal(k: Kitchen) -> None:
        answer = await k.ask()
        assert answer.fallback == "model_unavailable"
        assert (answer.variant, answer.version) == ("v0", 9)
        assert len(ids(answer)) == 10
        assert "can't be read" in k.models.failures[9]

    cook(content, redis_url, meal)


def test_a_model_that_fails_does_not_take_the_page_with_it(
    neighbours: Plan, redis_url: str
) -> None:
    class Broken(Ranker):
        def rank(self, *_: object, **__: object) -> Never:
            raise ZeroDivisionError

    def load(version: VersionPlan) -> Ranker:
        from scoring.serving.models_cache import load_ranker

        ranker = load_ranker(version)
        if version.id == NEIGHBOURS:
            ranker.__class__ = Broken
        return ranker

    answer = cook(neighbours, redis_url, lambda k: k.ask(), models=ModelCache(load))
    assert answer.fallback == "model_failed"
    assert len(ids(answer)) == 10
