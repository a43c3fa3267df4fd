"""A chunk of a shop's file becomes rows of the log, all rows at once (pure)."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from experiments.events import contract
from experiments.events.imports import columns as read
from experiments.events.imports.columns import Flags, Text, Wholes
from experiments.events.imports.identity import ContentIds
from experiments.events.imports.mapping import (
    MONEY_FIELDS,
    NUMBER_FIELDS,
    TEXT_FIELDS,
    WHOLE_FIELDS,
    Mapping,
)
from experiments.events.imports.problems import SAMPLES_PER_REASON, Problem, Problems
from experiments.events.imports.reading import Chunk
from experiments.events.schema import EVENTS_SCHEMA, SCHEMA_VERSION
from experiments.gateway.units import UnitHasher

ITEM_EVENTS = frozenset(
    {"view", "click", "add_to_cart", "remove_from_cart", "purchase", "refund",
     "review", "impression"}
)  # fmt: skip
LENGTHS = {"query": 1000, "user_agent": 1000, "coupon": 1000, "text": 10_000}
IDENTITY_TEXTS = ("item_id", "session_id", "request_id", "order_id", "query", "text")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(slots=True)
class _Rows:
    """A chunk while its rows are checked; the first fault of a row is reported."""

    chunk: Chunk
    mapping: Mapping
    problems: Problems
    ok: Flags = field(init=False)
    texts: dict[str, Text] = field(default_factory=dict)
    wholes: dict[str, tuple[Wholes, Flags]] = field(default_factory=dict)
    floats: dict[str, tuple[npt.NDArray[np.float64], Flags]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self.ok = np.ones(len(self.chunk.rows), bool)

    def column(self, name: str) -> Text:
        """A column of the file."""
        return read.text_column(self.chunk.columns.column(name))

    def mapped(self, event_field: str) -> Text | None:
        """What a field is mapped to, if the file has it."""
        have = self.chunk.columns.column_names
        names = [n for n in self.mapping.columns_of(event_field) if n in have]
        return read.first_filled([self.column(n) for n in names]) if names else None

    def reject(
        self, bad: Flags, where: str, text: Text, reason: str, remedy: str
    ) -> None:
        """Leave out rows; rows left out before are not reported again."""
        new = np.flatnonzero(bad & self.ok)
        for row in new[:SAMPLES_PER_REASON]:
            number = int(self.chunk.rows[row])
            self.problems.add(Problem(number, where, text.at(row), reason, remedy))
        if len(new) > SAMPLES_PER_REASON:
            self.problems.add_uncounted(reason, len(new) - SAMPLES_PER_REASON)
        self.ok &= ~bad

    def require(self, where: str, text: Text) -> None:
        """Leave out rows where a text is missing, too long or unreadable."""
        self.reject(~text.filled & ~text.flags(_is_none), where, text,
                    f"{where}_missing", "it is empty; fill it in")  # fmt: skip
        self.check_text(where, text)

    def check_text(self, where: str, text: Text) -> None:
        """Leave out rows whose text could not be stored."""
        limit = LENGTHS.get(where, 200)
        self.reject(text.flags(_is_none), where, text, "encoding",
                    "the text is not UTF-8; set file.encoding in the mapping, "
                    "such as latin-1")  # fmt: skip
        self.reject(text.flags(lambda v: len(v or "") > limit), where, text,
                    f"{where}_too_long", f"use at most {limit} characters")  # fmt: skip
        self.reject(text.flags(lambda v: "\0" in (v or "")), where, text, "nul",
                    "remove the character U+0000")  # fmt: skip


def _is_none(value: str | None) -> bool:
    return value is None


def transform(
    chunk: Chunk,
    mapping: Mapping,
    problems: Problems,
    *,
    hasher: UnitHasher,
    ids: ContentIds,
    shard: str,
    now: datetime,
) -> pa.Table:
    """The good rows of a chunk in the log's schema; the others go to ``problems``.

    Args:
        chunk: Rows of the file.
        mapping: What its columns mean.
        problems: Where faults are reported.
        hasher: Turns unit ids into unit keys.
        ids: Gives event ids; one object for the whole file.
        shard: The import's shard; the chunk's number is the batch.
        now: ``received_at``.
    """
    rows = _Rows(chunk, mapping, problems)
    units = rows.mapped("unit_id")
    if units is None:
        raise AssertionError("a mapping without unit_id is refused when it is loaded")
    rows.require("unit_id", units)
    stamp_text = rows.column(mapping.timestamp.column)
    stamps, ok = read.moments(stamp_text, mapping.timestamp)
    rows.reject(~ok, "timestamp", stamp_text, "bad_timestamp",
                f"it is no time between 1971 and 2200 in the form "
                f"{mapping.timestamp.format}; correct it, or timestamp.format in the "
                "mapping")  # fmt: skip
    _read_fields(rows)
    names = _names(rows)
    _check_items(rows, names)
    return _table(rows, units, stamps, names, hasher, ids, shard, now)


def _read_fields(rows: _Rows) -> None:
    for name in TEXT_FIELDS:
        text = rows.mapped(name)
        if text is not None:
            rows.texts[name] = text
            rows.check_text(name, text)
    if "currency" in rows.texts:
        currency = rows.texts["currency"]
        wrong = currency.flags(lambda v: bool(v) and not _CURRENCY.fullmatch(v or ""))
        rows.reject(wrong, "currency", currency, "bad_currency",
                    "use three capital letters, such as EUR")  # fmt: skip
    for name in (*WHOLE_FIELDS, *MONEY_FIELDS, *NUMBER_FIELDS):
        mapped = rows.mapped(name)
        if mapped is not None:
            _read_number(rows, name, mapped)


def _read_number(rows: _Rows, name: str, text: Text) -> None:
    if name in NUMBER_FIELDS:
        floats, ok = read.numbers(text)
        rows.floats[name] = floats, ok
    else:
        parse = read.scaled_money if name in MONEY_FIELDS else read.whole_numbers
        wholes, ok = parse(text)
        rows.wholes[name] = wholes, ok
        if name != "quantity":
            rows.reject(wholes < 0, name, text, f"negative_{name}",
                        "it must not be negative")  # fmt: skip
    kind = "whole number" if name in WHOLE_FIELDS else "number"
    rows.reject(text.filled & ~ok, name, text, f"bad_{name}",
                f"it is no {kind}; correct it")  # fmt: skip


def _names(rows: _Rows) -> npt.NDArray[np.object_]:
    """Each row's event name; quantities are positive afterwards."""
    naming = rows.mapping.name
    if naming.column:
        text = rows.column(naming.column)
        meant = naming.values or {v: v for v in text.values if v}
        named = [meant.get(v or "", "") for v in text.values]
        well = [bool(re.fullmatch(contract.NAME_PATTERN, n)) for n in named]
        allowed = ", ".join(naming.values) or "small letters, digits and _"
        rows.reject(~np.array(well)[text.index], "name", text, "bad_name",
                    f"it is no event name; allowed: {allowed}")  # fmt: skip
        names = np.array(named, object)[text.index]
    else:
        names = np.full(len(rows.ok), naming.constant, object)
    if "quantity" in rows.wholes:
        quantity, present = rows.wholes["quantity"]
        negative = quantity < 0
        if naming.negative_quantity:
            names[negative] = naming.negative_quantity
            rows.wholes["quantity"] = np.abs(quantity), present
        elif negative.any():
            shown = rows.mapped("quantity")
            if shown is not None:
                rows.reject(negative, "quantity", shown, "negative_quantity",
                            "it is negative; send a refund as an event of that name, "
                            "or set name.negative_quantity in the mapping")  # fmt: skip
    return names


