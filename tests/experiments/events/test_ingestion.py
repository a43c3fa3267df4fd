import json
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.events.ingestion import Ingested, Sender, ingest
from experiments.events.rows import decode_rows, encode_rows, rows_to_table
from experiments.gateway.keys import Key
from models_registry.errors import InvalidError
from tests.experiments.events.shop import (
    HASHER,
    NOW,
    PUBLISHABLE,
    SECRET,
    SIMULATOR,
    body,
    event,
)


def take(data: bytes, key: Key = SECRET) -> Ingested:
    return ingest(data, Sender.of(key), HASHER, NOW)


def refusal(key: Key = SECRET, **fields: Any) -> tuple[str, str]:
    """Field and code with which one event among good ones is refused."""
    result = take(body(event(), event(**fields), event()), key)
    assert result.accepted == 2
    [rejection] = result.rejections
    assert rejection.index == 1
    assert rejection.message
    return rejection.field, rejection.code


def test_a_row_carries_what_was_sent_and_no_raw_id() -> None:
    sent = event(
        name="purchase",
        order_id="o1",
        value="19.90",
        currency="GBP",
        properties={"gift": True, "wrap": "red"},
        anonymous_id="cookie-1",
    )
    [row] = take(body(sent)).rows
    assert row.event_id == sent["event_id"]
    assert row.unit_key == HASHER.hash("anna")
    assert row.value == Decimal("19.9000")
    assert row.ingest_key == SECRET.id
    assert row.received_at == row.timestamp == NOW
    assert json.loads(row.properties or "") == {"gift": True, "wrap": "red"}
    assert b"anna" not in encode_rows([row])
    assert "cookie-1" not in repr(row)


@pytest.mark.parametrize("style", ["object", "array", "ndjson"])
def test_a_batch_comes_as_an_object_an_array_or_a_line_each(style: str) -> None:
    events = [event(), event(name="click")]
    data = {
        "object": body(*events),
        "array": json.dumps(events).encode(),
        "ndjson": "\n".join(json.dumps(e) for e in events).encode() + b"\n",
    }[style]
    assert [row.name for row in take(data).rows] == ["view", "click"]


def test_one_bad_line_of_ndjson_does_not_stop_the_others() -> None:
    lines = [json.dumps(event()), '{"name": "view"', json.dumps(event())]
    result = take("\n".join(lines).encode())
    assert result.accepted == 2
    assert [(r.index, r.code) for r in result.rejections] == [(1, "malformed")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b'{"events": []}',
        b'{"events": 3}',
        b'{"events": [], "extra": 1}',
        b"[" * 100_000,
        b'{"events": ' + b"[" * 100_000,
        b"3",
        json.dumps([event()] * 1001).encode(),
    ],
)
def test_a_body_that_is_no_batch_is_refused_whole(data: bytes) -> None:
    with pytest.raises(InvalidError):
        take(data)


@pytest.mark.parametrize(
    ("fields", "where", "code"),
    [
        ({"event_id": "x"}, "event_id", "invalid"),
        ({"event_id": None}, "event_id", "required"),
        ({"name": "Not A Name"}, "name", "invalid"),
        ({"unit_id": ""}, "unit_id", "invalid"),
        ({"timestamp": "2026-11-24T12:00:00"}, "timestamp", "invalid"),
        ({"timestamp": "yesterday"}, "timestamp", "invalid"),
        ({"colour": "red"}, "colour", "unknown_field"),
        ({"properties": {"a": {"b": 1}}}, "properties[...]", "invalid"),
        ({"properties": {"a": 2**53 + 1}}, "properties[...]", "invalid"),
        ({"properties": {str(i): 1 for i in range(65)}}, "properties", "invalid"),
        ({"query": "x" * 1001}, "query", "invalid"),
        ({"query": "a\0b"}, "query", "nul"),
        ({"properties": {"a\0": 1}}, "properties", "nul"),
        ({"text": "x" * 10_001}, "text", "invalid"),
        ({"position": 0}, "position", "invalid"),
        ({"propensity": 1.5}, "propensity", "invalid"),
        ({"quantity": 2**53 + 1}, "quantity", "invalid"),
        ({"value": -1}, "value", "invalid"),
        ({"value": "NaN"}, "value", "invalid"),
        ({"value": "1e20"}, "value", "invalid"),
        ({"currency": "pounds"}, "currency", "invalid"),
        ({"items": []}, "items", "invalid"),
        ({"items": [{"item_id": "a"}] * 201}, "items", "invalid"),
        (
            {"items": [{"item_id": "a"}], "value": 3},
            "items[0].value",
            "line_value_missing",
        ),
    ],
)
def test_a_wrong_field_is_named_and_the_other_events_are_taken(
    fields: dict[str, Any], where: str, code: str
) -> None:
    assert refusal(**fields) == (where, code)


def test_a_key_twice_in_an_object_is_refused_however_it_is_written() -> None:
    plain = json.dumps(event())
    for twice in ('"name":"click"', '"name" : "click"', '"n\\u0061me":"click"'):
        result = take(f"[{plain},{plain[:-1]},{twice}}}]".encode())
        assert [r.code for r in result.rejections] == ["repeated_key"], twice
        assert result.accepted == 1


def test_a_lone_surrogate_spoils_its_own_request_only_by_a_clear_refusal() -> None:
    good, bad = json.dumps(event()), json.dumps(event(query="x"))
    bad = bad.replace('"x"', '"\\ud800"')
    result = take(f"{good}\n{bad}".encode())
    assert (result.accepted, len(result.rejections)) == (1, 1)


