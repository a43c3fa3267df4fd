"""Who may meet an experiment beyond its audience: prerequisites, forced variants."""

from django.db import models

from experiments.design.models.experiment import Experiment, Variant
from experiments.design.models.placement import Placement


class Prerequisite(models.Model):
    """What another placement must answer a unit, before it may take part.

    Attributes:
        condition: Over ``{"value": what the placement answers}``.
        gate: A unit that fails gets the placement's default; without it, the next
            rule decides.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="prerequisites"
    )
    placement = models.ForeignKey(
        Placement, on_delete=models.PROTECT, related_name="dependents"
    )
    condition = models.JSONField(
        help_text='Such as {"value": true} or {"value": {"$in": ["a", "b"]}}.'
    )
    gate = models.BooleanField(default=False)

    class Meta:
        ordering = ("experiment", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("experiment", "placement"),
                name="one_prerequisite_per_placement",
                violation_error_message="Name each placement once.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.experiment} needs {self.placement}"


class ForcedVariant(models.Model):
    """A unit that always gets one variant, for quality assurance; never analysed.

    Attributes:
        unit_id: The raw id: of a colleague or a test account, entered on purpose.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="forced"
    )
    unit_id = models.CharField(max_length=200)
    variant = models.ForeignKey(
        Variant, on_delete=models.CASCADE, related_name="forced"
    )
    note = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        ordering = ("experiment", "unit_id")
        constraints = (
            models.UniqueConstraint(
                fields=("experiment", "unit_id"),
                name="one_forced_variant_per_unit",
                violation_error_message="Name each shopper once.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.unit_id}: {self.variant}"
