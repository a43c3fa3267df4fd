"""Random payloads: our evaluator and GrowthBook's own SDKs answer the same.

Against the JavaScript SDK 1.8.0, over all of JSON. Against the Python SDK 3.2.2, over
what it takes as JavaScript does; where it is known to differ is listed, with reasons,
at ``vocabularies.Agreed`` and shown in ``test_known_differences``. What JavaScript
itself refuses by an exception, we answer; there is nothing to compare then.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.experiments.assignment.growthbook import payloads, peers
from tests.experiments.assignment.growthbook.vocabularies import Agreed, Vocabulary

USERS, FEATURES = 5, 3  # of a payload: 15 comparisons
NORMAL = settings(
    max_examples=1_050 // (USERS * FEATURES),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking such payloads takes minutes
    suppress_health_check=list(HealthCheck),
)
THOROUGH = settings(
    NORMAL, max_examples=51_000 // (USERS * FEATURES), derandomize=False
)


def cases(vocabulary: Vocabulary) -> st.SearchStrategy[tuple[Any, list[Any]]]:
    users = st.lists(payloads.users(vocabulary), min_size=USERS, max_size=USERS)
    return st.tuples(payloads.payloads(vocabulary), users)


@pytest.fixture(scope="module")
def javascript() -> Iterator[peers.JavaScriptSDK]:
    with peers.javascript_sdk() as sdk:
        yield sdk


def compare_with_javascript(sdk: peers.JavaScriptSDK, case: Any) -> None:
    payload, users = case
    for user, (theirs, kept) in zip(users, sdk.ask(payload, users), strict=True):
        mine, stored = peers.ours(payload, user)
        compared = {key for key, answer in theirs.items() if "threw" not in answer}
        for key in compared:
            assert mine[key] == theirs[key]
        if user["sticky"] is not None and len(compared) == FEATURES:
            assert stored == kept


def compare_with_python(case: Any) -> None:
    payload, users = case
    logging.disable(logging.WARNING)  # unknown operators are reported there
    for user in users:
        mine, stored = peers.ours(payload, user)
        theirs, kept = peers.python_sdk(payload, user)
        for key, answer in theirs.items():
            # It shows the experiment with its own defaults filled in.
            assert mine[key] | {"experiment": None} == answer | {"experiment": None}
        assert stored == kept
    logging.disable(logging.NOTSET)


@pytest.mark.node
@NORMAL
@given(cases(Vocabulary()))
def test_the_javascript_sdk_answers_the_same(
    javascript: peers.JavaScriptSDK, case: Any
) -> None:
    compare_with_javascript(javascript, case)


@NORMAL
@given(cases(Agreed()))
def test_the_python_sdk_answers_the_same(case: Any) -> None:
    compare_with_python(case)


@pytest.mark.slow
@pytest.mark.node
@THOROUGH
@given(cases(Vocabulary()))
def test_the_javascript_sdk_answers_the_same_fifty_thousand_times(
    javascript: peers.JavaScriptSDK, case: Any
) -> None:
    compare_with_javascript(javascript, case)


@pytest.mark.slow
@THOROUGH
@given(cases(Agreed()))
def test_the_python_sdk_answers_the_same_fifty_thousand_times(case: Any) -> None:
    compare_with_python(case)
