"""What an edit would do to the shoppers seen lately."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import msgspec
from django.conf import settings
from django.utils import timezone
from redis import Redis

from experiments.assignment import conditions
from experiments.assignment.bucketing import bucket_ranges
from experiments.assignment.building import build_plan
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.moves import Moves, Shopper, moves
from experiments.assignment.plan import ExperimentPlan, Plan
from experiments.assignment.reservoir import CAPACITY, Cipher, recent
from experiments.design.models import Experiment
from experiments.design.services import Mode, audience_finding
from models_registry.errors import InvalidError


@dataclass(frozen=True)
class Audience:
    """How many of the shoppers seen lately a condition matches."""

    looked_at: int
    matching: int


def shoppers_seen_lately(most: int = CAPACITY) -> list[Shopper]:
    """Units of the last 7 days, newest first."""
    with Redis.from_url(settings.REDIS_URL) as redis:
        now = timezone.now().timestamp()
        return list(islice(recent(redis, Cipher(settings.UNIT_KEY), now=now), most))


def preview_audience(condition: Mapping[str, object]) -> Audience:
    """How many recent shoppers an audience would let in.

    Raises:
        InvalidError: The condition cannot be read.
    """
    finding = audience_finding(condition)
    if not finding.ok:
        raise InvalidError(finding.sentence)
    matches = conditions.compile_text(json.dumps(condition))
    seen = shoppers_seen_lately()
    inside = sum(matches({**s.attributes, "id": s.unit_id}) for s in seen)
    return Audience(len(seen), inside)


def preview_split(
    experiment: Experiment,
    *,
    weights: Mapping[str, float] | None = None,
    audience: Mapping[str, object] | None = None,
    coverage: float | None = None,
    mode: str = Mode.CONTINUE,
) -> Moves:
    """How many recent shoppers an edit of a running experiment would move.

    Raises:
        InvalidError: The experiment does not run, or the edit is wrong.
    """
    now = timezone.now()
    plan = build_plan(now)
    placement = plan.placements[experiment.placement.key]
    rules = {rule.key: rule for rule in placement.experiments}
    rule = rules.get(experiment.key)
    if rule is None or rule.status != "running":
        raise InvalidError(
            f"{experiment.key} does not run: nobody is inside, so an edit of it moves "
            "nobody."
        )
    edited = _edited(rule, weights, audience, coverage, mode)
    replaced = tuple(
        edited if each.key == rule.key else each for each in placement.experiments
    )
    after: Plan = msgspec.structs.replace(
        plan,
        placements={
            **plan.placements,
            placement.key: msgspec.structs.replace(placement, experiments=replaced),
        },
    )
    return moves(
        experiment.key,
        placement.key,
        CompiledPlan(plan),
        CompiledPlan(after),
        shoppers_seen_lately(),
        now=now.timestamp(),
    )


def _edited(
    rule: ExperimentPlan,
    weights: Mapping[str, float] | None,
    audience: Mapping[str, object] | None,
    coverage: float | None,
    mode: str,
) -> ExperimentPlan:
    """The rule as the edit would compile it."""
    given = weights or {}
    shares = [float(given.get(v.key, v.weight)) for v in rule.variants]
    wanted = rule.coverage if coverage is None else coverage
    ranges = bucket_ranges(len(shares), wanted, shares)
    anew = mode == Mode.RERANDOMISE
    condition = rule.condition
    if audience is not None:
        condition = json.dumps(audience) if audience else ""
    variants = tuple(
        msgspec.structs.replace(variant, weight=share, start=start, end=end)
        for variant, share, (start, end) in zip(
            rule.variants, shares, ranges, strict=True
        )
    )
    edited: ExperimentPlan = msgspec.structs.replace(
        rule,
        coverage=wanted,
        condition=condition,
        variants=variants,
        phase=rule.phase + anew,
        seed=f"{rule.key}-{rule.phase + 1}" if anew else rule.seed,
        bucket_version=rule.bucket_version + anew,
        min_bucket_version=rule.min_bucket_version + anew,
    )
    return edited
