"""The same lists over HTTP, from a real front, out of the box."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from django.conf import settings
from redis import Redis

from experiments.assignment.plan import Plan, VersionPlan
from experiments.events.stream import shard_name, stream_key
from experiments.gateway.units import UnitHasher
from tests.config.shops import FrontShop
from tests.experiments.assignment import plans
from tests.scoring.serving import kitchen
from tests.scoring.serving.kitchen import ITEMS, NEIGHBOURS, POPULARITY
from tests.waiting import wait_for

PATH = "/api/v1/recommendations"
KEYS = plans.Keys()


@pytest.fixture
def content(shelf: dict[int, VersionPlan]) -> Plan:
    rule = kitchen.experiment(POPULARITY, NEIGHBOURS)
    made = kitchen.plan(
        kitchen.placement(rule), *shelf.values(), out=frozenset(ITEMS[:2])
    )
    return msgspec.structs.replace(made, keys=KEYS.live())


@pytest.fixture
def front(tmp_path: Path, content: Plan, redis_client: Redis) -> Iterator[FrontShop]:
    plans.publish(redis_client, content)
    places = {
        "SHIPWORTHY_DATA_DIR": str(tmp_path),
        "ARTIFACTS_URL": str(settings.ARTIFACTS_URL),
    }
    shop = FrontShop(tmp_path, places)
    shop.start()
    yield shop
    shop.stop()


def test_a_front_is_ready_once_its_models_are_and_logs_what_it_serves(
    front: FrontShop, redis_client: Redis
) -> None:
    wait_for(lambda: front.call("GET", "/readyz").status == 200)
    body = msgspec.json.encode({"unit_id": "u1", "placement": "home"})
    headers = {"authorization": f"Bearer {KEYS.server}"}
    answer = front.call("POST", PATH, body, headers)
    assert answer.status == 200, answer.body
    told = json.loads(answer.body)
    assert len(told["items"]) == 10
    assert not {item["item_id"] for item in told["items"]} & set(ITEMS[:2])
    key = stream_key(shard_name(0))
    wait_for(lambda: redis_client.xlen(key) > 0)
    rows = kitchen.rows_of(redis_client.xrange(key))
    assert [row.name for row in rows] == ["served"] * 10 + ["exposure"]
    assert {row.request_id for row in rows} == {told["request_id"]}
    assert {row.unit_key for row in rows} == {UnitHasher(settings.UNIT_KEY).hash("u1")}


def test_a_front_tells_errors_in_the_envelope(front: FrontShop) -> None:
    headers = {"authorization": f"Bearer {KEYS.server}"}
    for body, status, code in (
        (b"{", 400, "malformed_json"),
        (b'{"unit_id": "u", "placement": "cart"}', 404, "not_found"),
        (b'{"unit_id": "u", "placement": "button"}', 400, "invalid"),
    ):
        answer = front.call("POST", PATH, body, headers)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (
            status,
            code,
        )
    assert front.call("POST", PATH, b"{}").status == 401
