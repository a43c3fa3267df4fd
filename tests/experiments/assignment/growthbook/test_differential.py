"""Random payloads: our evaluator and GrowthBook's own SDKs answer the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.experiments.assignment.growthbook import payloads, peers

EVERYTHING = payloads.Manner()
SEVERAL = 5  # users a payload; with its three features: 15 comparisons


@pytest.fixture(scope="module")
def javascript() -> Iterator[peers.JavaScriptSDK]:
    with peers.javascript_sdk() as sdk:
        yield sdk


@pytest.mark.node
@settings(max_examples=140, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    payloads.payloads(EVERYTHING),
    st.lists(payloads.users(EVERYTHING), min_size=SEVERAL, max_size=SEVERAL),
)
def test_the_javascript_sdk_answers_the_same(
    javascript: peers.JavaScriptSDK, payload: Any, users: list[Any]
) -> None:
    for user, (theirs, kept) in zip(users, javascript.ask(payload, users), strict=True):
        mine, stored = peers.ours(payload, user)
        for key, answer in theirs.items():
            if "threw" not in answer:
                assert mine[key] == answer
        if user["sticky"] is not None:
            assert stored == kept
