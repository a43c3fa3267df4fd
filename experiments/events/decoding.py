"""A request's body becomes events, one by one where something is amiss (pure)."""

import json
import re
from collections.abc import Sequence
from datetime import datetime

import msgspec

from experiments.events.contract import Batch, IncomingEvent, Line, RawBatch
from models_registry.errors import Detail, InvalidError

MAX_DEPTH = 8
_BATCH = msgspec.json.Decoder(Batch)
_EVENTS = msgspec.json.Decoder(list[IncomingEvent])
_EVENT = msgspec.json.Decoder(IncomingEvent)
_RAW_BATCH = msgspec.json.Decoder(RawBatch)
_RAW_EVENTS = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_WHERE = re.compile(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", re.DOTALL)
_NAMED_FIELD = re.compile(r"field `([^`]*)`")


class RefusedError(Exception):
    """An event can't be taken."""

    def __init__(self, field_name: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message = field_name, code, message


def decode_batch(
    body: bytes,
) -> tuple[Sequence[IncomingEvent | msgspec.Raw], datetime | None]:
    """A body's events, and its ``sent_at``.

    Returns:
        The events, decoded if all are well formed and else raw, for ``decode_event``.

    Raises:
        InvalidError: The body as a whole can't be read.
    """
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


def decode_event(raw: msgspec.Raw) -> IncomingEvent:
    """One event of a batch in which something is amiss.

    Raises:
        RefusedError: This event is malformed.
    """
    data = bytes(raw)
    try:
        event = _EVENT.decode(data)
        json.loads(data, object_pairs_hook=_refuse_repeats)
    except RecursionError:
        message = f"The event is nested deeper than {MAX_DEPTH} levels."
        raise RefusedError("", "too_deep", message) from None
    except msgspec.ValidationError as error:
        where, message = _explain(error)
        if "missing required field" in message:
            raise RefusedError(where, "required", f"`{where}` is missing.") from None
        if "unknown field" in message:
            message = f"`{where}` is not a field of events; put it in `properties`."
            raise RefusedError(where, "unknown_field", message) from None
        raise RefusedError(
            where, "invalid", f"{message}{_shown(data, where)}"
        ) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise RefusedError("", "malformed", f"The event is not JSON: {error}") from None
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
        raise RefusedError(
            twice, "repeated_key", f"`{twice[:100]}` stands twice; send one"
        )
    return found


def refuse_nul(event: IncomingEvent | Line) -> None:
    """Check a body's event for U+0000, which PostgreSQL can't store.

    Raises:
        RefusedError: A text of the event holds it.
    """
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name == "items":
            for line in value or ():
                refuse_nul(line)
        elif isinstance(value, str | dict) and b"\\u0000" in _ENCODE(value):
            raise RefusedError(name, "nul", f"`{name}` holds U+0000; leave it out.")
