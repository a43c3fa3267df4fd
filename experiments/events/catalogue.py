"""The catalogue and the units: present state in PostgreSQL, history in the lake.

A change and its outbox row are saved in one transaction; a task carries the outbox to
the lake, where each row tells since when it was so.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
from django.db import transaction
from django.utils import timezone

from experiments.events.lake import ITEMS, SCHEMAS, UNITS, Lake
from experiments.events.models import Item, Outbox, Unit

FLUSH_ROWS = 5000
_ITEM_COLUMNS = tuple(
    name for name in SCHEMAS[ITEMS].names if name not in {"valid_from", "sequence"}
)


def upsert_items(
    updates: Sequence[Mapping[str, object]], *, now: datetime | None = None
) -> None:
    """Update items, each by ``item_id`` and only in the fields it names.

    Args:
        updates: Fields of ``Item``; a later update of the same item wins.
        now: Since when it is so.
    """
    now = now or timezone.now()
    merged: dict[str, dict[str, object]] = {}
    for update in updates:
        merged.setdefault(str(update["item_id"]), {}).update(update)
    with transaction.atomic():
        _upsert(merged)
        items = Item.objects.filter(pk__in=list(merged)).order_by("pk")
        Outbox.objects.bulk_create(
            Outbox(table=ITEMS, row=_item_row(item), valid_from=now) for item in items
        )


def upsert_units(
    updates: Mapping[bytes, Mapping[str, object]], *, now: datetime | None = None
) -> None:
    """Update units' attributes by unit key; an attribute of None is removed."""
    now = now or timezone.now()
    with transaction.atomic():
        Unit.objects.bulk_create(
            (Unit(unit_key=key) for key in sorted(updates)), ignore_conflicts=True
        )
        units = list(
            Unit.objects.select_for_update().filter(pk__in=list(updates)).order_by("pk")
        )
        for unit in units:
            together = {**unit.attributes, **updates[bytes(unit.unit_key)]}
            unit.attributes = {k: v for k, v in together.items() if v is not None}
            unit.updated_at = now
        Unit.objects.bulk_update(units, ["attributes", "updated_at"])
        Outbox.objects.bulk_create(
            Outbox(
                table=UNITS,
                row={
                    "unit_key": bytes(unit.unit_key).hex(),
                    "attributes": unit.attributes,
                },
                valid_from=now,
            )
            for unit in units
        )


def _upsert(updates: Mapping[str, Mapping[str, object]]) -> None:
    """Insert or update rows, in one order for all, so that two calls can't deadlock."""
    by_fields: dict[tuple[str, ...], list[Item]] = defaultdict(list)
    for identifier in sorted(updates):
        fields = tuple(sorted(set(updates[identifier]) - {"item_id"}))
        by_fields[fields].append(Item(**updates[identifier]))
    for fields, rows in by_fields.items():
        Item.objects.bulk_create(
            rows,
            update_conflicts=True,
            update_fields=[*fields, "updated_at"],
            unique_fields=["item_id"],
        )


def _item_row(item: Item) -> dict[str, object]:
    row = {name: getattr(item, name) for name in _ITEM_COLUMNS}
    return {
        **row,
        "price": None if item.price is None else str(item.price),
        "available_from": item.available_from and item.available_from.isoformat(),
    }


def flush_outbox(lake: Lake) -> int:
    """Carry waiting changes to the lake, oldest first; how many there were.

    Each reaches the lake at least once: after a kill between the lake's commit and
    ours its row stands there twice, with the same ``sequence``.
    """
    flushed = 0
    for table in (ITEMS, UNITS):
        while count := _flush_some(lake, table):
            flushed += count
    return flushed


def _flush_some(lake: Lake, table: str) -> int:
    with transaction.atomic():
        waiting = list(
            Outbox.objects.select_for_update(skip_locked=True)
            .filter(table=table)
            .order_by("pk")[:FLUSH_ROWS]
        )
        if waiting:
            lake.refresh(table)
            rows = [_lake_row(table, outbox) for outbox in waiting]
            lake.add(pa.Table.from_pylist(rows, SCHEMAS[table]), table)
            Outbox.objects.filter(pk__in=[outbox.pk for outbox in waiting]).delete()
    return len(waiting)


def _lake_row(table: str, outbox: Outbox) -> dict[str, object]:
    row = dict(outbox.row)
    row["attributes"] = json.dumps(row["attributes"])
    row["valid_from"], row["sequence"] = outbox.valid_from, outbox.pk
    if table == UNITS:
        row["unit_key"] = bytes.fromhex(row["unit_key"])
    else:
        row["price"] = None if row["price"] is None else Decimal(row["price"])
        since = row["available_from"]
        row["available_from"] = since and datetime.fromisoformat(since)
    return row
