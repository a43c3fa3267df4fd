"""One experiment's rule, compiled: which variant a subject gets, and why (pure).

The only place where units are dealt. The order is that of GrowthBook's SDKs.
References: GrowthBook JavaScript SDK 1.8.0, ``core.ts``, ``runExperiment``.
"""

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from experiments.assignment import conditions
from experiments.assignment import javascript as js
from experiments.assignment.answers import Reason
from experiments.assignment.bucketing import Partition, Range, bucketer, slots
from experiments.assignment.conditions import Groups, Test
from experiments.assignment.javascript import Json
from experiments.assignment.query_strings import forced_variant
from experiments.assignment.subject import Cyclic, Subject


class Filter(msgspec.Struct, frozen=True):
    """Buckets of a seed of its own that a rule looks at.

    Attributes:
        attribute: What is hashed; None: what the rule itself splits by.
        reason: Why whoever is outside is passed on.
    """

    seed: str
    ranges: tuple[Range, ...]
    attribute: str | None = "id"
    hash_version: int = 2
    reason: Reason = Reason.NOT_IN_LAYER


class Prerequisite(msgspec.Struct, frozen=True):
    """A condition over ``{"value": what another key answers}``."""

    key: str
    condition: Json
    gate: bool = False


class Leaf(msgspec.Struct, frozen=True):
    """Shares for the subjects of one context of a contextual bandit."""

    condition: Json
    ranges: tuple[Range, ...]


