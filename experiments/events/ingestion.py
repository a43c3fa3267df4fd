"""From a request's body to rows of the log, or to reasons why not (pure).

Good events are taken even when others in the same request are not. Raw unit ids end
here: a row carries the keyed hash only.
"""

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import msgspec

from experiments.events import contract
from experiments.events.contract import Batch, IncomingEvent, Line, RawBatch
from experiments.events.rows import EventRow
from experiments.gateway.keys import NOT_PUBLISHABLE_EVENTS, Key
from experiments.gateway.units import UnitHasher
from models_registry.errors import Detail, InvalidError

MAX_AGE = timedelta(days=30)
MAX_AHEAD = timedelta(minutes=5)
EARLIEST, LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
MAX_DEPTH = 8
MONEY_STEP, MONEY_LIMIT = Decimal("0.0001"), Decimal(10) ** 14
MONEY_FIELDS = ("value", "price", "discount")

_BATCH = msgspec.json.Decoder(Batch)
_EVENTS = msgspec.json.Decoder(list[IncomingEvent])
_EVENT = msgspec.json.Decoder(IncomingEvent)
_RAW_BATCH = msgspec.json.Decoder(RawBatch)
_RAW_EVENTS = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_WHERE = re.compile(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", re.DOTALL)
_NAMED_FIELD = re.compile(r"field `([^`]*)`")


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


class _RefusedError(Exception):
    """An event can't be taken."""

    def __init__(self, field_name: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message = field_name, code, message


def ingest(body: bytes, sender: Sender, hasher: UnitHasher, now: datetime) -> Ingested:
    """Decode, check and normalise a request's events.

    Args:
        body: ``{"events": [...], "sent_at"?}``, a bare JSON array, or NDJSON.
        sender: What the request's key allows.
        hasher: Turns unit ids into unit keys.
        now: When the request arrived (aware UTC).

    Raises:
        InvalidError: The body as a whole can't be read, or holds no event or more
            than 1,000.
    """
    events, sent_at = _decode(body)
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
            event = sent if isinstance(sent, IncomingEvent) else _decode_event(sent)
            if check_nul:
                _refuse_nul(event)
            rows = _rows(event, sender, hasher, now, skew)
            _check_lines(len(result.rows) + len(rows))
        except _RefusedError as refused:
            result.rejections.append(
                Rejection(index, refused.field, refused.code, refused.message)
            )
        else:
            result.accepted += 1
            result.rows += rows
    return result


def _check_lines(count: int) -> None:
    if count > contract.MAX_LINES:
        raise _RefusedError(
            "items",
            "too_many_lines",
            f"The request holds more than {contract.MAX_LINES} lines; send the rest in "
            "another.",
        )


def _decode(
    body: bytes,
) -> tuple[Sequence[IncomingEvent | msgspec.Raw], datetime | None]:
    """Events, decoded if all are well formed and else raw; ``sent_at``."""
    start = body.lstrip()[:1]
    events: list[IncomingEvent]
    sent_at: datetime | None = None
    try:
        if start == b"[":
            events = _EVENTS.decode(body)
            again = _ENCODE(events)
        elif b'"events"' in body:
            batch = _BATCH.decode(body)
            events, sent_at = batch.events, batch.sent_at
            again = _ENCODE(batch)
        else:
            events = _EVENT.decode_lines(body)
            again = _ENCODE(events)
        if not _may_repeat_a_key(body, again):
            return events, sent_at
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass  # find out which event is to blame
    return _decode_raw(body, start)


def _may_repeat_a_key(body: bytes, again: bytes) -> bool:
    """Whether a key could stand twice in an object, the last of which would win.

    Without escapes and spaces before colons, each key of the body shows as ``":``;
    if what was decoded, written out again, shows as many, none was lost.
    """
    return (
        b"\\u" in body
        or body.count(b'":') != again.count(b'":')
        or _SPACED_COLON.search(body) is not None
    )


def _decode_raw(
    body: bytes, start: bytes
) -> tuple[Sequence[msgspec.Raw], datetime | None]:
    try:
        if start == b"[":
            return _RAW_EVENTS.decode(body), None
        if start == b"{" and b'"events"' in body:
            try:
                batch = _RAW_BATCH.decode(body)
            except msgspec.ValidationError as error:
                if b"\n" not in body.strip() or "events" not in str(error):
                    raise
            else:
                return batch.events, batch.sent_at
        lines = [line for line in body.split(b"\n") if line.strip()]
        if start != b"{" or not lines:
            raise InvalidError(
                'The body holds no events; send {"events": [...]}, a JSON array, or '
                "one JSON object a line."
            )
    except RecursionError:
        raise InvalidError(
            f"The body is nested deeper than {MAX_DEPTH} levels."
        ) from None
    except msgspec.ValidationError as error:
        where, message = _explain(error)
        raise InvalidError(
            f"The body is not a batch of events: {message}",
            details=(Detail(field=where, code="invalid", message=message),),
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(f"The body is not JSON: {error}") from None
    return [msgspec.Raw(line) for line in lines], None


def _explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """Field path and message of a decoder's refusal."""
    match = _WHERE.fullmatch(str(error))
    message, where = match.groups() if match else (str(error), None)
    named = _NAMED_FIELD.search(message)
    if named:
        where = f"{where}.{named[1]}" if where else named[1]
    return where or "", message


def _decode_event(raw: msgspec.Raw) -> IncomingEvent:
    """One event of a batch in which something is amiss.

    Raises:
        _RefusedError: This event is malformed.
    """
    data = bytes(raw)
    try:
        event = _EVENT.decode(data)
        json.loads(data, object_pairs_hook=_refuse_repeats)
    except RecursionError:
        message = f"The event is nested deeper than {MAX_DEPTH} levels."
        raise _RefusedError("", "too_deep", message) from None
    except msgspec.ValidationError as error:
        where, message = _explain(error)
        if "missing required field" in message:
            raise _RefusedError(where, "required", f"`{where}` is missing.") from None
        if "unknown field" in message:
            message = f"`{where}` is not a field of events; put it in `properties`."
            raise _RefusedError(where, "unknown_field", message) from None
        raise _RefusedError(
            where, "invalid", f"{message}{_shown(data, where)}"
        ) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise _RefusedError(
            "", "malformed", f"The event is not JSON: {error}"
        ) from None
    return event


def _shown(data: bytes, where: str) -> str:
    """The offending value, for the message, if it stands at the top level."""
    try:
        value = json.loads(data).get(where, _shown)
    except (ValueError, AttributeError, RecursionError):
        return ""
    return "" if value is _shown else f", got {str(value)[:100]!r}"


def _refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(
            twice, "repeated_key", f"`{twice[:100]}` stands twice; send one"
        )
    return found


def _refuse_nul(event: IncomingEvent | Line) -> None:
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name == "items":
            for line in value or ():
                _refuse_nul(line)
        elif isinstance(value, str | dict) and b"\\u0000" in _ENCODE(value):
            raise _RefusedError(name, "nul", f"`{name}` holds U+0000; leave it out.")


def _rows(
    event: IncomingEvent,
    sender: Sender,
    hasher: UnitHasher,
    now: datetime,
    skew: timedelta,
) -> list[EventRow]:
    _check_name(event.name, sender)
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
        **{name: getattr(event, name) for name in _COPIED},
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
            raise _RefusedError(
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
        raise _RefusedError("name", "name_not_allowed", message)
    if name in sender.refused_names:
        message = f"A publishable key may not send {name!r}; use a secret key."
        raise _RefusedError("name", "name_not_allowed", message)


def _time(stated: datetime, sender: Sender, now: datetime, skew: timedelta) -> datetime:
    """When it happened by our clock.

    Raises:
        _RefusedError: Too far ahead or too long ago.
    """
    try:
        moment = stated.astimezone(UTC) + skew
    except OverflowError:
        moment = EARLIEST - MAX_AGE
    if sender.any_time:
        if not EARLIEST <= moment <= LATEST:
            message = f"{stated.isoformat()} is not between 1971 and 2200."
            raise _RefusedError("timestamp", "out_of_range", message)
    elif moment > now + MAX_AHEAD:
        message = (
            f"{stated.isoformat()} lies in the future; send `sent_at`, so that the "
            "sender's clock can be corrected."
        )
        raise _RefusedError("timestamp", "in_the_future", message)
    elif moment < now - MAX_AGE:
        message = f"{stated.isoformat()} is more than 30 days ago; import it instead."
        raise _RefusedError("timestamp", "too_old", message)
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
        raise _RefusedError(where, "invalid", message)
    return abs(exact)  # no -0


def _json(value: object) -> str | None:
    return _ENCODE(value).decode() if value else None


def _properties(event: IncomingEvent, hasher: UnitHasher) -> str | None:
    """Properties as JSON; an ``identify`` also keeps whom it links, hashed."""
    if event.name == "identify" and event.anonymous_id is not None:
        key = hasher.hash(event.anonymous_id).hex()
        return _json({**(event.properties or {}), "anonymous_key": key})
    return _json(event.properties)
