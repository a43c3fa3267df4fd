"""The shared cases of GrowthBook's SDKs, specification 0.8.0.

Of 517 all are decided here or beside here (``evalCondition``, ``hash``, ``ranges``,
``chooseVariation``, ``getEqualWeights``), but for the four of ``urlRedirect``: sending
a browser to another address is a browser's job, and a server has no browser.
"""

import json
from typing import Any

import pytest

from experiments.assignment.growthbook.encryption import DecryptionError, decrypt
from experiments.assignment.growthbook.experiments import Experiment
from experiments.assignment.growthbook.features import FeatureSet, User
from experiments.assignment.growthbook.sticky import StickyDocument, StickyDocuments
from experiments.assignment.query_strings import forced_variant
from experiments.assignment.subject import Subject
from tests.experiments.assignment.cases import FILE, cases

NOT_FOR_A_SERVER = {"urlRedirect"}
DECIDED = {
    *("evalCondition", "hash", "getBucketRange", "chooseVariation", "getEqualWeights"),
    *("feature", "run", "getQueryStringOverride", "inNamespace", "decrypt"),
    *("stickyBucket", "contextualBandit"),
}


def feature_set(context: Any) -> FeatureSet:
    return FeatureSet(
        context.get("features", {}),
        saved_groups=context.get("savedGroups"),
        contextual_bandits=context.get("contextualBandits"),
    )


def user(context: Any, sticky: StickyDocuments | None = None) -> User:
    return User(
        context.get("attributes", {}),
        url=context.get("url", ""),
        forced_variations=context.get("forcedVariations"),
        sticky=sticky,
        enabled=context.get("enabled", True),
        qa_mode=context.get("qaMode", False),
    )


def test_every_section_is_decided_but_what_only_a_browser_does() -> None:
    if not FILE.exists():
        pytest.skip(f"SDK cases absent: ../shared/data/{FILE.name}")
    listed = json.loads(FILE.read_text())
    assert listed.pop("specVersion") == "0.8.0"
    assert set(listed) == DECIDED | NOT_FOR_A_SERVER
    assert sum(map(len, listed.values())) == 517
    assert sum(len(listed[name]) for name in NOT_FOR_A_SERVER) == 4


@pytest.mark.parametrize("case", [*cases("feature"), *cases("contextualBandit")])
def test_a_feature_answers_as_in_the_sdks(case: Any) -> None:
    _, context, key, expected = case
    found = feature_set(context).evaluate(key, user(context))
    assert found.as_json() == expected


@pytest.mark.parametrize("case", cases("run"))
def test_an_experiment_runs_as_in_the_sdks(case: Any) -> None:
    _, context, experiment, value, in_experiment, hash_used = case
    found = feature_set(context).run(experiment, user(context))
    assert (found.value, found.in_experiment, found.hash_used) == (
        value,
        in_experiment,
        hash_used,
    )


@pytest.mark.parametrize("case", cases("stickyBucket"))
def test_a_stored_variant_is_kept_as_in_the_sdks(case: Any) -> None:
    _, context, documents, key, expected, kept = case
    attributes = context["attributes"]
    sticky = StickyDocuments(
        StickyDocument(d["attributeName"], d["attributeValue"], d["assignments"])
        for d in [*documents, *context.get("stickyBucketAssignmentDocs", {}).values()]
        if attributes.get(d["attributeName"]) == d["attributeValue"]
    )
    found = feature_set(context).evaluate(key, user(context, sticky))
    result = found.result.as_json() if found.result is not None else None
    assert result == expected
    assert {
        key: {
            "attributeName": document.attribute_name,
            "attributeValue": document.attribute_value,
            "assignments": document.assignments,
        }
        for key, document in sticky.documents.items()
    } == kept


@pytest.mark.parametrize("case", cases("inNamespace"))
def test_a_namespace_holds_whom_it_holds_in_the_sdks(case: Any) -> None:
    _, unit, namespace, expected = case
    experiment = Experiment(
        {"key": "any", "variations": [0, 1], "namespace": namespace}, {}
    )
    subject = Subject({"id": unit}, lambda *_: None)
    assert experiment.run(subject)[0].in_experiment is expected


@pytest.mark.parametrize("case", cases("getQueryStringOverride"))
def test_a_query_string_forces_what_it_forces_in_the_sdks(case: Any) -> None:
    _, key, url, count, expected = case
    assert forced_variant(key, url, count) == expected


@pytest.mark.parametrize("case", cases("decrypt"))
def test_what_the_sdks_decrypt_is_decrypted(case: Any) -> None:
    _, encrypted, key, expected = case
    if expected is None:
        with pytest.raises(DecryptionError, match="cannot be decrypted"):
            decrypt(encrypted, key)
    else:
        assert decrypt(encrypted, key) == expected
