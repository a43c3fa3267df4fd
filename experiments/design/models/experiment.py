"""What is tested: experiments, their variants and metrics."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from experiments.design.lifecycle import Status
from experiments.design.models.placement import Placement
from experiments.metrics.models import Metric
from models_registry.models import KEY_VALIDATOR, Version

SHARE = (MinValueValidator(0.0), MaxValueValidator(1.0))


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
        tags: What holdouts choose experiments by.
        sticky: A unit keeps the variant it met first, whatever changes.
        bucket_version: Under which stored variants count; raising it deals anew.
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
    tags = ArrayField(
        models.CharField(max_length=50, validators=[KEY_VALIDATOR]),
        default=list,
        blank=True,
    )
    sticky = models.BooleanField(
        default=False, help_text="Each shopper keeps the variant met first."
    )
    bucket_version = models.PositiveIntegerField(default=0, editable=False)
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