class SplitRule(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment says.

    Attributes:
        ranges: The buckets of each variant.
        names: What each variant is stored as; shorter when they have no names.
        count: Number of variants.
        starts_at: Unix seconds.
        leaves: Tried in order before ``ranges``.
        sticky: Stored variants count.
        active: False for a draft; the rule passes everybody on but the forced.
        stopped: Nobody is dealt a variant any more.
        force: Whoever would be split gets this variant, without being in a test.
        groups: Old-style groups, one of which is needed; None: none is.
    """

    key: str
    seed: str
    count: int
    ranges: tuple[Range, ...]
    names: tuple[str | None, ...] = ()
    hash_version: int = 2
    hash_attribute: str = "id"
    fallback_attribute: str = ""
    starts_at: float = 0.0
    filters: tuple[Filter, ...] = ()
    condition: Json = None
    prerequisites: tuple[Prerequisite, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    sticky: bool = False
    bucket_version: int = 0
    min_bucket_version: int = 0
    active: bool = True
    stopped: bool = False
    force: int | None = None
    groups: tuple[str, ...] | None = None


class Decision(NamedTuple):
    """What the rule made of a subject.

    Attributes:
        variant: Index; -1: the next rule decides.
        bucket: 0 to 1; None when no hash was needed.
        attribute: What the subject was split by, and its value.
    """

    reason: Reason
    variant: int = -1
    bucket: float | None = None
    attribute: str = "id"
    value: Json = ""

    @property
    def dealt(self) -> bool:
        """Whether the variant comes from a bucket, now or when it was stored."""
        return self.reason in {Reason.SPLIT, Reason.STICKY}


Passes = Callable[[Subject, Json], Reason | None]
"""None: the subject passes; otherwise why not. The second is the value split by."""


class Split:
    """A compiled rule.

    Attributes:
        number_of: Unit to bucket number; None for an unknown hash version.
        partition: Bucket number to variant.
        slots: Number of buckets.
        plain: Nothing but the start and the bucket matters.
    """

    __slots__ = (
        "_checks",
        "_leaf_tests",
        "_partitions",
        "number_of",
        "partition",
        "plain",
        "rule",
        "slots",
    )

    def __init__(self, rule: SplitRule, groups: Groups) -> None:
        self.rule = rule
        self.number_of = bucketer(rule.seed, rule.hash_version)
        self.partition = Partition(rule.ranges, rule.hash_version)
        self.slots = slots(rule.hash_version)
        self._checks = _checks(rule, groups)
        self._leaf_tests = [
            conditions.compile_condition(leaf.condition, groups) for leaf in rule.leaves
        ]
        self._partitions = [
            Partition(leaf.ranges, rule.hash_version) for leaf in rule.leaves
        ]
        self.plain = (
            self.number_of is not None
            and not (self._checks or rule.leaves or rule.sticky or rule.stopped)
            and rule.active
            and rule.count > 1
            and rule.force is None
            and rule.hash_attribute == "id"
        )

    def decide(self, subject: Subject) -> Decision:
        """What the rule makes of a subject."""
        rule = self.rule
        early = self._before_the_unit(subject)
        if early is not None:
            return early
        sticky = rule.sticky and subject.stored is not None
        attribute, value = subject.unit(
            rule.hash_attribute, rule.fallback_attribute if sticky else ""
        )
        if value == "":
            return Decision(Reason.NO_UNIT, attribute=attribute)
        stored, blocked = self._stored(subject) if sticky else (-1, False)
        if stored < 0:
            for check in self._checks:
                refused = check(subject, value)
                if refused is not None:
                    return Decision(refused, -1, None, attribute, value)
        return self._deal(subject, attribute, value, stored, blocked=blocked)

    def _deal(
        self,
        subject: Subject,
        attribute: str,
        value: Json,
        stored: int,
        *,
        blocked: bool,
    ) -> Decision:
        rule = self.rule
        if self.number_of is None:
            return Decision(Reason.BROKEN_RULE, -1, None, attribute, value)
        number = subject.bucket(
            rule.seed, rule.hash_version, js.text(value), self.number_of
        )
        at = number / self.slots
        leaf = self.leaf(subject)
        variant, reason = stored, Reason.STICKY
        if stored < 0:
            partition = self.partition if leaf < 0 else self._partitions[leaf]
            variant = partition.owners[bisect_right(partition.edges, number)]
            reason = Reason.SPLIT
        if blocked:
            return Decision(Reason.STICKY_BLOCKED, -1, None, attribute, value)
        if variant < 0:
            return Decision(Reason.NOT_IN_COVERAGE, -1, at, attribute, value)
        if rule.force is not None:
            return Decision(Reason.FORCED, rule.force, None, attribute, value)
        if subject.qa_mode or rule.stopped:
            return Decision(Reason.INACTIVE, -1, None, attribute, value)
        return Decision(reason, variant, at, attribute, value)

    def leaf(self, subject: Subject) -> int:
        """The bandit's leaf whose context the subject is in; -1: none."""
        try:
            tests = enumerate(self._leaf_tests)
            return next((n for n, test in tests if test(subject.attributes)), -1)
        except (TypeError, ValueError, RecursionError):
            return -1

    def _before_the_unit(self, subject: Subject) -> Decision | None:
        rule = self.rule
        if rule.count < 2 or not subject.enabled:
            return Decision(Reason.INACTIVE, attribute=rule.hash_attribute)
        if subject.forced or subject.url:
            forced = forced_variant(rule.key, subject.url, rule.count)
            if forced is None:
                forced = subject.forced.get(rule.key)
            if forced is not None:
                return Decision(Reason.FORCED, forced, attribute=rule.hash_attribute)
        if not rule.active:
            return Decision(Reason.INACTIVE, attribute=rule.hash_attribute)
        if subject.now < rule.starts_at:
            return Decision(Reason.NOT_STARTED, attribute=rule.hash_attribute)
        return None

    def _stored(self, subject: Subject) -> tuple[int, bool]:
        """The stored variant, -1 for none, and whether an old version shuts out."""
        rule = self.rule
        assert subject.stored is not None  # noqa: S101 # asked for
        known = subject.stored(rule.hash_attribute, rule.fallback_attribute)
        for version in range(rule.min_bucket_version):
            if f"{rule.key}__{version}" in known:
                return -1, True
        name = known.get(f"{rule.key}__{rule.bucket_version}")
        if name is None or name not in rule.names:
            return -1, False
        return rule.names.index(name), False


class Rollout:
    """A share of units that gets a value by force; no experiment, no exposure.

    Args:
        bounds: Half-open share of buckets; it wins over ``coverage``.
        coverage: Closed share from 0 on, none for 0; None: everybody.
    """

    __slots__ = (
        "_attribute",
        "_bounds",
        "_coverage",
        "_number_of",
        "_seed",
        "_version",
    )

    def __init__(
        self,
        seed: str,
        *,
        attribute: str = "id",
        version: int = 1,
        bounds: Range | None = None,
        coverage: float | None = None,
    ) -> None:
        self._seed, self._attribute, self._version = seed, attribute, version
        self._bounds, self._coverage = bounds, coverage
        self._number_of = bucketer(seed, version)

    def includes(self, subject: Subject, fallback: str = "") -> bool:
        """Whether the subject's bucket is inside."""
        if self._bounds is None and self._coverage is None:
            return True
        if self._bounds is None and self._coverage == 0:
            return False
        _, value = subject.unit(self._attribute, fallback)
        if value == "" or self._number_of is None:
            return False
        number = subject.bucket(
            self._seed, self._version, js.text(value), self._number_of
        )
        at = number / slots(self._version)
        if self._bounds is not None:
            return self._bounds[0] <= at < self._bounds[1]
        return self._coverage is not None and at <= self._coverage


def compile_filter(rule: Filter) -> Passes:
    """Whether a subject's bucket of the filter's seed lies in its ranges."""
    number_of = bucketer(rule.seed, rule.hash_version)
    partition = Partition(rule.ranges, rule.hash_version)

    def check(subject: Subject, value: Json) -> Reason | None:
        if rule.attribute is not None:
            _, value = subject.unit(rule.attribute)
        if value == "" or number_of is None:
            return rule.reason
        number = subject.bucket(rule.seed, rule.hash_version, js.text(value), number_of)
        return rule.reason if partition.owner(number) < 0 else None

    return check


def compile_prerequisite(rule: Prerequisite, groups: Groups) -> Passes:
    """Whether another key answers a subject as it must."""
    test = conditions.compile_condition(rule.condition, groups)

    def check(subject: Subject, _: Json) -> Reason | None:
        found = subject.evaluate(rule.key, subject)
        if isinstance(found, Cyclic):
            return Reason.CYCLIC_PREREQUISITE
        return None if test({"value": found}) else Reason.PREREQUISITE

    return check


def _checks(rule: SplitRule, groups: Groups) -> tuple[Passes, ...]:
    """What a stored variant spares a subject, in order."""
    checks = [compile_filter(each) for each in rule.filters]
    if rule.condition is not None:
        checks.append(_audience(conditions.compile_condition(rule.condition, groups)))
    checks += [compile_prerequisite(each, groups) for each in rule.prerequisites]
    if rule.groups is not None:
        wanted = rule.groups

        def in_a_group(subject: Subject, _: Json) -> Reason | None:
            found = any(subject.groups.get(name) for name in wanted)
            return None if found else Reason.NOT_IN_AUDIENCE

        checks.append(in_a_group)
    return tuple(checks)


def _audience(test: Test) -> Passes:
    def check(subject: Subject, _: Json) -> Reason | None:
        return None if test(subject.attributes) else Reason.NOT_IN_AUDIENCE

    return check
