"""Small event logs as real Delta tables, and the same metrics computed row by row."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from deltalake import write_deltalake

from experiments.events.lake import Lake
from experiments.events.schema import EVENTS_SCHEMA
from experiments.metrics.definitions import Conversion, Count, MetricDefinition, Sum
from experiments.metrics.sums import Scope

START = datetime(2025, 3, 3, 8, 30, 0, 250_000, tzinfo=UTC)
PLACEMENT = "home"
EXPERIMENT = "home-recommender"
Row = dict[str, Any]


def unit(name: object) -> bytes:
    """A unit key for a readable name."""
    return hashlib.blake2b(str(name).encode(), digest_size=16).digest()


@dataclass
class LogBuilder:
    """Collects rows; ``write`` makes the Delta table."""

    rows: list[Row] = field(default_factory=list)

    def add(self, who: object, name: str, at: datetime, **columns: object) -> Row:
        """Append one event of a unit."""
        number = len(self.rows)
        row: Row = {
            "event_id": str(UUID(int=number + 1)),
            "name": name,
            "unit_key": unit(who),
            "timestamp": at,
            "received_at": at,
            "shard": "0",
            "batch": 1,
            "schema_version": 1,
            "date": at.date(),
            **columns,
        }
        for money in ("value", "price", "discount"):
            if money in row:
                row[money] = Decimal(str(row[money]))
        self.rows.append(row)
        return row

    def expose(self, who: object, variant: str, at: datetime, **columns: object) -> Row:
        """Append an exposure to the experiment's first phase."""
        return self.add(
            who,
            "exposure",
            at,
            **{
                "experiment": EXPERIMENT,
                "phase": 1,
                "variant": variant,
                "placement": PLACEMENT,
                "reason": "split",
            }
            | columns,
        )

    def write(self, path: Path) -> list[str]:
        """Write the rows to the log of the lake at a path; return its files."""
        write_rows(path, self.rows)
        return files_of(path)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Append rows to the log of the lake at a path."""
    table = pa.Table.from_pylist(list(rows), schema=EVENTS_SCHEMA)
    write_deltalake(Lake(str(path)).table(), table, mode="append")


def files_of(path: Path) -> list[str]:
    """The log's active files."""
    files = Lake(str(path)).active_files()
    return [uri.removeprefix("file://") for uri in files]


def scope_of(days: float = 14, **changes: object) -> Scope:
    """The scope of the built logs, from their start."""
    given: dict[str, object] = {
        "experiment": EXPERIMENT,
        "placement": PLACEMENT,
        "phase": 1,
        "started_at": START,
        "as_of": START + timedelta(days=days),
        "variants": ("control", "model"),
        "batches": {"0": 10**9},
    }
    return Scope(**(given | changes))  # type: ignore[arg-type]  # one dict, many types


def random_log(seed: int, *, units: int = 60, days: int = 14) -> LogBuilder:
    """A messy log: every kind of row that must and must not count, many times."""
    dice = random.Random(seed)
    log = LogBuilder()
    for number in range(units):
        _visit(dice, log, number, days)
    for row in log.rows:
        row["shard"] = dice.choice(["0", "0", "import-7"])
        row["batch"] = dice.randint(1, 20)
        row["test"] = (
            dice.choice([None, False, False, True]) if dice.random() < 0.1 else None
        )
    dice.shuffle(log.rows)
    return log


def _visit(dice: random.Random, log: LogBuilder, number: int, days: int) -> None:
    variant = dice.choice(["control", "model"])
    first = START + timedelta(seconds=dice.randint(-3600, days * 86_400))
    for _ in range(dice.randint(0, 2)):
        seen = "model" if dice.random() < 0.04 else variant
        log.expose(number, seen, first + timedelta(hours=dice.randint(0, 50)))
    if dice.random() < 0.1:
        log.expose(number, "other", first, experiment="another-test")
    if dice.random() < 0.1:
        log.expose(number, "model", first, phase=2)
    if dice.random() < 0.05:
        log.expose(number, "retired", first)
    for visit in range(dice.randint(0, 4)):
        _list_and_clicks(dice, log, number, first, f"{number}-{visit}")
    for order in range(dice.choice([0, 0, 1, 3])):
        at = first + timedelta(minutes=dice.randint(-600, days * 1440))
        name = f"order-{number}-{order}"
        for _ in range(dice.randint(1, 3)):
            value = f"{dice.randint(0, 20000) / 100:.2f}"
            log.add(
                number,
                "purchase",
                at,
                value=value,
                order_id=name,
                currency="GBP",
                item_id=f"item-{dice.randint(0, 9)}",
                source=dice.choice(["web", "app"]),
            )
        if dice.random() < 0.5:
            log.add(
                number,
                "refund",
                at + timedelta(hours=dice.randint(1, 90)),
                value="12.3456",
                order_id=name,
                currency="GBP",
                source="web",
            )