def _check_items(rows: _Rows, names: npt.NDArray[np.object_]) -> None:
    if "item_id" in rows.texts:
        text = rows.texts["item_id"]
        needs = np.isin(names, list(ITEM_EVENTS))
        rows.reject(needs & ~text.filled, "item_id", text, "item_id_missing",
                    "it is empty; fill it in")  # fmt: skip


def _table(
    rows: _Rows,
    units: Text,
    stamps: Wholes,
    names: npt.NDArray[np.object_],
    hasher: UnitHasher,
    ids: ContentIds,
    shard: str,
    now: datetime,
) -> pa.Table:
    ok, mapping = rows.ok, rows.mapping
    keys = [hasher.hash(value or "") for value in units.values]
    index = pa.array(units.index[ok])
    count = len(index)
    _derive_value(rows)
    ok = rows.ok
    index, count = pa.array(units.index[ok]), int(ok.sum())
    made: dict[str, pa.Array] = {
        "unit_key": pa.array(keys, pa.binary(16)).take(index),
        "name": pa.array(names[ok], pa.string()),
        "timestamp": pa.array(stamps[ok]).cast(EVENTS_SCHEMA.field("timestamp").type),
        "received_at": pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), count),
        "shard": pa.repeat(pa.scalar(shard), count),
        "batch": pa.repeat(pa.scalar(rows.chunk.number, pa.int64()), count),
        "schema_version": pa.repeat(pa.scalar(SCHEMA_VERSION, pa.int32()), count),
        "event_id": _event_ids(rows, keys, units, stamps, names, ids),
        "properties": _properties(rows, ok),
    }
    for name, text in mapping.constants.items():
        made[name] = pa.repeat(pa.scalar(text), count)
    for name, column in rows.texts.items():
        made[name] = column.arrow(ok)
    for name, (wholes, present) in rows.wholes.items():
        made[name] = (
            read.money_array(wholes[ok], present[ok])
            if name in MONEY_FIELDS
            else pa.array(wholes[ok], mask=~present[ok])
        )
    for name, (floats, present) in rows.floats.items():
        made[name] = pa.array(floats[ok], mask=~present[ok])
    if mapping.derive_order_id:
        made["order_id"] = _order_ids(keys, index, stamps[ok], names[ok])
    made["date"] = made["timestamp"].cast(pa.date32())
    return pa.table(
        [
            made[f.name].cast(f.type) if f.name in made else pa.nulls(count, f.type)
            for f in EVENTS_SCHEMA
        ],
        EVENTS_SCHEMA,
    )


