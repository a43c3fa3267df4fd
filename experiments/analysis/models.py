"""Immutable results of looks at the log."""

from django.db import models

from experiments.design.models import Experiment, Phase
from models_registry.models import Job


class Report(models.Model):
    """One look at an experiment; written once, never edited.

    Attributes:
        look: Which planned look (1, 2, ...); 0: between looks.
        as_of: Events up to this moment (of the experiment's clock) were read.
        batches: Shard -> last batch read, so that it recomputes from the same rows.
        content: ``experiments.analysis.results.ReportContent`` as JSON.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="reports"
    )
    phase = models.ForeignKey(Phase, on_delete=models.PROTECT, related_name="+")
    job = models.ForeignKey(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    number = models.PositiveIntegerField()
    look = models.PositiveIntegerField(default=0)
    as_of = models.DateTimeField()
    batches = models.JSONField(default=dict)
    content = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("experiment", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("experiment", "number"), name="one_report_per_number"
            ),
        )

    def __str__(self) -> str:
        return f"{self.experiment} report {self.number}"
