"""Metrics are made once and followed by versions, never edited."""

from django.db import transaction
from django.db.models import Max

from experiments.metrics.definitions import (
    DefinitionError,
    MetricDefinition,
    check,
    to_data,
)
from experiments.metrics.models import Metric, MetricVersion
from experiments.metrics.presets import PRESETS
from models_registry.errors import InvalidError


@transaction.atomic
def ensure_metric(
    key: str,
    *,
    name: str | None = None,
    description: str | None = None,
    definition: MetricDefinition | None = None,
) -> Metric:
    """Return the metric with this definition as its latest version.

    What is not given comes from the preset of that key. An unchanged definition makes
    no new version; name and description may change without one.

    Raises:
        InvalidError: The definition is wrong, or neither given nor a preset's.
    """
    preset = PRESETS.get(key)
    definition = definition or (preset.definition if preset else None)
    if definition is None:
        raise InvalidError(
            f"{key!r} is no preset ({', '.join(PRESETS)}); give its definition."
        )
    try:
        check(definition)
    except DefinitionError as error:
        raise InvalidError(f"Metric {key}: {error}") from error
    metric, _ = Metric.objects.get_or_create(
        key=key,
        defaults={
            "name": name or (preset.name if preset else key),
            "description": description or (preset.description if preset else ""),
        },
    )
    metric = Metric.objects.select_for_update().get(pk=metric.pk)
    _rename(metric, name, description)
    add_version(metric, definition)
    return metric


@transaction.atomic
def add_version(metric: Metric, definition: MetricDefinition) -> MetricVersion:
    """Return the version with this definition, made unless it is the latest."""
    Metric.objects.select_for_update().get(pk=metric.pk)
    latest = metric.versions.order_by("-number").first()
    data = to_data(definition)
    if latest is not None and latest.definition == data:
        return latest
    number = metric.versions.aggregate(last=Max("number"))["last"] or 0
    return MetricVersion.objects.create(
        metric=metric, number=number + 1, definition=data
    )


def _rename(metric: Metric, name: str | None, description: str | None) -> None:
    changed = []
    if name is not None and name != metric.name:
        metric.name = name
        changed.append("name")
    if description is not None and description != metric.description:
        metric.description = description
        changed.append("description")
    if changed:
        metric.save(update_fields=changed)
