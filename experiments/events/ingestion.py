"""From a request's body to rows of the log, or to reasons why not (pure).

Good events are taken even when others in the same request are not. Raw unit ids end
here: a row carries the keyed hash only.
"""

import operator
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import msgspec

from experiments.events import contract
from experiments.events.contract import IncomingEvent, Line
from experiments.events.decoding import (
    RefusedError,
    decode_batch,
    decode_event,
    refuse_nul,
)
from experiments.events.rows import EventRow
from experiments.gateway.keys import NOT_PUBLISHABLE_EVENTS, Key
from experiments.gateway.units import UnitHasher
from models_registry.errors import InvalidError

MAX_AGE = timedelta(days=30)
MAX_AHEAD = timedelta(minutes=5)
EARLIEST, LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
MONEY_STEP, MONEY_LIMIT = Decimal("0.0001"), Decimal(10) ** 14
MONEY_FIELDS = ("value", "price", "discount")

_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Sender:
    """What ingestion must know about the key a request came with.

    Attributes:
        key_id: Logged with each row; None: ourselves.
        names: The only event names it may send; None: any.
        refused_names: Names it may not send.
        any_time: It may set times of its own (scope ``simulate``).
    """

    key_id: int | None = None
    names: frozenset[str] | None = None
    refused_names: frozenset[str] = frozenset()
    any_time: bool = False

    @classmethod
    def of(cls, key: Key) -> "Sender":
        """What a key allows."""
        refused = NOT_PUBLISHABLE_EVENTS if key.kind == "publishable" else ()
        return cls(
            key_id=key.id,
            names=frozenset(key.event_names) or None,
            refused_names=frozenset(() if key.event_names else refused),
            any_time="simulate" in key.scopes,
        )


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one event was not taken; the message names the value and the remedy."""

    index: int
    field: str
    code: str
    message: str


@dataclass(slots=True)
class Ingested:
    """What became of a request.

    Attributes:
        accepted: Events taken; an event with ``items`` counts once.
        rows: Their rows.
    """

    accepted: int = 0
    rows: list[EventRow] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


class ExposureCheck:
    """Takes exposures as they are; a wing above provides one that knows the plan."""

    def check(self, event: IncomingEvent, now: float) -> None:
        """Complete an exposure, or rename it where the plan would not give it."""


_UNCHECKED = ExposureCheck()


def ingest(
    body: bytes,
    sender: Sender,
    hasher: UnitHasher,
    now: datetime,
    exposures: ExposureCheck = _UNCHECKED,
) -> Ingested:
    """Decode, check and normalise a request's events.

    Args:
        body: ``{"events": [...], "sent_at"?}``, a bare JSON array, or NDJSON.
        sender: What the request's key allows.
        hasher: Turns unit ids into unit keys.
        now: When the request arrived (aware UTC).
        exposures: Checks exposures.

    Raises:
        InvalidError: The body as a whole can't be read, or holds no event or more
            than 1,000.
    """
    events, sent_at = decode_batch(body)
    if not 1 <= len(events) <= contract.MAX_EVENTS:
        raise InvalidError(
            f"The request holds {len(events)} events; "
            f"send 1 to {contract.MAX_EVENTS} at a time."
        )
    skew = timedelta()
    if sent_at is not None and not sender.any_time:
        skew = now - sent_at
    result = Ingested()
    check_nul = b"\\u0000" in body
    for index, sent in enumerate(events):
        try:
            event = sent if isinstance(sent, IncomingEvent) else decode_event(sent)
            if check_nul:
                refuse_nul(event)
            _check_name(event.name, sender)
            moment = event.timestamp if sender.any_time else now
            exposures.check(event, moment.timestamp())
            rows = _rows(event, sender, hasher, now, skew)
            _check_lines(len(result.rows) + len(rows))
        except RefusedError as refused:
            result.rejections.append(
                Rejection(index, refused.field, refused.code, refused.message)
            )
        else:
            result.accepted += 1
            result.rows += rows
    return result


def _check_lines(count: int) -> None:
    if count > contract.MAX_LINES:
        raise RefusedError(
            "items",
            "too_many_lines",
            f"The request holds more than {contract.MAX_LINES} lines; send the rest in "
            "another.",
        )


def _rows(
    event: IncomingEvent,
    sender: Sender,
    hasher: UnitHasher,
    now: datetime,
    skew: timedelta,
) -> list[EventRow]:
    row = EventRow(
        event_id=str(event.event_id),
        name=event.name,
        unit_key=hasher.hash(event.unit_id),
        timestamp=_time(event.timestamp, sender, now, skew),
        received_at=now,
        ingest_key=sender.key_id,
        properties=_properties(event, hasher),
        attributes=_json(event.attributes),
        value=_money("value", event.value),
        price=_money("price", event.price),
        discount=_money("discount", event.discount),
        **dict(zip(_COPIED, _copy(event), strict=True)),
    )
    if event.items is None:
        if row.value is None:
            row.value = _line_total(row.price, row.quantity, row.discount, "value")
        return [row]
    return [_line_row(row, n, line) for n, line in enumerate(event.items, start=1)]


_COPIED = tuple(
    name
    for name in IncomingEvent.__struct_fields__
    if name in EventRow.__struct_fields__
    and name
    not in {"event_id", "name", "timestamp", "properties", "attributes", *MONEY_FIELDS}
)
_copy = operator.attrgetter(*_COPIED)
_LINE_COPIED = tuple(
    name for name in Line.__struct_fields__ if name not in {"properties", *MONEY_FIELDS}
)


def _line_row(order: EventRow, number: int, line: Line) -> EventRow:
    """A line's row: the event's fields, overlaid by the line's own."""
    where = f"items[{number - 1}]"
    row: EventRow = msgspec.structs.replace(
        order, event_id=line_event_id(order.event_id, number)
    )
    for name in _LINE_COPIED:
        own = getattr(line, name)
        if own is not None:
            setattr(row, name, own)
    row.price = _money(f"{where}.price", line.price)
    row.discount = _money(f"{where}.discount", line.discount)
    row.value = _money(f"{where}.value", line.value)
    if row.value is None:
        total = _line_total(row.price, line.quantity, row.discount, f"{where}.value")
        if total is None and order.value is not None:
            raise RefusedError(
                f"{where}.value",
                "line_value_missing",
                f"`value` of the whole event can't be divided over its lines; give "
                f"{where} a `value` or a `price`.",
            )
        row.value = total
    if line.properties:
        row.properties = _json(line.properties)
    return row


