"""What was done about a report, by whom, and why."""

from django.conf import settings
from django.db import models

from experiments.analysis.models import Report
from experiments.design.models import Experiment, Variant
from models_registry.models import AliasMove


class Action(models.TextChoices):
    """What a person decided."""

    SHIP = "ship", "Ship a variant"
    KEEP_CONTROL = "keep_control", "Keep the control"
    ROLL_BACK = "roll_back", "Roll back"


class Decision(models.Model):
    """A decision with its report and reason; never edited.

    Attributes:
        against_rule: The rule said otherwise; then a reason is required.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="decisions"
    )
    report = models.ForeignKey(
        Report,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="decisions",
    )
    action = models.CharField(max_length=20, choices=Action.choices)
    variant = models.ForeignKey(
        Variant, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    alias_move = models.ForeignKey(
        AliasMove, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    against_rule = models.BooleanField(default=False)
    reason = models.TextField(blank=True, default="")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    decided_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-decided_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(action__in=Action.values),
                name="decision_action_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(action=Action.SHIP)
                | models.Q(variant__isnull=False),
                name="ship_names_a_variant",
            ),
            models.CheckConstraint(
                condition=models.Q(against_rule=False) | ~models.Q(reason=""),
                name="decision_against_rule_has_a_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_action_display()} ({self.experiment})"
