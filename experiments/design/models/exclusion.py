"""What keeps experiments apart: layers and holdouts."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from experiments.design.models.experiment import Experiment
from experiments.design.segments import SEGMENTS
from models_registry.models import KEY_VALIDATOR

MOST_HELD_OUT = 0.5


class Layer(models.Model):
    """A partition of all units: its experiments never share a shopper.

    A layer cuts the units into 100 segments by a hash of its seed; an experiment
    owns whole segments while it runs and returns them at its end.

    Attributes:
        seed: Hash seed; rotated only while no experiment owns a segment.
        generation: How often segments came back; the draw of the next ones depends on
            it, so that a finished experiment's share is dealt anew.
    """

    key = models.CharField(max_length=100, unique=True, validators=[KEY_VALIDATOR])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    seed = models.CharField(max_length=130, blank=True, editable=False)
    generation = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("key",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Seed a new layer."""
        self.seed = self.seed or self.next_seed()

    def next_seed(self) -> str:
        """The seed of the present generation."""
        return f"layer-{self.key}-{self.generation}"


class LayerMembership(models.Model):
    """An experiment takes part in a layer, with a share of its units.

    Attributes:
        share: Whole percent of the layer's units.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="memberships"
    )
    layer = models.ForeignKey(
        Layer, on_delete=models.PROTECT, related_name="memberships"
    )
    share = models.PositiveIntegerField(
        default=50,
        validators=(MinValueValidator(1), MaxValueValidator(SEGMENTS)),
        help_text="Percent of the layer's shoppers, 1 to 100.",
    )

    class Meta:
        ordering = ("experiment", "layer")
        constraints = (
            models.UniqueConstraint(
                fields=("experiment", "layer"),
                name="one_membership_per_layer",
                violation_error_message="Name each layer once.",
            ),
            models.CheckConstraint(
                condition=Q(share__gte=1, share__lte=SEGMENTS),
                name="layer_share_1_to_100_percent",
                violation_error_message="A share is 1 to 100 percent.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.experiment} in {self.layer}"


class LayerSegment(models.Model):
    """A segment that a membership owns now; no segment has two owners."""

    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, related_name="segments")
    membership = models.ForeignKey(
        LayerMembership, on_delete=models.CASCADE, related_name="segments"
    )
    number = models.PositiveIntegerField()

    class Meta:
        ordering = ("layer", "number")
        constraints = (
            models.UniqueConstraint(
                fields=("layer", "number"), name="one_owner_per_layer_segment"
            ),
            models.CheckConstraint(
                condition=Q(number__lt=SEGMENTS), name="layer_segment_below_100"
            ),
        )

    def __str__(self) -> str:
        return f"{self.layer} segment {self.number}"


class Holdout(models.Model):
    """A share of units kept out of a set of experiments.

    It keeps units out of the experiments that start while it is open, until those
    end: an experiment that runs already is never reshuffled by it.

    Attributes:
        share: Of all units, above 0, at most one half.
        tags: Experiments with one of these tags; empty: every experiment.
        seed: Hash seed; immutable.
    """

    key = models.CharField(max_length=100, unique=True, validators=[KEY_VALIDATOR])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    share = models.FloatField(
        default=0.05,
        validators=(MinValueValidator(0.0001), MaxValueValidator(MOST_HELD_OUT)),
        help_text="Share of shoppers kept out, such as 0.05.",
    )
    tags = ArrayField(
        models.CharField(max_length=50, validators=[KEY_VALIDATOR]),
        default=list,
        blank=True,
        help_text="Only experiments with one of these tags; empty: all of them.",
    )
    seed = models.CharField(max_length=130, blank=True, editable=False)
    started_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("key",)
        constraints = (
            models.CheckConstraint(
                condition=Q(share__gt=0.0, share__lte=MOST_HELD_OUT),
                name="holdout_share_up_to_half",
                violation_error_message="A holdout keeps out at most half of all.",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="holdout_ends_after_its_start",
                violation_error_message="A holdout ends after its start.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Seed a new holdout."""
        self.seed = self.seed or f"holdout-{self.key}"
