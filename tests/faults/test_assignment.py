"""Shoppers keep their variants whoever is away, in processes old and new."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from config.embedded import EmbeddedRedis
from experiments.assignment.plan import Plan
from tests.config.shops import Answer, FrontShop
from tests.experiments.assignment import plans
from tests.waiting import wait_for

pytestmark = pytest.mark.faults

KEYS = plans.Keys()
UNITS = [f"u{number}" for number in range(50)]
NOBODY = "postgresql://none@127.0.0.1:9/none"
WITHDRAWN_SECONDS = 3.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    made = EmbeddedRedis(tmp_path / "redis", durable=False)
    made.start()
    yield made
    made.stop()


@contextmanager
def front(folder: Path, server: EmbeddedRedis, **more: str) -> Iterator[FrontShop]:
    """A front of two workers that never sees PostgreSQL."""
    environment = {
        "REDIS_URL": server.url,
        "DATABASE_URL": NOBODY,
        "SHIPWORTHY_DATA_DIR": str(folder),
        **more,
    }
    shop = FrontShop(folder, environment, workers=2)
    shop.start()
    try:
        yield shop
    finally:
        shop.stop()


def plan(**fields: Any) -> Plan:
    """A plan of this moment, whose values need no model."""
    made = plans.plan(KEYS, built_at=time.time())
    [rule] = made.placements["home"].experiments
    variants = tuple(
        msgspec.structs.replace(
            variant, version_id=None, payload=json.dumps(variant.key), **fields
        )
        for variant in rule.variants
    )
    rule = msgspec.structs.replace(rule, variants=variants)
    home = msgspec.structs.replace(
        made.placements["home"],
        experiments=(rule,),
        default_version_id=None,
        default_payload='"as before"',
    )
    return msgspec.structs.replace(made, placements={"home": home}, versions={})


def ask(shop: FrontShop) -> Answer:
    body = {"placement": "home", "units": [{"unit_id": unit} for unit in UNITS]}
    headers = {
        "Authorization": f"Bearer {KEYS.server}",
        "Content-Type": "application/json",
    }
    return shop.call("POST", "/api/v1/assignments", json.dumps(body).encode(), headers)


def assigned(shop: FrontShop) -> list[tuple[str, str]]:
    """What each unit gets, and why."""
    answer = ask(shop)
    assert answer.status == 200
    found = json.loads(answer.body)["assignments"]
    return [(one["value"], one["reason"]) for one in found]


def revisions(shop: FrontShop) -> set[str]:
    """The plans by which the workers answer; each of them is met many times."""
    return {json.loads(ask(shop).body)["plan_revision"] for _ in range(16)}


def publish(server: EmbeddedRedis, made: Plan) -> None:
    with redis.Redis.from_url(server.url) as client:
        plans.publish(client, made)


def test_a_change_is_in_every_process_within_a_second(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    publish(server, plan())
    with front(tmp_path, server) as shop:
        wait_for(lambda: ask(shop).status == 200)
        for _ in range(3):
            made = plan()
            publish(server, made)
            wait_for(lambda: revisions(shop) == {made.revision}, 1.0)  # noqa: B023 # awaited here


def test_assignment_goes_on_without_redis_and_postgresql_also_in_a_new_process(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    made = plan()
    publish(server, made)
    with front(tmp_path, server) as shop:
        wait_for(lambda: ask(shop).status == 200)
        before = assigned(shop)
        assert {value for value, _ in before} == {"control", "treatment"}
        server.kill()
        assert assigned(shop) == before
        wait_for(lambda: int(ask(shop).headers["x-plan-age"]) >= 1)
        age = json.loads(shop.call("GET", "/readyz").body)["plan"]["age_seconds"]
        assert age >= 1.0
    with front(tmp_path, server) as started_meanwhile:
        wait_for(lambda: ask(started_meanwhile).status == 200)
        assert assigned(started_meanwhile) == before
        assert revisions(started_meanwhile) == {made.revision}


def test_an_old_plan_serves_no_variant_that_was_withdrawn_for_harm(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    limit = {"SHIPWORTHY_WITHDRAWN_SECONDS": str(WITHDRAWN_SECONDS)}
    with front(tmp_path, server, **limit) as shop:
        publish(server, plan(withdrawn=True))
        wait_for(lambda: ask(shop).status == 200)
        publish(server, plan(withdrawn=True))
        wait_for(lambda: {reason for _, reason in assigned(shop)} == {"SPLIT"})
        server.kill()
        refused = {("as before", "WITHDRAWN")}
        wait_for(lambda: set(assigned(shop)) == refused, WITHDRAWN_SECONDS + 5)
    with front(tmp_path, server, **limit) as started_meanwhile:
        wait_for(lambda: ask(started_meanwhile).status == 200)
        assert set(assigned(started_meanwhile)) == refused
