"""Create experiments as drafts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction

from experiments.design.models import (
    Experiment,
    ExperimentMetric,
    ExposureSource,
    Layer,
    LayerMembership,
    Placement,
    Prerequisite,
    Variant,
)
from experiments.design.services.changes import record_change
from experiments.design.services.prerequisites import check_prerequisites
from experiments.metrics.models import Metric
from models_registry.errors import ConflictError
from models_registry.models import Version


@dataclass(frozen=True)
class VariantSpec:
    """A variant to create; the first of an experiment is its control."""

    key: str
    weight: float
    version: Version | None = None
    payload: object = None
    name: str = ""


@dataclass(frozen=True)
class MetricSpec:
    """A metric of an experiment and what it is for."""

    metric: Metric
    role: str
    margin: float = 0.05
    margin_scale: str = "relative"


@dataclass(frozen=True)
class PrerequisiteSpec:
    """What another placement must answer before a unit may take part."""

    placement: Placement
    condition: Mapping[str, object]
    gate: bool = False


@dataclass(frozen=True)
class ExperimentSpec:
    """All that a new experiment needs.

    Attributes:
        layers: Layers and the whole percent of their units it asks for.
    """

    key: str
    name: str
    placement: Placement
    variants: Sequence[VariantSpec]
    metrics: Sequence[MetricSpec]
    hypothesis: str = ""
    planned_days: int = 14
    looks: int = 2
    alpha: float = 0.05
    coverage: float = 1.0
    audience: Mapping[str, object] = field(default_factory=dict)
    exposure_source: str = ExposureSource.SERVER
    minimum_effect: float = 0.0
    tags: Sequence[str] = ()
    sticky: bool = False
    layers: Sequence[tuple[Layer, int]] = ()
    prerequisites: Sequence[PrerequisiteSpec] = ()


@transaction.atomic
def create_experiment(spec: ExperimentSpec, *, by: User | None) -> Experiment:
    """Create a draft with its variants and metrics.

    Raises:
        ConflictError: The key is taken.
        InvalidError: A value breaks a rule of the schema.
    """
    if Experiment.objects.filter(key=spec.key).exists():
        raise ConflictError(
            f"The experiment key {spec.key!r} is taken; choose another one."
        )
    experiment = Experiment(
        key=spec.key,
        name=spec.name,
        placement=spec.placement,
        hypothesis=spec.hypothesis,
        planned_days=spec.planned_days,
        looks=spec.looks,
        alpha=spec.alpha,
        coverage=spec.coverage,
        audience=dict(spec.audience),
        exposure_source=spec.exposure_source,
        minimum_effect=spec.minimum_effect,
        tags=list(spec.tags),
        sticky=spec.sticky,
        owner=by,
    )
    experiment.full_clean()
    experiment.save()
    _add_variants(experiment, spec.variants)
    _add_metrics(experiment, spec.metrics)
    _add_conditions(experiment, spec)
    record_change(experiment, action="create", summary="Created", by=by)
    return experiment


def _add_variants(experiment: Experiment, variants: Sequence[VariantSpec]) -> None:
    for position, variant in enumerate(variants):
        row = Variant(
            experiment=experiment,
            key=variant.key,
            name=variant.name,
            position=position,
            is_control=position == 0,
            weight=variant.weight,
            version=variant.version,
            payload=variant.payload,
        )
        row.full_clean()
        row.save()


def _add_metrics(experiment: Experiment, metrics: Sequence[MetricSpec]) -> None:
    for position, metric in enumerate(metrics):
        entry = ExperimentMetric(
            experiment=experiment,
            metric=metric.metric,
            role=metric.role,
            margin=metric.margin,
            margin_scale=metric.margin_scale,
            position=position,
        )
        entry.full_clean()
        entry.save()


def _add_conditions(experiment: Experiment, spec: ExperimentSpec) -> None:
    """Layers and prerequisites."""
    check_prerequisites(
        experiment, [(asked.placement, asked.condition) for asked in spec.prerequisites]
    )
    for layer, share in spec.layers:
        membership = LayerMembership(experiment=experiment, layer=layer, share=share)
        membership.full_clean()
        membership.save()
    for asked in spec.prerequisites:
        row = Prerequisite(
            experiment=experiment,
            placement=asked.placement,
            condition=dict(asked.condition),
            gate=asked.gate,
        )
        row.full_clean()
        row.save()
