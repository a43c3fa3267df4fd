"""Where others differ, and why: nothing is left out of the comparison in silence."""

from typing import Any

import pytest
from growthbook import GrowthBook

from experiments.assignment import conditions
from experiments.assignment.growthbook.features import FeatureSet, User

GRIN = "\U0001f600"


def both(rules: list[Any], attributes: Any, **more: Any) -> tuple[Any, Any]:
    """What we and the Python SDK answer."""
    features = {"f": {"defaultValue": "default", "rules": rules}}
    found = FeatureSet(features, **more).evaluate("f", User(attributes)).as_json()
    theirs = GrowthBook(attributes=attributes, features=features, **more)
    return found, theirs.eval_feature("f").to_dict()


def test_the_python_sdk_hashes_code_points() -> None:
    rule = {"variations": [0, 1], "seed": "seed", "hashVersion": 2}
    mine, theirs = both([rule], {"id": GRIN})
    assert mine["experimentResult"]["bucket"] == 0.4346
    assert theirs["experimentResult"]["bucket"] == 0.7092


@pytest.mark.parametrize(
    ("condition", "attributes"),
    [({"age": 30}, {"age": "30"}), ({"age": 0}, {}), ({"n": "1"}, {"n": 1})],
)
def test_the_python_sdk_compares_without_conversions(
    condition: Any, attributes: Any
) -> None:
    mine, theirs = both([{"condition": condition, "force": 1}], attributes)
    assert (mine["value"], theirs["value"]) == (1, "default")


def test_the_python_sdk_passes_over_a_forced_null() -> None:
    mine, theirs = both([{"force": None}], {})
    assert (mine["source"], theirs["source"]) == ("force", "defaultValue")


def test_the_python_sdk_lets_those_without_the_attribute_through_filters() -> None:
    rule = {"force": 1, "filters": [{"seed": "s", "ranges": [[0, 1]]}]}
    mine, theirs = both([rule], {})
    assert (mine["value"], theirs["value"]) == ("default", 1)


def test_the_python_sdk_knows_no_leaves_where_ranges_are_stated() -> None:
    rule = {
        "contextualVariations": [0, 1],
        "contextualBanditRef": "bandit",
        "ranges": [[0, 0.5], [0.5, 1]],
    }
    leaf = {"leafId": 4, "condition": {}, "weights": [1, 0]}
    bandits = {"bandit": {"banditVersion": 1, "contexts": [leaf]}}
    mine, theirs = both([rule], {"id": "1"}, contextual_bandits=bandits)
    assert mine["experimentResult"]["leafId"] == 4
    assert "leafId" not in theirs["experimentResult"]


def test_the_python_sdk_looks_at_the_audience_before_what_is_forced() -> None:
    rule = {"key": "e", "variations": [0, 1], "condition": {"id": "other"}}
    features = {"f": {"defaultValue": "default", "rules": [rule]}}
    user = User({"id": "1"}, forced_variations={"e": 1})
    mine = FeatureSet(features).evaluate("f", user)
    theirs = GrowthBook(
        attributes={"id": "1"}, features=features, forced_variations={"e": 1}
    )
    assert (mine.value, theirs.eval_feature("f").value) == (1, "default")


def test_the_python_sdk_takes_an_empty_list_of_filters_for_none() -> None:
    rule = {"variations": [0, 1], "filters": [], "namespace": ["ns", 1, 0]}
    mine, theirs = both([rule], {"id": "1"})
    assert (mine["source"], theirs["source"]) == ("experiment", "defaultValue")


@pytest.mark.parametrize("pattern", ["(?=n)n", r"(n)\1", "(?<!x)n"])
def test_patterns_that_only_backtracking_engines_know_hold_nobody(pattern: str) -> None:
    assert not conditions.matches({"a": {"$regex": pattern}}, {"a": "nn"})


def test_a_dot_is_a_whole_character_and_not_half_of_one() -> None:
    assert conditions.matches({"a": {"$regex": "^.$"}}, {"a": GRIN})
