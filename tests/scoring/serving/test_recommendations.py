import asyncio
import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from config.embedded import EmbeddedRedis
from experiments.assignment.evaluator import assign
from experiments.assignment.plan import Plan, VersionPlan
from experiments.gateway.errors import ForbiddenError, MalformedError
from models_registry.errors import InvalidError, NotFoundError
from scoring.serving.services import Answer, Ask
from tests.scoring.serving import kitchen
from tests.scoring.serving.kitchen import (
    ITEMS,
    NEIGHBOURS,
    NOW,
    POPULARITY,
    SHOP_KEY,
    Kitchen,
    cook,
    ids,
    remember,
)
from tests.scoring.shop import HASHER

Shelf = dict[int, VersionPlan]
NOBODY = "unix:///nonexistent/redis.sock"


@pytest.fixture
def split(shelf: Shelf) -> Plan:
    """Half the shoppers get popularity, half the neighbours."""
    rule = kitchen.experiment(POPULARITY, NEIGHBOURS)
    return kitchen.plan(kitchen.placement(rule), *shelf.values())


def test_a_list_says_where_it_came_from(
    neighbours: Plan, redis_url: str, redis_client: Redis
) -> None:
    remember(redis_client, "u1", ITEMS[4], ITEMS[5])
    answer = cook(neighbours, redis_url, lambda k: k.ask("u1", k=3))
    assert answer.experiment == "home-page"
    assert answer.phase == 1
    assert answer.variant == "v0"
    assert answer.reason == "SPLIT"
    assert (answer.model, answer.version) == ("home", NEIGHBOURS)
    assert answer.fallback == "none"
    assert len(ids(answer)) == 3
    assert [i.position for i in answer.items] == [1, 2, 3]
    assert {i.propensity for i in answer.items} == {1.0}
    scores = [i.score for i in answer.items if i.score is not None]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert ITEMS[6] in ids(answer)


def test_a_list_is_as_long_as_the_placement_says(split: Plan, redis_url: str) -> None:
    answer = cook(split, redis_url, lambda k: k.ask())
    assert len(ids(answer)) == 10


def test_a_unit_gets_the_variant_that_assignment_gives_it(
    split: Plan, redis_url: str
) -> None:
    async def meal(k: Kitchen) -> None:
        for n in range(50):
            answer = await k.ask(f"u{n}")
            expected = assign(split.placements["home"], f"u{n}", {}, NOW)
            assert answer.variant == expected.variant
            assert answer.version == expected.version_id

    cook(split, redis_url, meal)


def test_seen_items_are_left_out_unless_the_placement_says_otherwise(
    shelf: Shelf, redis_url: str, redis_client: Redis
) -> None:
    seen = ITEMS[:5]
    remember(redis_client, "u1", *seen)
    without = kitchen.plan(kitchen.placement(), *shelf.values())
    repeating = kitchen.plan(kitchen.placement(exclude_seen=False), *shelf.values())
    assert not set(ids(cook(without, redis_url, lambda k: k.ask()))) & set(seen)
    assert set(ids(cook(repeating, redis_url, lambda k: k.ask(k=30)))) >= set(seen)


def test_a_history_in_the_request_is_used_instead(
    neighbours: Plan, redis_url: str, redis_client: Redis
) -> None:
    remember(redis_client, "u1", ITEMS[20])
    at = datetime.fromtimestamp(NOW - 60, UTC).isoformat()
    history = [{"item_id": ITEMS[9], "timestamp": at}, ITEMS[10]]
    answer = cook(neighbours, redis_url, lambda k: k.ask(k=2, history=history))
    assert ITEMS[11] in ids(answer)
    assert not set(ids(answer)) & {ITEMS[9], ITEMS[10]}


def test_what_happened_after_the_asked_time_is_unknown(
    neighbours: Plan, redis_url: str, redis_client: Redis
) -> None:
    remember(redis_client, "u1", ITEMS[20])
    before = datetime.fromtimestamp(NOW - 7200, UTC).isoformat()
    answer = cook(neighbours, redis_url, lambda k: k.ask(timestamp=before))
    assert answer.fallback == "no_history"


def test_a_timestamp_needs_the_scope_simulate(split: Plan, redis_url: str) -> None:
    body = {"unit_id": "u", "placement": "home", "timestamp": "2026-01-01T00:00:00Z"}
    with pytest.raises(ForbiddenError, match="simulate"):
        cook(split, redis_url, lambda k: k.answer(body, SHOP_KEY))


