"""Small, complete objects for tests; each call makes what it needs once."""

from collections.abc import Mapping

from experiments.design.models import Placement
from experiments.design.services import ExperimentSpec, MetricSpec, VariantSpec
from experiments.metrics.models import Metric, MetricVersion
from models_registry.models import Alias, Model, Version

PRIMARY = "recommended_click_share"


def model(name: str = "home") -> Model:
    """A registered model without versions."""
    return Model.objects.get_or_create(name=name)[0]


def version(number: int = 1, *, kind: str = "popularity", of: str = "home") -> Version:
    """An immutable version; the first one becomes champion."""
    made, _ = Version.objects.get_or_create(
        model=model(of),
        number=number,
        defaults={"kind": kind, "artifact_digest": f"{number:064x}"},
    )
    Alias.objects.get_or_create(
        model=made.model, name="champion", defaults={"version": made}
    )
    return made


def placement(key: str = "home") -> Placement:
    """A placement that shows the model ``home``."""
    return Placement.objects.get_or_create(
        key=key, defaults={"name": key.title(), "default_model": version().model}
    )[0]


def metric(key: str = PRIMARY) -> Metric:
    """A conversion metric with one version."""
    made, _ = Metric.objects.get_or_create(key=key, defaults={"name": key})
    MetricVersion.objects.get_or_create(
        metric=made,
        number=1,
        defaults={"definition": {"kind": "conversion", "events": ["click"]}},
    )
    return made


def experiment_spec(
    key: str = "home-page-recommender",
    *,
    weights: tuple[float, ...] = (0.5, 0.5),
    coverage: float = 1.0,
    audience: Mapping[str, object] | None = None,
) -> ExperimentSpec:
    """A complete experiment: control and treatments on the placement ``home``."""
    names = ("control", "treatment", *(f"treatment-{i}" for i in range(2, 9)))
    return ExperimentSpec(
        key=key,
        name="Home-page recommender",
        placement=placement(),
        variants=[
            VariantSpec(key=names[i], weight=weight, version=version(i + 1))
            for i, weight in enumerate(weights)
        ],
        metrics=[MetricSpec(metric=metric(), role="primary")],
        coverage=coverage,
        audience=audience or {},
    )