@pytest.mark.parametrize("name", ["purchase", "refund", "review"])
def test_a_publishable_key_may_not_send_revenue(name: str) -> None:
    assert refusal(PUBLISHABLE, name=name) == ("name", "name_not_allowed")


def test_a_key_with_a_list_of_names_sends_those_only() -> None:
    key = Key(8, "", "publishable", "b", ("events",), event_names=("view", "review"))
    assert take(body(event(name="review")), key).accepted == 1
    assert refusal(key, name="click") == ("name", "name_not_allowed")


@pytest.mark.parametrize("days", [3, -3])
def test_a_phone_with_a_wrong_clock_is_corrected_by_sent_at(days: int) -> None:
    wrong = timedelta(days=days)
    happened = NOW - timedelta(minutes=2)
    data = body(
        event(timestamp=(happened + wrong).isoformat()),
        sent_at=(NOW + wrong - timedelta(seconds=1)).isoformat(),
    )
    [row] = take(data).rows
    assert abs(row.timestamp - happened) <= timedelta(seconds=1)


@pytest.mark.parametrize(
    ("ago", "code"),
    [
        (timedelta(days=29), None),
        (timedelta(days=31), "too_old"),
        (timedelta(minutes=-4), None),
        (timedelta(minutes=-6), "in_the_future"),
    ],
)
def test_times_are_taken_within_thirty_days_and_five_minutes(
    ago: timedelta, code: str | None
) -> None:
    result = take(body(event(timestamp=(NOW - ago).isoformat())))
    assert [r.code for r in result.rejections] == ([code] if code else [])


def test_a_simulator_sets_its_own_time() -> None:
    past = datetime(2009, 12, 1, tzinfo=UTC)
    data = body(event(timestamp=past.isoformat()), sent_at=past.isoformat())
    [row] = take(data, SIMULATOR).rows
    assert row.timestamp == past
    assert row.received_at == NOW


def test_an_order_becomes_a_row_a_line_with_line_totals() -> None:
    order = event(
        name="purchase",
        item_id=None,
        order_id="o1",
        currency="EUR",
        value=30,
        items=[
            {"item_id": "a", "price": "10.00", "quantity": 2, "discount": "1"},
            {"item_id": "b", "value": 11, "properties": {"gift": True}},
        ],
    )
    result = take(body(order))
    assert result.accepted == 1
    assert [(r.item_id, r.value, r.order_id) for r in result.rows] == [
        ("a", Decimal("19.0000"), "o1"),
        ("b", Decimal("11.0000"), "o1"),
    ]
    ids = [uuid.uuid5(uuid.UUID(str(order["event_id"])), n) for n in ("1", "2")]
    assert [r.event_id for r in result.rows] == [str(i) for i in ids]


def test_a_request_of_endless_lines_is_cut_off() -> None:
    order = event(name="purchase", items=[{"item_id": "a"}] * 200)
    result = take(body(*[{**order, "event_id": str(uuid.uuid4())}] * 60))
    assert len(result.rows) == 10_000
    assert {r.code for r in result.rejections} == {"too_many_lines"}


def test_an_identify_keeps_whom_it_links_hashed() -> None:
    [row] = take(body(event(name="identify", anonymous_id="cookie-1"))).rows
    linked = json.loads(row.properties or "")
    assert linked == {"anonymous_key": HASHER.hash("cookie-1").hex()}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
hostile_fields = st.dictionaries(
    st.sampled_from(
        [
            "event_id",
            "name",
            "unit_id",
            "timestamp",
            "item_id",
            "value",
            "price",
            "quantity",
            "position",
            "propensity",
            "rating",
            "text",
            "properties",
            "attributes",
            "items",
            "dwell_ms",
            "currency",
            "phase",
        ]
    ),
    json_values
    | st.sampled_from(
        [
            "1e400",
            "-0",
            1e308,
            -0.0,
            2**63,
            2**64 + 1,
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00+14:00",
            "\ud800",
            "a\0",
            [{"item_id": "x"}],
        ]
    ),
    max_size=4,
)


@settings(deadline=None)
@given(
    hostile=st.lists(hostile_fields, min_size=1, max_size=4),
    sent_at=st.none() | json_values | st.datetimes().map(lambda t: t.isoformat() + "Z"),
    key=st.sampled_from([SECRET, PUBLISHABLE, SIMULATOR]),
)
def test_hostile_fields_never_surprise_and_accepted_rows_are_readable(
    hostile: list[dict[str, Any]], sent_at: object, key: Key
) -> None:
    data = json.dumps({"events": [{**event(), **h} for h in hostile]})
    if sent_at is not None:
        data = data[:-1] + f', "sent_at": {json.dumps(sent_at)}}}'
    try:
        result = take(data.encode(), key)
    except InvalidError:
        return
    assert result.accepted + len(result.rejections) == len(hostile)
    readable(result)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text().map(lambda t: t.encode("utf-8", "ignore")))
def test_hostile_bytes_never_surprise(data: bytes) -> None:
    for wrapped in (data, b"[" + data + b"]", b'{"events":[' + data + b"]}"):
        with suppress(InvalidError):
            readable(take(wrapped))


def readable(result: Ingested) -> None:
    rows = decode_rows(encode_rows(result.rows))
    table = rows_to_table(rows, "stream-0", 1)
    table.validate(full=True)
    assert table.num_rows == len(result.rows)
