"""Whatever is sent, the answer is an answer and no fault of ours."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.experiments.assignment.wire import KEYS, Wire

BULK = "/ofrep/v1/evaluate/flags"
ROUTES = {
    "bulk": (BULK, KEYS.browser, ""),
    "single": (f"{BULK}/home", KEYS.browser, ""),
    "remote": (f"/api/eval/{KEYS.browser}", "", ""),
    "track": ("/track", "", f"client_key={KEYS.browser}"),
    "native": ("/api/v1/assignments", KEYS.server, ""),
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NAMES = st.sampled_from(
    [
        *("targetingKey", "id", "placements", "context", "attributes", "timestamp"),
        *("units", "unit_id", "placement", "dry_run", "event_name", "device_id"),
        *("properties_json", "context_json", "experimentId", "hashValue", "url"),
        *("forcedVariations", "forcedFeatures", "home-test", "home", "variationId"),
    ]
) | st.text(max_size=10)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5)
    ),
    max_leaves=20,
)
VIEWED = st.fixed_dictionaries(
    {"event_name": st.just("Experiment Viewed")},
    optional={
        "properties_json": st.dictionaries(NAMES, VALUES, max_size=5),
        "context_json": st.dictionaries(NAMES, VALUES, max_size=5),
        "device_id": st.text(max_size=9) | st.none(),
    },
)
BODIES = (
    VALUES
    | st.fixed_dictionaries({"context": st.dictionaries(NAMES, VALUES)})
    | st.fixed_dictionaries({"attributes": st.dictionaries(NAMES, VALUES)})
    | st.lists(VIEWED, max_size=3)
)
WIRE = Wire()


def status(name: str, body: bytes, query: str = "", **headers: str) -> int:
    path, key, own = ROUTES[name]
    return WIRE.ask(path, body, key, query=own or query, **headers).status


@pytest.mark.parametrize("name", ROUTES)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=BODIES)
def test_any_json_is_answered(name: str, body: Any) -> None:
    assert status(name, json.dumps(body).encode()) < 500


@pytest.mark.parametrize("name", ROUTES)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_answered(name: str, body: bytes) -> None:
    assert status(name, body) < 500


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    etag=st.text(max_size=20),
    modified=st.text(max_size=20) | st.integers().map(str),
    match=st.text(max_size=20),
)
def test_any_validator_is_answered(etag: str, modified: str, match: str) -> None:
    query = urlencode({"flagConfigEtag": etag, "flagConfigLastModified": modified})
    body = b'{"context":{"targetingKey":"u"}}'
    assert status("bulk", body, query, if_none_match=match) < 500
