"""What an experiment went through: phases, epochs, changes."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from experiments.design.models.experiment import Experiment


class Phase(models.Model):
    """A stretch of an experiment with the same seed, weights and audience.

    Attributes:
        seed: Hash seed; immutable, so that nobody is dealt anew by accident.
        weights: Variant key -> share, frozen when the phase opened.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="phases"
    )
    number = models.PositiveIntegerField()
    seed = models.CharField(max_length=100)
    weights = models.JSONField()
    audience = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("experiment", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("experiment", "number"), name="one_phase_per_number"
            ),
        )

    def __str__(self) -> str:
        return f"{self.experiment} phase {self.number}"


class Epoch(models.Model):
    """A stretch of a phase with the same coverage."""

    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="epochs")
    number = models.PositiveIntegerField()
    coverage = models.FloatField()
    started_at = models.DateTimeField()

    class Meta:
        ordering = ("phase", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("phase", "number"), name="one_epoch_per_number"
            ),
            models.CheckConstraint(
                condition=Q(coverage__gte=0.0, coverage__lte=1.0),
                name="epoch_coverage_0_to_1",
            ),
        )

    def __str__(self) -> str:
        return f"{self.phase} epoch {self.number}"


class Change(models.Model):
    """Who changed what of an experiment, when: the history page's rows."""

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="changes"
    )
    action = models.CharField(max_length=50)
    summary = models.TextField()
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-made_at", "-id")

    def __str__(self) -> str:
        return f"{self.experiment}: {self.summary}"
