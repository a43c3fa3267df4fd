"""Why a unit got what it got: every rule and every check of it, in words (pure).

The walk is the evaluator's own; this says it as data with sentences, for the API and
the page.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from experiments.assignment import conditions
from experiments.assignment import javascript as js
from experiments.assignment.answers import Assignment, Reason, Step, UnitContext
from experiments.assignment.bucketing import bucket_of_version
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.javascript import Json
from experiments.assignment.plan import ExperimentPlan

ORDER = (
    "forced",
    "stopped",
    "started",
    "earlier",
    "share",
    "audience",
    "prerequisites",
    "split",
)
"""The checks of a rule, in the order they are made."""
_STOPS_AT = {
    Reason.FORCED: "forced",
    Reason.STOPPED: "stopped",
    Reason.BROKEN_RULE: "stopped",
    Reason.NOT_STARTED: "started",
    Reason.STICKY: "earlier",
    Reason.STICKY_BLOCKED: "earlier",
    Reason.HOLDOUT: "share",
    Reason.NOT_IN_LAYER: "share",
    Reason.NOT_IN_AUDIENCE: "audience",
    Reason.PREREQUISITE: "prerequisites",
    Reason.CYCLIC_PREREQUISITE: "prerequisites",
}
_WORDS = {
    "$eq": "is",
    "$ne": "is not",
    "$lt": "is below",
    "$lte": "is at most",
    "$gt": "is above",
    "$gte": "is at least",
    "$in": "is one of",
    "$nin": "is none of",
    "$regex": "matches",
    "$exists": "is known:",
    "$veq": "is version",
    "$vgt": "is above version",
    "$vgte": "is at least version",
    "$vlt": "is below version",
    "$vlte": "is at most version",
}


class Clause(msgspec.Struct, frozen=True):
    """One condition of an audience, and what the unit has."""

    condition: str
    value: str
    holds: bool


class Range(msgspec.Struct, frozen=True):
    """A variant's half-open range of buckets, 0 to 1."""

    variant: str
    start: float
    end: float


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check of a rule.

    Attributes:
        state: ``passed``, ``decided`` (it gave the variant), ``refused`` (it passed the
            unit on to the next rule).
        formula: How to compute the bucket oneself.
    """

    kind: str
    state: str
    title: str
    sentence: str
    clauses: tuple[Clause, ...] = ()
    ranges: tuple[Range, ...] = ()
    bucket: float | None = None
    formula: str = ""


class RuleWalk(msgspec.Struct, frozen=True):
    """What one experiment did with the unit; the checks it came to."""

    experiment: str
    reason: str
    decided: bool
    checks: tuple[Check, ...]


class Explanation(msgspec.Struct, frozen=True):
    """A unit walked through every rule of a placement.

    Attributes:
        headline: The answer, as a sentence.
        sentence: Why.
        value: As clients get it.
        probability: Chance of this variant among the experiment's units, 0 to 1.
        rules: Until one decided.
        elsewhere: What the unit gets at other placements: placement, experiment,
            variant and reason.
    """

    unit_id: str
    placement: str
    plan_revision: str
    plan_built_at: float
    headline: str
    sentence: str
    experiment: str | None
    phase: int
    epoch: int
    variant: str | None
    reason: str
    probability: float
    value: Json
    rules: tuple[RuleWalk, ...]
    elsewhere: tuple[dict[str, str | None], ...]


class _Case(NamedTuple):
    """One rule and one unit."""

    rule: ExperimentPlan
    step: Step
    context: UnitContext
    attributes: Mapping[str, Json]
    groups: conditions.Groups


def explain(
    compiled: CompiledPlan, placement_key: str, context: UnitContext
) -> Explanation:
    """Walk a unit through a placement's rules.

    Raises:
        UnknownPlacementError: The plan has no such placement.
    """
    answer, steps = compiled.explain(placement_key, context)
    placement = compiled.plan.placements[placement_key]
    by_key = {rule.key: rule for rule in placement.experiments}
    attributes = {**context.attributes, "id": context.unit_id}
    groups: conditions.Groups = compiled.plan.saved_groups
    walks = tuple(
        _walk(_Case(by_key[step.experiment], step, context, attributes, groups), answer)
        for step in steps
        if step.experiment in by_key
    )
    headline, sentence = _verdict(answer, by_key.get(answer.experiment or ""))
    return Explanation(
        unit_id=context.unit_id,
        placement=placement_key,
        plan_revision=compiled.plan.revision,
        plan_built_at=compiled.plan.built_at,
        headline=headline,
        sentence=sentence,
        experiment=answer.experiment,
        phase=answer.phase,
        epoch=answer.epoch,
        variant=answer.variant,
        reason=answer.reason.value,
        probability=answer.probability,
        value=compiled.value(answer),
        rules=walks,
        elsewhere=tuple(
            {
                "placement": other.placement,
                "experiment": other.experiment,
                "variant": other.variant,
                "reason": other.reason.value,
            }
            for other in compiled.assign_all(context)
            if other.placement != placement_key
        ),
    )


def letter(rule: ExperimentPlan, variant: str | None) -> str:
    """A, B, C, ... of a variant by its position; empty when it has none."""
    for index, each in enumerate(rule.variants):
        if each.key == variant:
            return chr(ord("A") + index)
    return ""


def _verdict(answer: Assignment, rule: ExperimentPlan | None) -> tuple[str, str]:
    if rule is None:
        why = "No experiment decides for this shopper here."
        if answer.reason is Reason.DEFAULT:
            why = "No experiment runs here."
        return "The default", f"{why} Everybody whom no rule decides for gets it."
    name = f"{letter(rule, answer.variant)}, {answer.variant}"
    if answer.reason is Reason.SPLIT:
        where = "" if answer.bucket is None else f"dealt {answer.bucket:.4f} of 1"
        why = (
            f"The shopper matched {rule.key} and was {where}, which falls in "
            f"{answer.variant}'s range. The same shopper gets it on every device while "
            "the experiment's phase lasts."
        )
        return f"{name}: by chance", why
    return {
        Reason.FORCED: (f"{name}: by name", "A QA list or a signed link names it."),
        Reason.STICKY: (
            f"{name}: as before",
            "The shopper keeps what was given first.",
        ),
        Reason.STOPPED: (
            f"{name}: for everybody",
            f"{rule.key} is over, and this is its outcome.",
        ),
    }.get(answer.reason, (name, f"The rule says {answer.reason.value}."))


def _walk(case: _Case, answer: Assignment) -> RuleWalk:
    last = _STOPS_AT.get(case.step.reason, "split")
    decided = answer.experiment == case.rule.key
    checks = []
    for kind in ORDER[: ORDER.index(last) + 1]:
        state = "passed"
        if kind == last:
            state = "decided" if decided else "refused"
        checks.append(_CHECKS[kind](case, state))
    return RuleWalk(case.rule.key, case.step.reason.value, decided, tuple(checks))


def _forced(case: _Case, state: str) -> Check:
    said = "On no QA list, and no signed link"
    if state == "decided":
        said = f"A QA list or a signed link names {case.step.variant}"
    return Check("forced", state, "Forced variant", said)


def _stopped(case: _Case, state: str) -> Check:
    if case.step.reason is Reason.BROKEN_RULE:
        said = "The rule itself is wrong and is passed over; see the experiment's page"
        return Check("stopped", state, "The rule can be read", said)
    said = {
        "passed": f"Running, phase {case.rule.phase}",
        "decided": f"Over; everybody gets {case.step.variant}",
        "refused": "Over, without a variant of its own any more: the next rule decides",
    }[state]
    return Check("stopped", state, "Experiment stopped", said)


def _started(case: _Case, state: str) -> Check:
    since = datetime.fromtimestamp(case.rule.started_at, UTC)
    moment = f"{since:%Y-%m-%d, %H:%M} UTC"
    said = f"Since {moment}" if state == "passed" else f"Not before {moment}"
    return Check("started", state, "Phase begun", said)


def _earlier(case: _Case, state: str) -> Check:
    said = {
        "passed": "None stored"
        if not case.rule.disable_sticky
        else "Not kept: the split alone decides, and always the same",
        "decided": f"{case.step.variant} was stored and is kept",
        "refused": "A variant of a version now shut out was stored",
    }[state]
    return Check("earlier", state, "Earlier assignment", said)


def _share(case: _Case, state: str) -> Check:
    said = []
    for one in case.rule.filters:
        at = bucket_of_version(one.seed, _unit(case, one.attribute), one.hash_version)
        owned = ", ".join(f"{start:.4f} to {end:.4f}" for start, end in one.ranges)
        kind = "outside the holdout" if one.holdout else "this experiment's"
        shown = "none" if at is None else f"{at:.4f}"
        said.append(f"{one.seed}: bucket {shown}; {kind} {owned or 'nothing'}")
    text = "; ".join(said) or "It shares its shoppers with no other experiment"
    return Check("share", state, "Layers and holdouts", text)


def _audience(case: _Case, state: str) -> Check:
    clauses = tuple(_clauses(case))
    said = (
        "Everybody" if not clauses else "Matches" if state == "passed" else "Does not"
    )
    return Check("audience", state, "Audience", said, clauses=clauses)


def _prerequisites(case: _Case, state: str) -> Check:
    said = "; ".join(
        f"{one.placement} must answer {one.condition}"
        for one in case.rule.prerequisites
    )
    if case.step.reason is Reason.CYCLIC_PREREQUISITE:
        said = f"They lead back here: {said}"
    return Check("prerequisites", state, "Prerequisites", said or "None")


def _split(case: _Case, state: str) -> Check:
    rule, at = case.rule, case.step.bucket
    ranges = tuple(Range(v.key, v.start, v.end) for v in rule.variants)
    title, said = "Dealt", f"Coverage is {rule.coverage:.0%} of the audience"
    if case.step.reason is Reason.NO_UNIT:
        said = f"The attribute {rule.hash_attribute!r} to split by is missing or empty"
    elif case.step.reason is Reason.WITHDRAWN:
        said = (
            "The variant was withdrawn for harm, and this plan is too old to serve it"
        )
    elif at is not None:
        title = f"Dealt {at:.4f}"
        got = case.step.variant
        said = f"In {got}'s range" if got else f"In no variant's range. {said}"
    formula = "" if at is None else _formula(rule, _unit(case, rule.hash_attribute), at)
    return Check("split", state, title, said, ranges=ranges, bucket=at, formula=formula)


_CHECKS = {
    "forced": _forced,
    "stopped": _stopped,
    "started": _started,
    "earlier": _earlier,
    "share": _share,
    "audience": _audience,
    "prerequisites": _prerequisites,
    "split": _split,
}


def _unit(case: _Case, attribute: str) -> str:
    value = case.attributes.get(attribute)
    return js.text(value) if value else ""


def _formula(rule: ExperimentPlan, unit: str, at: float) -> str:
    seed, shown = json.dumps(rule.seed), json.dumps(unit)
    if rule.hash_version == 1:
        return f"fnv1a32({shown} + {seed}) % 1000 / 1000\n= {at:.4f}"
    return f"fnv1a32(str(fnv1a32({seed} + {shown}))) % 10000 / 10000\n= {at:.4f}"


def _clauses(case: _Case) -> Iterator[Clause]:
    try:
        condition = msgspec.json.decode(case.rule.condition or "{}")
    except msgspec.DecodeError:
        return
    for name, wanted in condition.items() if isinstance(condition, dict) else ():
        holds = conditions.matches({name: wanted}, case.attributes, case.groups)
        if name.startswith("$"):
            yield Clause(f"{name} {_shown(wanted)}", "", holds)
        else:
            yield Clause(_described(name, wanted), _value(case, name), holds)


def _described(name: str, wanted: Json) -> str:
    if isinstance(wanted, Mapping) and wanted and all(k in _WORDS for k in wanted):
        parts = (f"{_WORDS[k]} {_shown(v)}" for k, v in wanted.items())
        return f"{name} {' and '.join(parts)}"
    if isinstance(wanted, Mapping):
        return f"{name} {_shown(wanted)}"
    return f"{name} is {_shown(wanted)}"


def _value(case: _Case, path: str) -> str:
    found: Json = case.attributes
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return "not known" if found is None else _shown(found)


def _shown(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False, default=str)
