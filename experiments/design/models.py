"""What can be asked (placements) and what is tested (experiments)."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from experiments.design.lifecycle import Status
from experiments.metrics.models import Metric
from models_registry.models import KEY_VALIDATOR, Model, Version

SHARE = (MinValueValidator(0.0), MaxValueValidator(1.0))


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


class ExposureSource(models.TextChoices):
    """Who records that a unit met the experiment."""

    SERVER = "server", "Shipworthy, when it answers"
    CLIENT = "client", "The shop, by an exposure event"


class Experiment(models.Model):
    """A rule of a placement that splits units over variants.

    Attributes:
        priority: Order among the placement's rules; lower comes first.
        planned_days: Length fixed before the start.
        looks: Planned looks, at the ends of whole weeks (group-sequential).
        alpha: Two-sided error allowed over all variants and looks together.
        minimum_effect: Relative effect below which shipping is not worth it.
        audience: Condition over attributes (GrowthBook's syntax); empty: everybody.
        outcome: The variant everybody gets once concluded; null: the default.
    """

    key = models.CharField(max_length=100, unique=True, validators=[KEY_VALIDATOR])
    name = models.CharField(max_length=200)
    hypothesis = models.TextField(blank=True, default="")
    placement = models.ForeignKey(
        Placement, on_delete=models.PROTECT, related_name="experiments"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    status = models.CharField(
        max_length=20,
        choices=[(status.value, status.value.title()) for status in Status],
        default=Status.DRAFT.value,
        editable=False,
    )
    priority = models.PositiveIntegerField(default=100)
    coverage = models.FloatField(
        default=1.0, validators=SHARE, help_text="Share of shoppers, 0 to 1."
    )
    audience = models.JSONField(default=dict, blank=True)
    exposure_source = models.CharField(
        max_length=10, choices=ExposureSource.choices, default=ExposureSource.SERVER
    )
    planned_days = models.PositiveIntegerField(default=14)
    looks = models.PositiveIntegerField(default=2)
    alpha = models.FloatField(default=0.05, validators=SHARE)
    minimum_effect = models.FloatField(default=0.0)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    outcome = models.ForeignKey(
        "Variant",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        editable=False,
    )

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in Status]),
                name="experiment_status_known",
            ),
            models.CheckConstraint(
                condition=Q(coverage__gte=0.0, coverage__lte=1.0),
                name="experiment_coverage_0_to_1",
            ),
            models.CheckConstraint(
                condition=Q(alpha__gt=0.0, alpha__lt=1.0),
                name="experiment_alpha_between_0_and_1",
                violation_error_message="Alpha lies between 0 and 1, such as 0.05.",
            ),
            models.CheckConstraint(
                condition=Q(looks__gte=1) & Q(planned_days__gte=7 * F("looks")),
                name="experiment_looks_fit_whole_weeks",
                violation_error_message="Plan at least 7 days for each look.",
            ),
        )

    def __str__(self) -> str:
        return self.name


class Variant(models.Model):
    """A value under test: a model version or a JSON payload; one is the control.

    Attributes:
        position: 0, 1, 2, ...; letters A, B, C on the pages; A is the control.
        weight: Share of the experiment's shoppers; all weights sum to 1.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="variants"
    )
    key = models.CharField(max_length=100, validators=[KEY_VALIDATOR])
    name = models.CharField(max_length=200, blank=True, default="")
    position = models.PositiveIntegerField(default=0)
    is_control = models.BooleanField(default=False)
    weight = models.FloatField(default=0.5, validators=SHARE)
    version = models.ForeignKey(
        Version,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="variants",
    )
    payload = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ("experiment", "position")
        constraints = (
            models.UniqueConstraint(
                fields=("experiment", "key"),
                name="one_variant_per_key",
                violation_error_message="Give each variant its own key.",
            ),
            models.UniqueConstraint(
                fields=("experiment", "position"),
                name="one_variant_per_position",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.UniqueConstraint(
                fields=("experiment",),
                condition=Q(is_control=True),
                name="one_control_per_experiment",
                violation_error_message="Exactly one variant is the control.",
            ),
            models.CheckConstraint(
                condition=Q(weight__gte=0.0, weight__lte=1.0),
                name="variant_weight_0_to_1",
            ),
            models.CheckConstraint(
                condition=Q(version__isnull=True) | Q(payload__isnull=True),
                name="variant_has_version_or_payload",
                violation_error_message="Give a model version or a value, not both.",
            ),
        )

    def __str__(self) -> str:
        return self.name or self.key

    @property
    def letter(self) -> str:
        """A, B, C, ... by position."""
        return chr(ord("A") + self.position)


class MetricRole(models.TextChoices):
    """What a metric is for in an experiment."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    GUARDRAIL = "guardrail"


class MarginScale(models.TextChoices):
    """What a guardrail's margin is measured in."""

    RELATIVE = "relative", "of the control's value (0.05 = 5 %)"
    ABSOLUTE = "absolute", "in the metric's unit (share: 0.05 = 5 points)"


class ExperimentMetric(models.Model):
    """A metric an experiment looks at, and what for.

    Attributes:
        margin: Guardrails: the worsening still accepted.
        margin_scale: Whether that is a share of the control's value or absolute; a
            metric that is zero on control needs an absolute one.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="metrics"
    )
    metric = models.ForeignKey(Metric, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(
        max_length=10, choices=MetricRole.choices, default=MetricRole.SECONDARY
    )
    margin = models.FloatField(default=0.05)
    margin_scale = models.CharField(
        max_length=10, choices=MarginScale.choices, default=MarginScale.RELATIVE
    )
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("experiment", "role", "position")
        constraints = (
            models.UniqueConstraint(
                fields=("experiment", "metric"),
                name="one_role_per_metric",
                violation_error_message="Name each metric once.",
            ),
            models.UniqueConstraint(
                fields=("experiment",),
                condition=Q(role=MetricRole.PRIMARY),
                name="one_primary_metric_per_experiment",
                violation_error_message="Only one metric is the primary one.",
            ),
            models.CheckConstraint(
                condition=Q(margin__gte=0.0), name="margin_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(margin_scale__in=MarginScale.values),
                name="margin_scale_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.metric} ({self.role})"


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
