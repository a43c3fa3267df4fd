"""A row of the event log on its way there: the one shape all writers share (pure).

Ingestion, serving and the collector speak ``EventRow``; the stream carries rows as
zstd-compressed MessagePack; ``rows_to_table`` gives them the log's Arrow schema.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pyarrow as pa
import zstandard
from msgspec.structs import astuple

from experiments.events.schema import EVENTS_SCHEMA, SCHEMA_VERSION

# An entry is at most a request of 5 MB; expanded far beyond that, it is an attack.
MAX_ENTRY_BYTES = 256 * 1024 * 1024
_SET_BY_COLLECTOR = ("shard", "batch", "date")


class MalformedEntryError(ValueError):
    """A stream entry does not hold rows; the message says what it holds."""


def _new_event_id() -> str:
    return str(uuid.uuid4())


def _now() -> datetime:
    return datetime.now(UTC)


class EventRow(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """One line of the log, but for what the collector sets (shard, batch, date).

    Field order is the wire format: new fields are appended and have a default, so
    that entries written by an older process stay readable.

    Attributes:
        event_id: UUID in canonical text form; for line n of an event with ``items``
            UUIDv5(event_id, n).
        unit_key: 16 bytes, the keyed hash of the unit's id.
        timestamp: When it happened, corrected for the sender's clock; aware UTC.
        value: Line total; like all money exact to 4 decimals, in ``currency``.
        position: From 1.
        propensity: Probability of this item at this position.
        dwell_ms: Milliseconds.
        attributes: The unit's, frozen at exposure, as a JSON object.
        properties: Whatever else, as a flat JSON object.
        received_at: When we took it.
        ingest_key: Identifier of the API key; None: ourselves or an import.
    """

    name: str
    unit_key: bytes
    timestamp: datetime
    event_id: str = msgspec.field(default_factory=_new_event_id)
    session_id: str | None = None
    page_view_id: str | None = None
    placement: str | None = None
    source: str | None = None
    user_agent: str | None = None
    consent: bool | None = None
    test: bool | None = None
    request_id: str | None = None
    list_id: str | None = None
    item_id: str | None = None
    parent_item_id: str | None = None
    position: int | None = None
    propensity: float | None = None
    viewable: bool | None = None
    dwell_ms: int | None = None
    query: str | None = None
    result_count: int | None = None
    rating: float | None = None
    text: str | None = None
    order_id: str | None = None
    value: Decimal | None = None
    price: Decimal | None = None
    quantity: int | None = None
    discount: Decimal | None = None
    coupon: str | None = None
    currency: str | None = None
    experiment: str | None = None
    phase: int | None = None
    epoch: int | None = None
    variant: str | None = None
    assignment_probability: float | None = None
    reason: str | None = None
    model_version: str | None = None
    fallback: str | None = None
    attributes: str | None = None
    properties: str | None = None
    received_at: datetime = msgspec.field(default_factory=_now)
    ingest_key: int | None = None
    schema_version: int = SCHEMA_VERSION


_COLUMNS = tuple(f for f in EVENTS_SCHEMA if f.name not in _SET_BY_COLLECTOR)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[EventRow])


def encode_rows(rows: Sequence[EventRow]) -> bytes:
    """Rows as one stream entry."""
    return zstandard.ZstdCompressor(level=1).compress(_ENCODER.encode(rows))


def decode_rows(payload: bytes) -> list[EventRow]:
    """The rows of a stream entry.

    Raises:
        MalformedEntryError: It is not what ``encode_rows`` made.
    """
    try:
        size = zstandard.frame_content_size(payload)
        if size > MAX_ENTRY_BYTES:
            raise MalformedEntryError(
                f"The entry expands to {size} bytes; at most {MAX_ENTRY_BYTES}."
            )
        packed = zstandard.ZstdDecompressor().decompress(
            payload, max_output_size=MAX_ENTRY_BYTES if size < 0 else 0
        )
        return _DECODER.decode(packed)
    except (zstandard.ZstdError, msgspec.MsgspecError, RecursionError) as error:
        raise MalformedEntryError(f"The entry holds no rows: {error}") from error


def rows_to_table(rows: Sequence[EventRow], shard: str, batch: int) -> pa.Table:
    """Rows in the log's schema.

    Args:
        rows: What to log.
        shard: The collector's shard.
        batch: The version of the commit that will carry them.

    Raises:
        MalformedEntryError: A row's values do not fit the schema.
    """
    try:
        transposed = zip(*map(astuple, rows), strict=True)
        values = dict(zip(EventRow.__struct_fields__, transposed, strict=bool(rows)))
        arrays = {
            column.name: pa.array(values.get(column.name, ()), column.type)
            for column in _COLUMNS
        }
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        raise MalformedEntryError(f"A row does not fit the log: {error}") from error
    arrays["shard"] = pa.repeat(pa.scalar(shard), len(rows))
    arrays["batch"] = pa.repeat(pa.scalar(batch, pa.int64()), len(rows))
    arrays["date"] = arrays["timestamp"].cast(pa.date32())
    return pa.table([arrays[name] for name in EVENTS_SCHEMA.names], EVENTS_SCHEMA)
