import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.events import tasks
from experiments.events.catalogue import flush_outbox, upsert_items
from experiments.events.lake import ITEMS, UNITS, Lake
from experiments.events.models import Item, Outbox, Unit
from experiments.gateway.services import create_key
from experiments.gateway.units import UnitHasher
from tests.experiments.events.shop import logged

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop_key() -> str:
    """A key with the scope ``catalogue``."""
    return create_key(label="feed", client="feed", kind="secret", scopes=["catalogue"])[
        1
    ]


def put(path: str, key: str, body: object) -> tuple[int, dict[str, Any]]:
    response = Client(headers={"X-API-Key": key}).put(
        path, json.dumps(body), content_type="application/json"
    )
    return response.status_code, response.json()


def items(key: str, *updates: dict[str, object]) -> tuple[int, dict[str, Any]]:
    return put("/api/v1/items", key, {"items": updates})


def in_lake(lake: Path, table: str, columns: str) -> list[tuple[object, ...]]:
    return logged(str(lake), columns, table)


def test_an_update_changes_only_the_fields_it_names(shop_key: str) -> None:
    status, body = items(
        shop_key,
        {"item_id": "a", "title": "Lamp", "price": "19.90", "currency": "EUR",
         "category": ["Home", "Light"], "attributes": {"colour": "red"}},
        {"item_id": "b", "title": "Chair", "in_stock": False},
    )  # fmt: skip
    assert (status, body) == (200, {"updated": 2})
    assert items(shop_key, {"item_id": "a", "price": "17"})[0] == 200
    item = Item.objects.get(pk="a")
    assert (item.title, item.price, item.category) == (
        "Lamp",
        Decimal(17),
        "Home > Light",
    )
    assert item.attributes == {"colour": "red"}
    assert not Item.objects.get(pk="b").in_stock


def test_every_state_reaches_the_lake_with_its_time(lake: Path, shop_key: str) -> None:
    items(shop_key, {"item_id": "a", "title": "Lamp", "price": "19.90"})
    items(shop_key, {"item_id": "a", "price": "17.5"})
    tasks.flush_outbox()
    assert in_lake(lake, ITEMS, "title, price, attributes") == [
        ("Lamp", Decimal("17.5"), "{}"),
        ("Lamp", Decimal("19.9"), "{}"),
    ]
    moments = [row[0] for row in in_lake(lake, ITEMS, "valid_from")]
    assert len(set(moments)) == 2
    assert not Outbox.objects.exists()
    tasks.flush_outbox()
    assert len(in_lake(lake, ITEMS, "item_id")) == 2


def test_a_flush_that_fails_keeps_the_changes(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert_items([{"item_id": "a", "available_from": datetime(2027, 1, 1, tzinfo=UTC)}])

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "add", full)
        with pytest.raises(OSError, match="No space"):
            flush_outbox(Lake(str(lake)))
    assert Outbox.objects.count() == 1
    assert flush_outbox(Lake(str(lake))) == 1
    assert in_lake(lake, ITEMS, "available_from") == [
        (datetime(2027, 1, 1, tzinfo=UTC),)
    ]


@pytest.mark.parametrize(
    ("update", "field"),
    [
        ({"title": "no id"}, "items[0].item_id"),
        ({"item_id": "a" * 201}, "items[0].item_id"),
        ({"item_id": "a", "price": -1}, "items[0].price"),
        ({"item_id": "a", "price": "1.23456"}, "items[0].price"),
        ({"item_id": "a", "currency": "pounds"}, "items[0].currency"),
        ({"item_id": "a", "title": "nul\0"}, "items[0].title"),
        ({"item_id": "a", "attributes": {"a": {"b": 1}}}, "items[0].attributes"),
        ({"item_id": "a", "attributes": {"a": "nul\0"}}, "items[0].attributes"),
        ({"item_id": "a", "attributes": {"a": "\ud800"}}, "items[0].attributes"),
        ({"item_id": "a", "attributes": 3}, "items[0].attributes"),
        ({"item_id": "a", "image_url": "javascript:alert(1)"}, "items[0].image_url"),
        ("no object", "items[0].non_field_errors"),
    ],
)
def test_one_wrong_update_refuses_the_request_and_says_where(
    shop_key: str, update: dict[str, object], field: str
) -> None:
    status, body = items(shop_key, update, {"item_id": "good"})
    assert status == 400
    assert body["error"]["code"] == "invalid"
    assert field in [d["field"] for d in body["error"]["details"]]
    assert not Item.objects.exists()


@pytest.mark.parametrize("count", [0, 1001])
def test_one_to_a_thousand_updates_are_taken(shop_key: str, count: int) -> None:
    updates: list[dict[str, object]] = [{"item_id": str(n)} for n in range(count)]
    assert items(shop_key, *updates)[0] == 400


def test_a_thousand_updates_take_few_queries(shop_key: str) -> None:
    updates: list[dict[str, object]] = [
        {"item_id": str(n), "title": f"item {n}"} for n in range(1000)
    ]
    with CaptureQueriesContext(connection) as queries:
        assert items(shop_key, *updates) == (200, {"updated": 1000})
    assert len(queries) < 15
    assert Item.objects.count() == 1000


def test_a_unit_is_kept_under_its_hash_only(lake: Path, shop_key: str) -> None:
    path = "/api/v1/units"
    first = {"units": [{"unit_id": "anna", "attributes": {"vip": True, "age": 30}}]}
    again = {"units": [{"unit_id": "anna", "attributes": {"age": None}}]}
    assert put(path, shop_key, first) == (200, {"updated": 1})
    assert put(path, shop_key, again) == (200, {"updated": 1})
    [unit] = Unit.objects.all()
    key = UnitHasher(settings.UNIT_KEY).hash("anna")
    assert bytes(unit.unit_key) == key
    assert unit.attributes == {"vip": True}
    flush_outbox(Lake(str(lake)))
    assert in_lake(lake, UNITS, "unit_key, attributes") == [
        (key, '{"vip": true}'),
        (key, '{"vip": true, "age": 30}'),
    ] or in_lake(lake, UNITS, "unit_key, attributes") == [
        (key, '{"age": 30, "vip": true}'),
        (key, '{"vip": true}'),
    ]


def test_other_keys_may_not_write_the_catalogue() -> None:
    key = create_key(label="w", client="w", kind="secret", scopes=["events"])[1]
    assert items(key, {"item_id": "a"})[0] == 403
    assert put("/api/v1/units", "", {"units": []})[0] in {401, 403}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 50_000, b'{"items": ' + b'{"a":' * 50_000, b"3", b"[]"],
)
def test_a_body_that_is_no_update_is_refused_in_the_envelope(
    shop_key: str, body: bytes
) -> None:
    response = Client(headers={"X-API-Key": shop_key}).put(
        "/api/v1/items", body, content_type="application/json"
    )
    assert response.status_code == 400
    assert response.json()["error"]["code"]
