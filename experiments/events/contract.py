"""What a shop may send: the event's fields, their types and bounds (pure).

DESIGN section 6. The decoder checks all that is said here; what needs the sender's
key or the clock is checked by ``ingestion``.
"""

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_EVENTS = 1000
MAX_ITEMS = 200
MAX_LINES = 10_000
MAX_PROPERTIES = 64
MAX_STRING = 1000
MAX_TEXT = 10_000
MAX_INTEGER = 2**53
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"

Short = Annotated[str, Meta(max_length=MAX_STRING)]
Identifier = Annotated[str, Meta(min_length=1, max_length=200)]
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
SmallCount = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Position = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Rating = Annotated[float, Meta(ge=-1e6, le=1e6)]
Moment = Annotated[datetime, Meta(tz=True)]
Integer = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
PropertyName = Annotated[str, Meta(min_length=1, max_length=MAX_STRING)]
Scalar = bool | Integer | float | Short | None
Properties = Annotated[dict[PropertyName, Scalar], Meta(max_length=MAX_PROPERTIES)]
Attributes = Annotated[
    dict[PropertyName, bool | Integer | float | Short | list[Short | float] | None],
    Meta(max_length=MAX_PROPERTIES),
]


class Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One item of an event with ``items``; becomes a row of its own."""

    item_id: Identifier
    parent_item_id: Identifier | None = None
    list_id: Identifier | None = None
    position: Position | None = None
    propensity: Probability | None = None
    viewable: bool | None = None
    rating: Rating | None = None
    value: Decimal | None = None
    price: Decimal | None = None
    quantity: Count | None = None
    discount: Decimal | None = None
    coupon: Short | None = None
    properties: Properties | None = None


class IncomingEvent(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """One event as it arrives."""

    event_id: uuid.UUID
    name: Name
    unit_id: Identifier
    timestamp: Moment
    anonymous_id: Identifier | None = None
    session_id: Identifier | None = None
    page_view_id: Identifier | None = None
    placement: Identifier | None = None
    source: Identifier | None = None
    user_agent: Short | None = None
    consent: bool | None = None
    test: bool | None = None
    request_id: Identifier | None = None
    list_id: Identifier | None = None
    item_id: Identifier | None = None
    parent_item_id: Identifier | None = None
    position: Position | None = None
    propensity: Probability | None = None
    viewable: bool | None = None
    dwell_ms: Count | None = None
    query: Short | None = None
    result_count: SmallCount | None = None
    rating: Rating | None = None
    text: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    order_id: Identifier | None = None
    value: Decimal | None = None
    price: Decimal | None = None
    quantity: Count | None = None
    discount: Decimal | None = None
    coupon: Short | None = None
    currency: Currency | None = None
    experiment: Identifier | None = None
    phase: SmallCount | None = None
    epoch: SmallCount | None = None
    variant: Identifier | None = None
    assignment_probability: Probability | None = None
    reason: Short | None = None
    model_version: Identifier | None = None
    attributes: Attributes | None = None
    properties: Properties | None = None
    items: Annotated[list[Line], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None


class Batch(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A request's body, when every event in it is well formed."""

    events: list[IncomingEvent]
    sent_at: Moment | None = None


class RawBatch(msgspec.Struct, forbid_unknown_fields=True):
    """A request's body with its events left for one-by-one decoding."""

    events: list[msgspec.Raw]
    sent_at: Moment | None = None