item_sets = st.sets(st.sampled_from(ITEMS), max_size=len(ITEMS))


@settings(deadline=None, max_examples=40)
@given(
    out=item_sets,
    exclude=item_sets,
    seen=item_sets,
    candidates=st.none() | item_sets,
    k=st.integers(1, 40),
    version=st.sampled_from([POPULARITY, NEIGHBOURS]),
)
def test_no_list_ever_breaks_a_rule(
    shelf: Shelf,
    out: set[str],
    exclude: set[str],
    seen: set[str],
    candidates: set[str] | None,
    k: int,
    version: int,
) -> None:
    place = kitchen.placement(kitchen.experiment(version))
    content = kitchen.plan(place, *shelf.values(), out=frozenset(out))
    body: dict[str, object] = {"exclude": sorted(exclude), "history": sorted(seen)}
    if candidates is not None:
        body["candidates"] = sorted(candidates)

    async def meal(kit: Kitchen) -> Answer:
        return await kit.ask("u1", **body, k=k, dry_run=True)

    answer = cook(content, NOBODY, meal)
    listed = ids(answer)
    allowed = set(ITEMS if candidates is None else candidates)
    allowed -= out | exclude | seen
    assert set(listed) <= allowed
    assert len(listed) == len(set(listed))
    assert len(listed) == min(k, len(allowed)), "popularity fills what it may"
    assert (answer.fallback == "empty") == (not listed)
    assert answer.variant == "v0"


def test_a_unit_without_history_gets_popular_items_in_its_own_variant(
    neighbours: Plan, redis_url: str
) -> None:
    async def meal(k: Kitchen) -> None:
        answer = await k.ask("new")
        assert answer.fallback == "no_history"
        assert answer.variant == "v0"
        assert answer.version == NEIGHBOURS
        assert len(ids(answer)) == 10
        assert {i.score for i in answer.items} == {None}
        rows = await k.rows("served")
        assert {row.fallback for row in rows} == {"no_history"}
        assert {row.model_version for row in rows} == {f"home/{NEIGHBOURS}"}

    cook(neighbours, redis_url, meal)


def test_a_list_the_model_begins_is_filled_behind_it(
    neighbours: Plan, redis_url: str
) -> None:
    answer = cook(neighbours, redis_url, lambda k: k.ask(k=30, history=[ITEMS[0]]))
    scores = [i.score for i in answer.items]
    own = [score for score in scores if score is not None]
    assert answer.fallback == "too_few"
    assert len(scores) == 29
    assert 0 < len(own) < 29
    assert scores[: len(own)] == own


def test_every_item_listed_is_logged_with_its_position(
    neighbours: Plan, redis_url: str
) -> None:
    async def meal(k: Kitchen) -> None:
        answer = await k.ask("u1")
        rows = await k.rows("served")
        assert [row.item_id for row in rows] == ids(answer)
        assert [row.position for row in rows] == [*range(1, 11)]
        first = rows[0]
        assert first.request_id == answer.request_id
        assert first.propensity == 1.0
        assert first.placement == "home"
        assert (first.experiment, first.phase, first.variant) == ("home-page", 1, "v0")
        assert first.unit_key == HASHER.hash("u1")
        assert first.timestamp == datetime.fromtimestamp(NOW, UTC)
        assert len({row.event_id for row in rows}) == 10
        assert "u1" not in repr(rows)

    cook(neighbours, redis_url, meal)


def test_an_empty_list_is_logged_too(neighbours: Plan, redis_url: str) -> None:
    async def meal(k: Kitchen) -> None:
        answer = await k.ask(candidates=["no-such-item"])
        assert ids(answer) == []
        assert answer.fallback == "empty"
        [row] = await k.rows("served")
        assert (row.item_id, row.position, row.fallback) == (None, None, "empty")

    cook(neighbours, redis_url, meal)


def test_an_exposure_is_logged_once_a_day_by_all_processes_together(
    neighbours: Plan, redis_url: str
) -> None:
    async def meal(k: Kitchen) -> None:
        attributes = {"country": "PT", "id": "u1"}
        for _ in range(3):
            await k.ask("u1", attributes=attributes)
        await k.rows()

    cook(neighbours, redis_url, meal)  # one process
    cook(neighbours, redis_url, meal)  # and another

    async def count(k: Kitchen) -> None:
        rows = await k.rows("exposure")
        assert len({row.event_id for row in rows}) == 1  # the log keeps one
        row = rows[0]
        assert (row.experiment, row.phase, row.variant) == ("home-page", 1, "v0")
        assert row.assignment_probability == 1.0
        assert row.attributes == '{"country":"PT"}'
        tomorrow = datetime.fromtimestamp(NOW + 86_400, UTC).isoformat()
        await k.ask("u1", timestamp=tomorrow)
        assert len({row.event_id for row in await k.rows("exposure")}) == 2

    cook(neighbours, redis_url, count)


