import time
from typing import Any

import pytest

from experiments.assignment import conditions
from tests.experiments.assignment.cases import cases


@pytest.mark.parametrize("case", cases("evalCondition"))
def test_a_condition_of_the_sdk_cases_is_decided_as_the_sdks_do(case: Any) -> None:
    _, condition, attributes, expected, *groups = case
    assert conditions.matches(condition, attributes, *groups) is expected


@pytest.mark.parametrize(
    ("condition", "attributes", "expected"),
    [
        ({"age": 30}, {"age": "30"}, True),
        ({"age": 0}, {}, True),
        ({"country": "nl"}, {"country": ["nl"]}, True),
        ({"tags.0": "new"}, {"tags": ["new"]}, True),
        ({"plan": {"$in": ["pro", 1]}}, {"plan": True}, False),
        ({"$nor": []}, {}, False),
        ({"a": {"$regex": "(?=x)"}}, {"a": "x"}, False),
    ],
)
def test_values_are_compared_as_javascript_does(
    condition: Any, attributes: Any, expected: bool
) -> None:
    assert conditions.matches(condition, attributes) is expected


def test_no_pattern_takes_exponential_time() -> None:
    began = time.perf_counter()
    assert not conditions.matches({"a": {"$regex": "(a+)+$"}}, {"a": "a" * 5_000 + "!"})
    assert time.perf_counter() - began < 0.5


def test_an_empty_text_admits_everybody() -> None:
    assert conditions.compile_text("")({})


@pytest.mark.parametrize("text", ["{", "[]", "1"])
def test_a_text_that_is_no_condition_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(conditions.ConditionError, match="audience"):
        conditions.compile_text(text)
