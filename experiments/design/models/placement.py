"""What can be asked: placements."""

from django.db import models
from django.db.models import Q

from models_registry.models import KEY_VALIDATOR, Model


class ValueType(models.TextChoices):
    """What a placement answers with."""

    MODEL = "model", "A list from a model"
    STRING = "string", "Text"
    NUMBER = "number", "Number"
    BOOLEAN = "boolean", "Yes or no"
    JSON = "json", "JSON"


class Placement(models.Model):
    """A place in the shop that asks "what do I show?".

    Attributes:
        default_model: Its ``champion`` answers shoppers no rule decides for.
        default_value: The answer of a placement that carries no model.
        list_size: How many items a list has unless the request says fewer.
    """

    key = models.CharField(max_length=100, unique=True, validators=[KEY_VALIDATOR])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    value_type = models.CharField(
        max_length=10, choices=ValueType.choices, default=ValueType.MODEL
    )
    default_model = models.ForeignKey(
        Model,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="placements",
    )
    default_value = models.JSONField(null=True, blank=True)
    list_size = models.PositiveIntegerField(default=10)
    exclude_seen = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("key",)
        constraints = (
            models.CheckConstraint(
                condition=~Q(value_type=ValueType.MODEL)
                | Q(default_model__isnull=False),
                name="model_placement_has_a_model",
                violation_error_message="Choose the model whose lists are shown.",
            ),
            models.CheckConstraint(
                condition=Q(list_size__gte=1, list_size__lte=200),
                name="placement_list_size_1_to_200",
                violation_error_message="A list has 1 to 200 items.",
            ),
        )

    def __str__(self) -> str:
        return self.name
