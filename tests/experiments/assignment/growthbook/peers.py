"""The evaluators that are held against each other, asked alike."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from growthbook import GrowthBook, InMemoryStickyBucketService

from experiments.assignment.growthbook.features import FeatureSet, User
from experiments.assignment.growthbook.sticky import StickyDocument, StickyDocuments
from tests.clients import node_packages

Answer = dict[str, Any]
"""Feature key to the SDK's result object; ``threw`` in place of one that failed."""


def ours(payload: Any, user: Any) -> tuple[Answer, Any]:
    """What we answer, and the sticky documents afterwards."""
    features = FeatureSet(
        payload["features"],
        saved_groups=payload["savedGroups"],
        contextual_bandits=payload["contextualBandits"],
    )
    sticky = None
    if user["sticky"] is not None:
        listed = user["sticky"].values()
        sticky = StickyDocuments(
            msgspec.convert(each, StickyDocument) for each in listed
        )
    asking = User(
        user["attributes"],
        url=user["url"],
        forced_variations=user["forcedVariations"],
        qa_mode=user["qaMode"],
        sticky=sticky,
    )
    answers = {
        key: features.evaluate(key, asking).as_json() for key in payload["features"]
    }
    kept = msgspec.to_builtins(sticky.documents) if sticky else {}
    return {key: plain(value) for key, value in answers.items()}, kept


def plain(value: Any) -> Any:
    """A value as JSON gives it back, all numbers as JavaScript's."""
    return json.loads(json.dumps(value), parse_int=float)


class JavaScriptSDK:
    """GrowthBook's JavaScript SDK in a Node process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, payload: Any, users: list[Any]) -> list[tuple[Answer, Any]]:
        """What it answers each user, and their sticky documents afterwards."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(
            json.dumps({"payload": payload, "users": users}) + "\n"
        )
        self._process.stdin.flush()
        return [
            (
                {
                    each["key"]: each.get("result", {"threw": each.get("threw")})
                    for each in answer["answers"]
                },
                answer["documents"],
            )
            for answer in json.loads(self._process.stdout.readline(), parse_int=float)
        ]


@contextmanager
def javascript_sdk() -> Iterator[JavaScriptSDK]:
    """The SDK, for as long as it is needed."""
    folder = node_packages()
    process = subprocess.Popen(
        ["node", "growthbook.cjs"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield JavaScriptSDK(process)
        assert process.stdin is not None
        process.stdin.close()


def python_sdk(payload: Any, user: Any) -> tuple[Answer, Any]:
    """What GrowthBook's Python SDK answers, and its sticky documents afterwards."""
    store = None
    if user["sticky"] is not None:
        store = InMemoryStickyBucketService()
        for document in user["sticky"].values():
            store.save_assignments(document)
    growthbook = GrowthBook(
        attributes=user["attributes"],
        url=user["url"],
        forced_variations=user["forcedVariations"],
        qa_mode=user["qaMode"],
        features=payload["features"],
        saved_groups=payload["savedGroups"],
        contextual_bandits=payload["contextualBandits"],
        sticky_bucket_service=store,
    )
    answers = {
        key: growthbook.eval_feature(key).to_dict() for key in payload["features"]
    }
    return {
        key: plain(value) for key, value in answers.items()
    }, store.docs if store else {}
