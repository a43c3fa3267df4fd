"""Metrics as the shop defines them, in immutable versions."""

from django.db import models

from models_registry.models import KEY_VALIDATOR


class Metric(models.Model):
    """A named definition; reports name the version they used."""

    key = models.CharField(max_length=100, unique=True, validators=[KEY_VALIDATOR])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("key",)

    def __str__(self) -> str:
        return self.name


class MetricVersion(models.Model):
    """One wording of a metric; never edited, only followed by the next.

    Attributes:
        definition: See ``experiments.metrics.definitions.MetricDefinition``.
    """

    metric = models.ForeignKey(
        Metric, on_delete=models.CASCADE, related_name="versions"
    )
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("metric", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("metric", "number"), name="one_metric_version_per_number"
            ),
        )

    def __str__(self) -> str:
        return f"{self.metric.key} v{self.number}"