def line_event_id(event_id: str, number: int) -> str:
    """The id of line ``number`` (from 1) of an event."""
    return str(uuid.uuid5(uuid.UUID(event_id), str(number)))


def _line_total(
    price: Decimal | None,
    quantity: int | None,
    discount: Decimal | None,
    where: str,
) -> Decimal | None:
    """What a line costs, if it names a price: price x quantity - discount."""
    if price is None:
        return None
    total = price * (1 if quantity is None else quantity) - (discount or 0)
    return _money(where, max(total, Decimal(0)))


def _check_name(name: str, sender: Sender) -> None:
    if sender.names is not None and name not in sender.names:
        allowed = ", ".join(sorted(sender.names))
        message = f"This key may not send {name!r}; it may send {allowed}."
        raise RefusedError("name", "name_not_allowed", message)
    if name in sender.refused_names:
        message = f"A publishable key may not send {name!r}; use a secret key."
        raise RefusedError("name", "name_not_allowed", message)


def _time(stated: datetime, sender: Sender, now: datetime, skew: timedelta) -> datetime:
    """When it happened by our clock.

    Raises:
        RefusedError: Too far ahead or too long ago.
    """
    try:
        moment = stated.astimezone(UTC) + skew
    except OverflowError:
        moment = EARLIEST - MAX_AGE
    if sender.any_time:
        if not EARLIEST <= moment <= LATEST:
            message = f"{stated.isoformat()} is not between 1971 and 2200."
            raise RefusedError("timestamp", "out_of_range", message)
    elif moment > now + MAX_AHEAD:
        message = (
            f"{stated.isoformat()} lies in the future; send `sent_at`, so that the "
            "sender's clock can be corrected."
        )
        raise RefusedError("timestamp", "in_the_future", message)
    elif moment < now - MAX_AGE:
        message = f"{stated.isoformat()} is more than 30 days ago; import it instead."
        raise RefusedError("timestamp", "too_old", message)
    return moment


def _money(where: str, amount: Decimal | None) -> Decimal | None:
    if amount is None:
        return None
    exact = Decimal(0)
    try:
        exact = amount.quantize(MONEY_STEP)
        in_range = 0 <= exact < MONEY_LIMIT
    except InvalidOperation:  # NaN, infinite or far too large
        in_range = False
    if not in_range:
        shown = str(amount)[:40]
        message = f"{shown} is no amount of money; send 0 or more, below 10^14."
        raise RefusedError(where, "invalid", message)
    return abs(exact)  # no -0


def _json(value: object) -> str | None:
    return _ENCODE(value).decode() if value else None


def _properties(event: IncomingEvent, hasher: UnitHasher) -> str | None:
    """Properties as JSON; an ``identify`` also keeps whom it links, hashed."""
    if event.name == "identify" and event.anonymous_id is not None:
        key = hasher.hash(event.anonymous_id).hex()
        return _json({**(event.properties or {}), "anonymous_key": key})
    return _json(event.properties)
