"""An SDK payload, compiled: what a feature answers a user (pure).

References: GrowthBook JavaScript SDK 1.8.0, ``core.ts``, ``evalFeature``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from experiments.assignment import conditions
from experiments.assignment import javascript as js
from experiments.assignment.answers import Reason
from experiments.assignment.bucketing import Range
from experiments.assignment.conditions import Groups, Test
from experiments.assignment.growthbook.experiments import (
    Experiment,
    PayloadError,
    Stated,
    read_filters,
    read_prerequisites,
)
from experiments.assignment.growthbook.results import ExperimentResult, FeatureResult
from experiments.assignment.growthbook.sticky import StickyDocuments
from experiments.assignment.javascript import Json
from experiments.assignment.splitting import (
    Rollout,
    compile_filter,
    compile_prerequisite,
)
from experiments.assignment.subject import CYCLIC, Cyclic, Subject

# What a rule hands on to its experiment, if it is there at all or if it is truthy.
_IF_PRESENT = ("coverage", "bucketVersion", "minBucketVersion")
_IF_TRUE = (
    "weights",
    "hashAttribute",
    "fallbackAttribute",
    "disableStickyBucketing",
    "namespace",
    "meta",
    "ranges",
    "name",
    "phase",
    "seed",
    "hashVersion",
    "filters",
    "condition",
)
_FLAWS = (TypeError, ValueError, KeyError, AttributeError, RecursionError)


class User:
    """Who is evaluated.

    Attributes:
        viewed: Every experiment that dealt the user a variant, those that leave the
            value to the next rule included: what is to be logged as exposures.
    """

    def __init__(  # as many as the SDKs' contexts have
        self,
        attributes: Mapping[str, Json],
        *,
        url: str = "",
        forced_variations: Mapping[str, int] | None = None,
        forced_features: Mapping[str, Json] | None = None,
        sticky: StickyDocuments | None = None,
        enabled: bool = True,
        qa_mode: bool = False,
        groups: Mapping[str, bool] | None = None,
    ) -> None:
        self.attributes = attributes
        self.url = url
        self.forced_variations = forced_variations or {}
        self.forced_features = forced_features or {}
        self.sticky = sticky
        self.enabled = enabled
        self.qa_mode = qa_mode
        self.groups = groups or {}
        self.viewed: list[tuple[dict[str, Any], ExperimentResult]] = []


class FeatureSet:
    """The features of a payload.

    A rule that cannot be read is passed over and listed in ``problems``.

    Args:
        overrides: Experiment key to what replaces parts of the experiment.

    Attributes:
        problems: What is wrong, and where.
    """

    def __init__(
        self,
        features: Stated,
        *,
        saved_groups: Groups | None = None,
        contextual_bandits: Stated | None = None,
        overrides: Stated | None = None,
    ) -> None:
        self._groups: Groups = saved_groups or {}
        self._bandits = contextual_bandits or {}
        self._overrides = overrides or {}
        self.problems: list[str] = []
        self._features = {key: self._read(key, each) for key, each in features.items()}

    def evaluate(self, key: str, user: User) -> FeatureResult:
        """What a feature answers."""
        return self._evaluate(key, self._subject(user), user)

    def run(self, stated: Stated, user: User) -> ExperimentResult:
        """What an experiment that belongs to no feature gives a user.

        Raises:
            PayloadError: It is no experiment.
        """
        replaced = {**stated, **self._overrides.get(stated.get("key", ""), {})}
        experiment = Experiment(replaced, self._groups)
        return _run(experiment, self._subject(user), user, None)[0]

    def _subject(self, user: User) -> Subject:
        def evaluate(key: str, subject: Subject) -> "Json | Cyclic":
            found = self._evaluate(key, subject, user)
            return CYCLIC if found.source == "cyclicPrerequisite" else found.value  # type: ignore[return-value] # JSON

        subject = Subject(user.attributes, evaluate)
        sticky = user.sticky
        if sticky is not None:
            subject.stored = lambda attribute, fallback: sticky.stored(
                subject, attribute, fallback
            )
        subject.forced = user.forced_variations
        subject.url = user.url
        subject.enabled = user.enabled
        subject.qa_mode = user.qa_mode
        subject.groups = user.groups
        return subject

    def _evaluate(self, key: str, subject: Subject, user: User) -> FeatureResult:
        if key in subject.path:
            return FeatureResult(None, "cyclicPrerequisite")
        if key in user.forced_features:
            return FeatureResult(user.forced_features[key], "override")
        feature = self._features.get(key)
        if feature is None:
            return FeatureResult(None, "unknownFeature")
        subject.path.append(key)
        try:
            for rule in feature.rules:
                found = rule(subject, user)
                if found is not None:
                    return found
        finally:
            subject.path.pop()
        return FeatureResult(feature.default, "defaultValue")

    def _read(self, key: str, stated: Stated) -> "_Feature":
        rules = []
        for number, rule in enumerate(stated.get("rules") or ()):
            try:
                rules.append(self._rule(key, rule))
            except _FLAWS as error:
                self.problems.append(f"features.{key}.rules[{number}]: {error}")
        return _Feature(stated.get("defaultValue"), rules)

    def _rule(self, key: str, stated: Stated) -> "_Rule":
        gates = [
            (compile_prerequisite(each, self._groups), each.gate)
            for each in read_prerequisites(stated)
        ]
        filters = [compile_filter(f) for f in read_filters(stated.get("filters") or ())]
        if "force" in stated:
            answer = self._forced(key, stated)
        else:
            answer = self._experiment(key, stated)

        def rule(subject: Subject, user: User) -> FeatureResult | None:
            for prerequisite, gate in gates:
                refused = prerequisite(subject, None)
                if refused is Reason.CYCLIC_PREREQUISITE:
                    return FeatureResult(None, "cyclicPrerequisite")
                if refused is not None:
                    return FeatureResult(None, "prerequisite") if gate else None
            if any(check(subject, None) for check in filters):
                return None
            return answer(subject, user)

        return rule

    def _forced(self, key: str, stated: Stated) -> "_Rule":
        condition: Json = stated.get("condition")
        test: Test | None = None
        if js.truth(condition):
            test = conditions.compile_condition(condition, self._groups)
        bounds: Range | None = None
        if js.truth(stated.get("range")):
            start, end = stated["range"]
            bounds = (start, end)
        rollout = Rollout(
            stated.get("seed") or key,
            attribute=stated.get("hashAttribute") or "id",
            version=stated.get("hashVersion") or 1,
            bounds=bounds,
            coverage=stated.get("coverage"),
        )
        fallback = stated.get("fallbackAttribute") or ""
        if stated.get("disableStickyBucketing"):
            fallback = ""
        answer = FeatureResult(stated["force"], "force", stated.get("id") or "")

        def rule(subject: Subject, _: User) -> FeatureResult | None:
            if test is not None and not test(subject.attributes):
                return None
            other = fallback if subject.stored is not None else ""
            return answer if rollout.includes(subject, other) else None

        return rule

    def _experiment(self, key: str, stated: Stated) -> "_Rule":
        variations = stated.get("contextualVariations")
        if variations is None:
            variations = stated.get("variations")
        if variations is None:
            return _no_rule
        made = {"variations": variations, "key": stated.get("key") or key}
        made |= {name: stated[name] for name in _IF_PRESENT if name in stated}
        made |= {name: stated[name] for name in _IF_TRUE if js.truth(stated.get(name))}
        made |= self._overrides.get(made["key"], {})
        bandit = self._bandits.get(stated.get("contextualBanditRef") or "")
        experiment = Experiment(made, self._groups, bandit)

        def rule(subject: Subject, user: User) -> FeatureResult | None:
            result, applied = _run(experiment, subject, user, key)
            if not result.in_experiment or result.passthrough:
                return None
            rule_id = stated.get("id") or ""
            return FeatureResult(result.value, "experiment", rule_id, applied, result)

        return rule


_Rule = Callable[[Subject, User], FeatureResult | None]


class _Feature:
    __slots__ = ("default", "rules")

    def __init__(self, default: object, rules: list[_Rule]) -> None:
        self.default = default
        self.rules = tuple(rules)


def _no_rule(_: Subject, __: User) -> None:
    """A rule that says nothing; a gate may stand before it."""


def _run(
    experiment: Experiment, subject: Subject, user: User, feature_id: str | None
) -> tuple[ExperimentResult, dict[str, Any]]:
    result, applied = experiment.run(subject, feature_id)
    if result.hash_used:
        user.viewed.append((applied, result))
        if user.sticky is not None and experiment.sticky:
            value: Json = result.hash_value  # type: ignore[assignment] # JSON
            user.sticky.store(
                result.hash_attribute, value, experiment.sticky_name, result.key
            )
    return result, applied


__all__ = ["FeatureSet", "PayloadError", "User"]
