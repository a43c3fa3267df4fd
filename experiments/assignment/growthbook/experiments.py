"""An experiment as GrowthBook states it: read, split by, shown (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec.structs import replace

from experiments.assignment import javascript as js
from experiments.assignment.answers import Reason
from experiments.assignment.bucketing import Range, bucket_ranges, equal_weights
from experiments.assignment.conditions import Groups
from experiments.assignment.growthbook.results import ExperimentResult
from experiments.assignment.javascript import Json
from experiments.assignment.splitting import (
    Decision,
    Filter,
    Leaf,
    Prerequisite,
    Split,
    SplitRule,
)
from experiments.assignment.subject import Subject

FALLBACK_LEAF = -1
# What only a browser can know; an experiment that asks for it splits nobody here.
_BROWSER_ONLY = ("urlPatterns", "url", "include")

Stated = Mapping[str, Any]
"""An experiment, a rule or a bandit as it stands in a payload."""


class PayloadError(ValueError):
    """A payload is not what the specification says; the message names the place."""


class Experiment:
    """A stated experiment, ready to run.

    Raises:
        PayloadError: It is no experiment.
    """

    def __init__(
        self, stated: Stated, groups: Groups, bandit: Stated | None = None
    ) -> None:
        self.stated = dict(stated)
        self._bandit = bandit
        try:
            self._rule = _split_rule(stated, bandit)
            self._split = Split(self._rule, groups)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise PayloadError(
                f"The experiment {stated.get('key')!r} cannot be read: {error}"
            ) from error

    def run(
        self, subject: Subject, feature_id: str | None = None
    ) -> tuple[ExperimentResult, dict[str, Any]]:
        """What a subject gets, and the experiment as it applied to them."""
        decision = self._split.decide(subject)
        weights, leaf_id = self._leaf(subject)
        applied = self.stated
        if self._bandit is not None:
            applied = {**applied}
            if weights is not None:
                applied["weights"] = weights
        result = self._result(subject, decision, feature_id)
        if self._bandit is None or not (decision.dealt and result.in_experiment):
            return result, applied
        shares = applied.get("weights") or list(equal_weights(self._rule.count))
        version = self._bandit.get("banditVersion")
        applied["contextualBandit"] = {
            "leafId": leaf_id,
            "variationWeights": shares,
        }
        if version is not None:
            applied["contextualBandit"]["banditVersion"] = version
        return self._of_leaf(result, leaf_id, shares, version), applied

    @property
    def sticky_name(self) -> str:
        """Under which a variant is stored."""
        return f"{self._rule.key}__{self._rule.bucket_version}"

    @property
    def sticky(self) -> bool:
        """Whether variants are stored, where the user has a store."""
        return self._rule.sticky

    def _leaf(self, subject: Subject) -> tuple[Any, int]:
        if self._bandit is None:
            return None, FALLBACK_LEAF
        number = self._split.leaf(subject)
        if number < 0:
            return None, FALLBACK_LEAF
        leaf = self._bandit["contexts"][number]
        return leaf["weights"], leaf["leafId"]

    @staticmethod
    def _of_leaf(
        result: ExperimentResult, leaf_id: int, shares: list[float], version: int | None
    ) -> ExperimentResult:
        return replace(
            result,
            leaf_id=leaf_id,
            variation_weights=list(shares),
            bandit_version=version,
        )

    def _result(
        self, subject: Subject, decision: Decision, feature_id: str | None
    ) -> ExperimentResult:
        variations = self.stated["variations"]
        inside = 0 <= decision.variant < len(variations)
        index = decision.variant if inside else 0
        sticky = self._rule.sticky and subject.stored is not None
        attribute, value = subject.unit(
            self._rule.hash_attribute, self._rule.fallback_attribute if sticky else ""
        )
        listed = self.stated.get("meta") or ()
        meta = listed[index] if index < len(listed) else {}
        return ExperimentResult(
            key=meta.get("key") or str(index),
            feature_id=feature_id,
            in_experiment=inside,
            hash_used=decision.dealt,
            variation_id=index,
            value=variations[index] if variations else None,
            hash_attribute=attribute,
            hash_value=value,
            sticky_bucket_used=decision.reason
            in {Reason.STICKY, Reason.STICKY_BLOCKED},
            name=meta.get("name") or None,
            bucket=decision.bucket if decision.dealt else None,
            passthrough=meta.get("passthrough") or None,
        )


def _split_rule(stated: Stated, bandit: Stated | None) -> SplitRule:
    count = len(stated["variations"])
    coverage = stated.get("coverage", 1.0)
    given: Any = stated.get("ranges")

    def ranges(weights: Sequence[float] | None) -> tuple[Range, ...]:
        if js.truth(given):
            return read_ranges(given)
        return bucket_ranges(count, coverage, weights)

    contexts = (bandit or {}).get("contexts") or ()
    attribute = stated.get("hashAttribute") or "id"
    return SplitRule(
        key=stated["key"],
        seed=stated.get("seed") or stated["key"],
        count=count,
        ranges=ranges(stated.get("weights")),
        names=tuple(meta.get("key") for meta in stated.get("meta") or ()),
        hash_version=stated.get("hashVersion") or 1,
        hash_attribute=attribute,
        fallback_attribute=stated.get("fallbackAttribute") or "",
        filters=_filters(stated),
        condition=stated.get("condition") or None,
        prerequisites=read_prerequisites(stated),
        leaves=tuple(
            Leaf(each.get("condition") or {}, ranges(each["weights"]))
            for each in contexts
        ),
        sticky=not stated.get("disableStickyBucketing"),
        bucket_version=stated.get("bucketVersion") or 0,
        min_bucket_version=stated.get("minBucketVersion") or 0,
        active=stated.get("active") is not False
        and stated.get("status") != "draft"
        and not any(stated.get(name) for name in _BROWSER_ONLY),
        stopped=stated.get("status") == "stopped",
        force=stated.get("force"),
        groups=tuple(stated["groups"]) if js.truth(stated.get("groups")) else None,
    )


def read_ranges(stated: Sequence[Sequence[float]]) -> tuple[Range, ...]:
    """Bucket ranges of a payload."""
    return tuple((start, end) for start, end in stated)


def read_filters(stated: Sequence[Stated]) -> tuple[Filter, ...]:
    """Filters of a rule or experiment."""
    return tuple(
        Filter(
            seed=each["seed"],
            ranges=read_ranges(each["ranges"]),
            attribute=each.get("attribute") or "id",
            hash_version=each.get("hashVersion") or 2,
        )
        for each in stated
    )


def _filters(stated: Stated) -> tuple[Filter, ...]:
    """Filters, or else the old-style namespace, which hashes by version 1."""
    if stated.get("filters") is not None:
        return read_filters(stated["filters"])
    if not stated.get("namespace"):
        return ()
    name, start, end = stated["namespace"]
    bounds: Range = (start, end)
    return (Filter(f"__{name}", (bounds,), attribute=None, hash_version=1),)


def read_prerequisites(stated: Stated) -> tuple[Prerequisite, ...]:
    """What other features must answer."""
    return tuple(
        Prerequisite(
            each["id"],
            cast("Json", each.get("condition") or {}),
            gate=js.truth(each.get("gate")),
        )
        for each in stated.get("parentConditions") or ()
    )