def test_no_exposure_is_logged_outside_experiments_or_where_the_client_does(
    shelf: Shelf, redis_url: str
) -> None:
    client = kitchen.experiment(NEIGHBOURS, exposure="client")
    for place in (kitchen.placement(), kitchen.placement(client)):

        async def meal(k: Kitchen) -> None:
            await k.ask("u1")
            assert not await k.rows("exposure")
            assert await k.rows("served")

        cook(kitchen.plan(place, *shelf.values()), redis_url, meal)


def test_a_dry_run_logs_nothing(neighbours: Plan, redis_url: str) -> None:
    async def meal(k: Kitchen) -> None:
        answer = await k.ask(dry_run=True)
        assert len(ids(answer)) == 10
        assert await k.rows() == []

    cook(neighbours, redis_url, meal)


def test_lists_go_on_while_redis_is_away(neighbours: Plan, redis_url: str) -> None:
    async def meal(k: Kitchen) -> None:
        for n in range(5):
            answer = await k.ask(f"u{n}")
            assert answer.variant == "v0"
            assert len(ids(answer)) == 10
            assert answer.fallback == "no_history"
        with_history = await k.ask("u1", history=[ITEMS[3]], k=1)
        assert with_history.fallback == "none"

    cook(neighbours, NOBODY, meal)


def test_what_was_served_while_redis_was_away_is_logged_when_it_is_back(
    neighbours: Plan, tmp_path: Path
) -> None:
    redis = EmbeddedRedis(tmp_path, durable=False)

    async def meal(k: Kitchen) -> None:
        await k.ask("u1")
        await asyncio.to_thread(redis.start)
        assert len(await k.rows("served")) == 10
        assert len(await k.rows("exposure")) == 1

    try:
        cook(neighbours, redis.url, meal)
    finally:
        redis.stop()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"unit_id": "u"}, "placement"),
        ({"placement": "home"}, "unit_id"),
        ({"unit_id": "", "placement": "home"}, "unit_id"),
        ({"unit_id": "u", "placement": "home", "k": 0}, "k"),
        ({"unit_id": "u", "placement": "home", "k": 201}, "k"),
        ({"unit_id": "u", "placement": "home", "filter": {}}, "filter"),
        ({"unit_id": "u", "placement": "home", "candidates": ["x"] * 1001}, "1000"),
        ({"unit_id": "u", "placement": "home", "exclude": [1]}, "exclude"),
    ],
)
def test_a_bad_body_is_refused_by_name(
    split: Plan, redis_url: str, body: dict[str, object], said: str
) -> None:
    with pytest.raises(MalformedError, match=said):
        cook(split, redis_url, lambda k: k.answer(body))


def test_an_unknown_placement_lists_the_known_ones(split: Plan, redis_url: str) -> None:
    body = {"unit_id": "u", "placement": "cart"}
    with pytest.raises(NotFoundError, match=r"'cart'.*home"):
        cook(split, redis_url, lambda k: k.answer(body))


def test_a_placement_without_a_model_says_where_to_ask(
    split: Plan, redis_url: str
) -> None:
    body = {"unit_id": "u", "placement": "button"}
    with pytest.raises(InvalidError, match="api/v1/assignments"):
        cook(split, redis_url, lambda k: k.answer(body))


def test_answers_are_never_kept_by_caches(split: Plan, redis_url: str) -> None:
    body = {"unit_id": "u", "placement": "home"}
    response = cook(split, redis_url, lambda k: k.answer(body))
    assert ("cache-control", "private, no-store") in response.headers


def test_answers_and_asks_agree_with_the_contract() -> None:
    assert [f.name for f in msgspec.structs.fields(Answer)] == [
        "request_id",
        "placement",
        "experiment",
        "phase",
        "variant",
        "reason",
        "model",
        "version",
        "fallback",
        "items",
    ]
    assert {f.name for f in dataclasses.fields(Ask)} >= {"k", "exclude", "candidates"}
