"""What an evaluation answers, as the SDKs show it (pure)."""

from collections.abc import Mapping

import msgspec

from experiments.assignment import javascript as js
from experiments.assignment.javascript import Json


class ExperimentResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an experiment gave a user.

    Attributes:
        key: The variation's meta key, or its index as text.
        hash_used: Whether a bucket decided, now or when it was stored.
        hash_value: Of the hash attribute, as it was sent.
        bucket: 0 to 1; None: a bucket did not decide.
        leaf_id: Of a contextual bandit; -1 is its fallback.
    """

    key: str
    feature_id: str | None
    in_experiment: bool
    hash_used: bool
    variation_id: int
    value: object
    hash_attribute: str
    hash_value: object
    sticky_bucket_used: bool = False
    name: str | None = None
    bucket: float | None = None
    passthrough: bool | None = None
    leaf_id: int | None = None
    variation_weights: list[float] | None = None
    bandit_version: int | None = None

    def as_json(self) -> dict[str, Json]:
        """The SDKs' object; what is not known is left out."""
        whole = msgspec.to_builtins(self)
        return {
            name: value
            for name, value in whole.items()
            if value is not None or name in {"featureId", "value", "hashValue"}
        }


class FeatureResult(msgspec.Struct, frozen=True):
    """What a feature answers a user.

    Attributes:
        source: ``defaultValue``, ``force``, ``experiment``, ``override``,
            ``unknownFeature``, ``prerequisite`` or ``cyclicPrerequisite``.
        experiment: The experiment that decided, as the rule states it.
    """

    value: object
    source: str
    rule_id: str = ""
    experiment: dict[str, object] | None = None
    result: ExperimentResult | None = None

    def as_json(self) -> dict[str, Json]:
        """The SDKs' object."""
        value: Json = self.value  # type: ignore[assignment] # JSON
        on = js.truth(value)
        shown: dict[str, Json] = {
            "value": value,
            "on": on,
            "off": not on,
            "source": self.source,
            "ruleId": self.rule_id,
        }
        if self.experiment is not None and self.result is not None:
            experiment: Mapping[str, Json] = self.experiment  # type: ignore[assignment] # JSON
            shown |= {
                "experiment": experiment,
                "experimentResult": self.result.as_json(),
            }
        return shown
