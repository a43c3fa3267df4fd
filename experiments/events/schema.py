"""The event log's columns, shared by all that write or read it (pure).

One row a line: an event with ``items`` fans out to a row an item. DESIGN section 6.
"""

import pyarrow as pa

MONEY = pa.decimal128(18, 4)
TIME = pa.timestamp("us", tz="UTC")

EVENTS_SCHEMA = pa.schema(
    [
        # identity: event_id of a fanned-out line is UUIDv5(event_id, line number)
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("unit_key", pa.binary(16), nullable=False),
        pa.field("timestamp", TIME, nullable=False),
        # who, where
        pa.field("session_id", pa.string()),
        pa.field("page_view_id", pa.string()),
        pa.field("placement", pa.string()),
        pa.field("source", pa.string()),
        pa.field("user_agent", pa.string()),
        pa.field("consent", pa.bool_()),
        pa.field("test", pa.bool_()),
        # list
        pa.field("request_id", pa.string()),
        pa.field("list_id", pa.string()),
        pa.field("item_id", pa.string()),
        pa.field("parent_item_id", pa.string()),
        pa.field("position", pa.int32()),
        pa.field("propensity", pa.float64()),
        pa.field("viewable", pa.bool_()),
        pa.field("dwell_ms", pa.int64()),
        # search, opinion
        pa.field("query", pa.string()),
        pa.field("result_count", pa.int32()),
        pa.field("rating", pa.float64()),
        pa.field("text", pa.string()),
        # money
        pa.field("order_id", pa.string()),
        pa.field("value", MONEY),
        pa.field("price", MONEY),
        pa.field("quantity", pa.int64()),
        pa.field("discount", MONEY),
        pa.field("coupon", pa.string()),
        pa.field("currency", pa.string()),
        # experiment
        pa.field("experiment", pa.string()),
        pa.field("phase", pa.int32()),
        pa.field("epoch", pa.int32()),
        pa.field("variant", pa.string()),
        pa.field("assignment_probability", pa.float64()),
        pa.field("reason", pa.string()),
        pa.field("model_version", pa.string()),
        # "none" | reason the list was filled by the fallback; served rows only
        pa.field("fallback", pa.string()),
        pa.field("attributes", pa.string()),  # JSON, frozen at exposure
        pa.field("properties", pa.string()),  # JSON, flat
        # set by us
        pa.field("received_at", TIME, nullable=False),
        pa.field("ingest_key", pa.int64()),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("schema_version", pa.int32(), nullable=False),
        pa.field("date", pa.date32(), nullable=False),  # partition: UTC date
    ]
)
SCHEMA_VERSION = 1

STANDARD_NAMES = (
    "exposure",
    "served",
    "impression",
    "view",
    "search",
    "click",
    "add_to_cart",
    "remove_from_cart",
    "begin_checkout",
    "purchase",
    "refund",
    "review",
    "identify",
)
