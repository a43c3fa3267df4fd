"""A tiny shop's log: shoppers who go round a ring of items, in the lake."""

from datetime import UTC, datetime, timedelta

from experiments.events.lake import Lake
from experiments.events.rows import EventRow, rows_to_table
from experiments.gateway.units import UnitHasher

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
HASHER = UnitHasher("a-unit-key-for-tests-that-is-long-enough")
ITEMS = tuple(f"item-{n:02d}" for n in range(24))
SHARD = "stream-0"


def unit_key(unit: int) -> bytes:
    return HASHER.hash(f"unit-{unit}")


def event(unit: int, item: str, at: datetime, name: str = "view") -> EventRow:
    return EventRow(
        name=name,
        unit_key=unit_key(unit),
        timestamp=at,
        item_id=item,
        order_id=f"order-{unit}-{at:%j%H}" if name in {"purchase", "refund"} else None,
    )


def visits(*, units: int = 60, days: int = 21) -> list[EventRow]:
    """One view a day: each shopper follows the ring from a place of its own."""
    return [
        event(
            unit,
            ITEMS[(unit * 5 + day) % len(ITEMS)],
            BEGIN + timedelta(days=day, minutes=unit),
        )
        for day in range(days)
        for unit in range(units)
    ]


def write_log(url: str, rows: list[EventRow], *, batch: int = 1) -> None:
    lake = Lake(url)
    table = rows_to_table(rows, SHARD, batch)
    lake.append(table, SHARD, batch)
