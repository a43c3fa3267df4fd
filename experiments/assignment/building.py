"""Compile what runs now into a plan: few queries, no state changed."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from itertools import groupby

import msgspec
from django.db.models import Prefetch, Q

from experiments.assignment import eligibility
from experiments.assignment.bucketing import bucket_ranges
from experiments.assignment.plan import (
    ExperimentPlan,
    PlacementPlan,
    Plan,
    VariantPlan,
    VersionPlan,
)
from experiments.design.lifecycle import Status
from experiments.design.models import Experiment, Holdout, Phase, Placement
from experiments.events.models import Item
from experiments.gateway.keys import Key
from experiments.gateway.models import ApiKey
from models_registry.models import Alias, Version

CHAMPION = "champion"
FALLBACK_KIND = "popularity"


def build_plan(now: datetime) -> Plan:
    """The plan of this moment, from PostgreSQL.

    Args:
        now: Decides which items are not yet available; also the plan's age.
    """
    champions = {
        alias.model_id: alias.version
        for alias in Alias.objects.filter(name=CHAMPION).select_related(
            "version__model"
        )
    }
    fallbacks = _newest_popularity()
    versions: dict[int, Version] = {
        version.pk: version for version in [*champions.values(), *fallbacks.values()]
    }
    placements = {}
    running = _rules_by_placement()
    holdouts = tuple(Holdout.objects.all())
    for placement in Placement.objects.all():
        champion = champions.get(placement.default_model_id or 0)
        rules = running.get(placement.pk, [])
        placements[placement.key] = _placement(placement, champion, rules, holdouts)
        for rule in rules:
            for variant in rule.variants.all():
                if variant.version is not None:
                    versions[variant.version.pk] = variant.version
    plan = Plan(
        revision="",
        built_at=0.0,
        placements=placements,
        keys=_keys(now),
        versions={pk: _version(version) for pk, version in versions.items()},
        fallback_version_ids={name: v.pk for name, v in fallbacks.items()},
        items_out=frozenset(
            Item.objects.filter(
                Q(in_stock=False) | Q(available_from__gt=now)
            ).values_list("item_id", flat=True)
        ),
    )
    return msgspec.structs.replace(
        plan, revision=_revision(plan), built_at=now.timestamp()
    )


def _revision(plan: Plan) -> str:
    """A hash of the content that does not depend on the order of dicts and sets."""
    mappings = (
        plan.placements,
        plan.keys,
        {str(pk): version for pk, version in plan.versions.items()},
        plan.fallback_version_ids,
    )
    content = msgspec.json.encode((mappings, plan.items_out), order="deterministic")
    return blake2b(content, digest_size=8).hexdigest()


def _rules_by_placement() -> Mapping[int, list[Experiment]]:
    """Each placement's experiments: running ones by priority, then stopped ones.

    A stopped experiment never keeps a running one from its shoppers; of the stopped,
    the newest comes first.
    """
    experiments = (
        Experiment.objects.filter(
            status__in=(Status.RUNNING, Status.CONCLUDED, Status.SHIPPED)
        )
        .select_related("outcome__version")
        .prefetch_related(
            "variants__version__model",
            "memberships__layer",
            "memberships__segments",
            "prerequisites__placement",
            "forced__variant",
            Prefetch("phases", Phase.objects.prefetch_related("epochs")),
        )
    )

    def order(experiment: Experiment) -> tuple[int, bool, float, int]:
        if experiment.status == Status.RUNNING:
            rank = float(experiment.priority)
        else:
            rank = -experiment.ended_at.timestamp() if experiment.ended_at else 0.0
        stopped = experiment.status != Status.RUNNING
        return experiment.placement_id, stopped, rank, experiment.pk

    listed = sorted(experiments, key=order)
    return {
        placement: list(rules)
        for placement, rules in groupby(listed, key=lambda e: e.placement_id)
    }


def _placement(
    placement: Placement,
    champion: Version | None,
    rules: Iterable[Experiment],
    holdouts: Iterable[Holdout],
) -> PlacementPlan:
    payload = None
    if placement.default_model_id is None:
        payload = json.dumps(placement.default_value)
    without_rules = PlacementPlan(
        key=placement.key,
        value_type=placement.value_type,
        default_version_id=champion.pk if champion else None,
        default_payload=payload,
        list_size=placement.list_size,
        exclude_seen=placement.exclude_seen,
    )
    compiled = (_experiment(rule, without_rules, holdouts) for rule in rules)
    return msgspec.structs.replace(
        without_rules, experiments=tuple(rule for rule in compiled if rule is not None)
    )


def _experiment(
    experiment: Experiment, placement: PlacementPlan, holdouts: Iterable[Holdout]
) -> ExperimentPlan | None:
    phases = list(experiment.phases.all())  # newest first
    if not phases:
        return None
    phase = phases[0]
    epochs = list(phase.epochs.all())  # newest first
    coverage = epochs[0].coverage if epochs else experiment.coverage
    variants = _variants(experiment, phase, coverage)
    control = next((v.key for v in experiment.variants.all() if v.is_control), "")
    return ExperimentPlan(
        id=experiment.pk,
        key=experiment.key,
        status=experiment.status,
        phase=phase.number,
        epoch=epochs[0].number if epochs else 1,
        seed=phase.seed,
        coverage=coverage,
        control=control,
        variants=variants,
        exposure=experiment.exposure_source,
        condition=json.dumps(phase.audience) if phase.audience else "",
        started_at=phase.started_at.timestamp(),
        outcome=_outcome(experiment, variants, placement),
        filters=eligibility.filters(experiment, holdouts, phases[-1].started_at),
        prerequisites=eligibility.prerequisites(experiment),
        forced=eligibility.forced(experiment),
        disable_sticky=not experiment.sticky,
        bucket_version=experiment.bucket_version,
        min_bucket_version=experiment.bucket_version,
    )


def _variants(
    experiment: Experiment, phase: Phase, coverage: float
) -> tuple[VariantPlan, ...]:
    rows = list(experiment.variants.all())
    weights = [float(phase.weights.get(row.key, row.weight)) for row in rows]
    total = sum(weights) or 1.0
    ranges = bucket_ranges(len(rows), coverage, weights)
    return tuple(
        VariantPlan(
            key=row.key,
            start=start,
            end=end,
            weight=weight / total,
            version_id=row.version_id,
            payload=None if row.payload is None else json.dumps(row.payload),
        )
        for row, weight, (start, end) in zip(rows, weights, ranges, strict=True)
    )


def _outcome(
    experiment: Experiment, variants: Iterable[VariantPlan], placement: PlacementPlan
) -> str | None:
    """The variant a stopped experiment still answers with.

    Shipping makes the outcome the placement's default. Where the default is another
    by now, a newer decision was made, and it stands: None, the next rule decides.
    """
    if experiment.status == Status.RUNNING or experiment.outcome is None:
        return None
    default = (placement.default_version_id, placement.default_payload)
    for variant in variants:
        if variant.key == experiment.outcome.key:
            value = (variant.version_id, variant.payload)
            return variant.key if value == default else None
    return None


def _newest_popularity() -> dict[str, Version]:
    newest = (
        Version.objects.filter(kind=FALLBACK_KIND)
        .order_by("model_id", "-number")
        .distinct("model_id")
        .select_related("model")
    )
    return {version.model.name: version for version in newest}


def _version(version: Version) -> VersionPlan:
    return VersionPlan(
        id=version.pk,
        model=version.model.name,
        number=version.number,
        kind=version.kind,
        artifact_digest=version.artifact_digest,
    )


def _keys(now: datetime) -> dict[str, Key]:
    live = ApiKey.objects.filter(revoked_at=None).filter(
        Q(expires_at=None) | Q(expires_at__gt=now)
    )
    return {
        row.digest: Key(
            id=row.pk,
            digest=row.digest,
            kind=row.kind,
            label=row.label,
            scopes=tuple(row.scopes),
            origins=tuple(row.origins),
            event_names=tuple(row.event_names),
            rate_per_minute=row.rate_per_minute,
            expires_at=row.expires_at.timestamp() if row.expires_at else 0.0,
            remote_only=row.remote_only,
        )
        for row in live
    }