def _derive_value(rows: _Rows) -> None:
    """The value is price x quantity, where the mapping says so and both are there."""
    if not (rows.mapping.derive_value and {"price", "quantity"} <= set(rows.wholes)):
        return
    price, has_price = rows.wholes["price"]
    quantity, has_quantity = rows.wholes["quantity"]
    text = rows.mapped("quantity")
    too_much = price.astype(float) * quantity > read.MAX_SCALED
    if text is not None:
        rows.reject(too_much, "quantity", text, "value_too_large",
                    "price x quantity is no amount of money")  # fmt: skip
    value = np.where(too_much, 0, price * quantity)
    rows.wholes["value"] = value, has_price & has_quantity


def _event_ids(
    rows: _Rows,
    keys: list[bytes],
    units: Text,
    stamps: Wholes,
    names: npt.NDArray[np.object_],
    ids: ContentIds,
) -> pa.Array:
    """The file's event ids, where it has some, or ids from the rows' content."""
    ok = rows.ok
    mapped = rows.mapped("event_id")
    halves = np.frombuffer(b"".join(keys), "<u8").reshape(-1, 2)[units.index[ok]]
    distinct, at = np.unique(names[ok].astype(str), return_inverse=True)
    parts: list[npt.NDArray[np.int64] | npt.NDArray[np.uint64] | Text] = [
        halves[:, 0], halves[:, 1], stamps[ok],
        Text(list(distinct.tolist()), at.astype(np.int32)),
    ]  # fmt: skip
    parts += [
        rows.wholes[name][0][ok]
        for name in ("quantity", "value", "price")
        if name in rows.wholes
    ]
    for name in IDENTITY_TEXTS:
        if name in rows.texts:
            text = rows.texts[name]
            parts.append(Text(text.values, text.index[ok]))
    if "rating" in rows.floats:
        parts.append(rows.floats["rating"][0][ok].view(np.int64))
    made = ids.ids(parts)
    if mapped is None:
        return pa.array(made, pa.string())
    stated = _stated_ids(mapped)
    return pa.array(
        [stated[i] or new for i, new in zip(mapped.index[ok], made, strict=True)],
        pa.string(),
    )


def _stated_ids(text: Text) -> list[str]:
    """Ids of the file as UUIDs: its own, or made from what it has instead."""
    lower = [(value or "").lower() for value in text.values]
    hashed = ContentIds()  # each text is distinct here, so none is counted up
    made = hashed.ids([Text(list(lower), np.arange(len(lower), dtype=np.int32))])
    return [
        value if _UUID.fullmatch(value) else (new if value else "")
        for value, new in zip(lower, made, strict=True)
    ]


def _properties(rows: _Rows, ok: Flags) -> pa.Array:
    """Columns kept as they are, as one flat JSON object."""
    have = [c for c in rows.mapping.properties if c in rows.chunk.columns.column_names]
    if not have:
        return pa.nulls(int(ok.sum()), pa.string())
    members = []
    for name in have:
        text = rows.column(name)
        members.append(_member(name, text, ok))
    joined = pc.binary_join_element_wise(*members, ",", null_handling="skip")
    whole = pc.binary_join_element_wise("{", joined, "}", "")
    return pc.if_else(pc.equal(whole, "{}"), pa.scalar(None, pa.string()), whole)


def _member(name: str, text: Text, ok: Flags) -> pa.Array:
    limit = contract.MAX_STRING
    shown: Callable[[str], str] = lambda v: f"{json.dumps(name)}:{json.dumps(v)}"  # noqa: E731  # one expression
    values = [shown(v[:limit].replace("\0", "")) if v else None for v in text.values]
    return pa.array(values, pa.string()).take(pa.array(text.index[ok]))


def _order_ids(
    keys: list[bytes], index: pa.Array, stamps: Wholes, names: npt.NDArray[np.object_]
) -> pa.Array:
    """Unit, second and, of a refund, a mark: what stands for the order."""
    units = pa.array([key.hex()[:16] for key in keys]).take(index)
    seconds = pa.array(stamps // 1_000_000).cast(pa.string())
    mark = pa.array(np.where(names == "refund", "-refund", ""))
    order = pc.binary_join_element_wise(units, seconds, "-")
    return pc.binary_join_element_wise(order, mark, "")