def _list_and_clicks(
    dice: random.Random, log: LogBuilder, number: int, first: datetime, request: str
) -> None:
    at = first + timedelta(minutes=dice.randint(-2000, 9000))
    placement = dice.choice([PLACEMENT, PLACEMENT, "product"])
    items = [f"item-{n}" for n in dice.sample(range(10), 4)]
    for position, item in enumerate(items, 1):
        log.add(
            number,
            "served",
            at,
            request_id=request,
            item_id=item,
            position=position,
            placement=placement,
            fallback=dice.choice(["none", "none", "no_history"]),
        )
        if dice.random() < 0.3:
            log.add(
                number,
                "impression",
                at + timedelta(minutes=1),
                item_id=item,
                placement=dice.choice([placement, "product", None]),
                request_id=request,
            )
    for _ in range(dice.randint(0, 3)):
        log.add(
            number,
            "click",
            at + timedelta(minutes=dice.randint(-5, 60)),
            item_id=dice.choice([*items, "item-0", None]),
            request_id=dice.choice([request, request, None, "unknown"]),
            source=dice.choice(["web", "app"]),
        )
    if dice.random() < 0.4:
        log.add(
            number,
            "purchase",
            at + timedelta(hours=dice.randint(1, 30)),
            value="20.5",
            item_id=items[0],
            order_id=f"{request}-bought",
            currency="GBP",
        )


@dataclass
class Truth:
    """What the compiled expressions must give, computed without them."""

    variant: dict[bytes, str]
    first: dict[bytes, datetime]
    crossed: int
    unknown: int
    values: dict[str, dict[bytes, list[int]]]  # metric -> unit -> steps so far by day


def truth_of(
    rows: Sequence[Row], scope: Scope, metrics: Mapping[str, MetricDefinition]
) -> Truth:
    """Recompute a measurement with loops over rows."""
    rows = [row for row in rows if _visible(row, scope)]
    met: dict[bytes, list[Row]] = defaultdict(list)
    for row in rows:
        if (
            row["name"] == "exposure"
            and row["experiment"] == scope.experiment
            and row["phase"] == scope.phase
            and row["timestamp"] >= scope.started_at
        ):
            met[row["unit_key"]].append(row)
    truth = Truth({}, {}, 0, 0, {})
    for key, exposures in met.items():
        variants = {row["variant"] for row in exposures}
        if len(variants) > 1:
            truth.crossed += 1
        elif not variants <= set(scope.variants):
            truth.unknown += 1
        else:
            truth.variant[key] = variants.pop()
            truth.first[key] = min(row["timestamp"] for row in exposures)
    for name, definition in metrics.items():
        truth.values[name] = {
            key: _by_day(rows, key, truth.first[key], scope, definition)
            for key in truth.variant
        }
    return truth


def _visible(row: Row, scope: Scope) -> bool:
    return (
        row["batch"] <= scope.batches.get(row["shard"], 0)
        and row["timestamp"] <= scope.as_of
        and not row.get("test")
    )


def _by_day(
    rows: Sequence[Row],
    key: bytes,
    first: datetime,
    scope: Scope,
    definition: MetricDefinition,
) -> list[int]:
    mine = [r for r in rows if r["unit_key"] == key]
    found = []
    for day in range(scope.days):
        end = scope.started_at + timedelta(days=day + 1)
        so_far = [
            r
            for r in mine
            if r["timestamp"] >= first
            and (r["timestamp"] < end or day == scope.days - 1)
            and _holds(r, definition)
            and (not definition.at_placement or r.get("placement") == scope.placement)
            and (
                definition.window_days is None
                or r["timestamp"] < first + timedelta(days=definition.window_days)
            )
        ]
        hits = [r for r in so_far if r["name"] in definition.events]
        if definition.attribution == "recommended":
            hits = [r for r in hits if _recommended(r, mine, scope, definition)]
        found.append(_value(hits, so_far, definition))
    return found


def _holds(row: Row, definition: MetricDefinition) -> bool:
    for condition in definition.filters:
        value = row.get(condition.field)
        if value is None:
            return False
        if condition.operator == "is" and value != condition.value:
            return False
        if condition.operator == "is_not" and value == condition.value:
            return False
        if condition.operator == "above" and not value > condition.value:
            return False
    return True


def _recommended(
    row: Row, mine: Sequence[Row], scope: Scope, definition: MetricDefinition
) -> bool:
    if row.get("item_id") is None:
        return False
    shown = [
        r
        for r in mine
        if r["name"] in {"served", "impression"}
        and r["item_id"] == row["item_id"]
        and r.get("placement") is not None
    ]
    same = [
        r
        for r in shown
        if row.get("request_id") and r["request_id"] == row["request_id"]
    ]
    if same:
        return any(r["placement"] == scope.placement for r in same)
    window = timedelta(minutes=definition.window_minutes(row["name"]))
    before = [
        r for r in shown if timedelta() <= row["timestamp"] - r["timestamp"] <= window
    ]
    if not before:
        return False
    last = max(r["timestamp"] for r in before)
    return any(
        r["placement"] == scope.placement for r in before if r["timestamp"] == last
    )


def _value(
    hits: Sequence[Row], so_far: Sequence[Row], definition: MetricDefinition
) -> int:
    if isinstance(definition, Conversion):
        return int(bool(hits))
    if isinstance(definition, Count):
        column = definition.distinct
        total = len({r[column] for r in hits} if column else hits)
        return total if definition.cap is None else min(total, definition.cap)
    assert isinstance(definition, Sum)
    total = sum(int(r[definition.field] * definition.scale) for r in hits)
    if definition.net_of_refunds:
        back = [r for r in so_far if r["name"] == "refund"]
        total -= sum(int(r["value"] * definition.scale) for r in back)
    return total if definition.cap is None else min(total, int(definition.cap * 10_000))
