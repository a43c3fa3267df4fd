"""Shapes of placements and experiments over HTTP."""

from rest_framework import serializers

from experiments.design.models import (
    Change,
    Experiment,
    ExperimentMetric,
    Holdout,
    Layer,
    LayerMembership,
    Placement,
    Prerequisite,
)
from experiments.design.models import Variant as VariantModel
from experiments.design.services import (
    ExperimentSpec,
    MetricSpec,
    Mode,
    PrerequisiteSpec,
    VariantSpec,
    create_experiment,
    create_layer,
    free_segments,
    open_holdout,
)
from experiments.gateway.roles import person
from experiments.metrics.models import Metric
from models_registry.models import Model, Version


class PlacementSerializer(serializers.ModelSerializer[Placement]):
    """A place in the shop; its model is named, not numbered."""

    default_model = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Model.objects.all(),
        allow_null=True,
        required=False,
    )

    class Meta:
        model = Placement
        fields = (
            "key",
            "name",
            "description",
            "value_type",
            "default_model",
            "default_value",
            "list_size",
            "exclude_seen",
            "created_at",
        )


class VariantSerializer(serializers.ModelSerializer[VariantModel]):
    """A variant; ``version`` is the id of a model version."""

    version = serializers.PrimaryKeyRelatedField(
        queryset=Version.objects.all(), allow_null=True, required=False
    )
    payload = serializers.JSONField(required=False, allow_null=True)

    class Meta:
        model = VariantModel
        fields = ("key", "name", "is_control", "weight", "version", "payload", "letter")
        read_only_fields = ("is_control", "letter")


class ExperimentMetricSerializer(serializers.ModelSerializer[ExperimentMetric]):
    """A metric by key, with its role."""

    metric = serializers.SlugRelatedField(
        slug_field="key", queryset=Metric.objects.all()
    )

    class Meta:
        model = ExperimentMetric
        fields = ("metric", "role", "margin", "margin_scale")


class MembershipSerializer(serializers.ModelSerializer[LayerMembership]):
    """A layer by key, and the percent of its units."""

    layer = serializers.SlugRelatedField(slug_field="key", queryset=Layer.objects.all())

    class Meta:
        model = LayerMembership
        fields = ("layer", "share")


class PrerequisiteSerializer(serializers.ModelSerializer[Prerequisite]):
    """Another placement by key, and the condition on its value."""

    placement = serializers.SlugRelatedField(
        slug_field="key", queryset=Placement.objects.all()
    )
    condition = serializers.JSONField()

    class Meta:
        model = Prerequisite
        fields = ("placement", "condition", "gate")


class ExperimentSerializer(serializers.ModelSerializer[Experiment]):
    """An experiment with its variants (the first is the control) and metrics."""

    placement = serializers.SlugRelatedField(
        slug_field="key", queryset=Placement.objects.all()
    )
    variants = VariantSerializer(many=True)
    metrics = ExperimentMetricSerializer(many=True)
    memberships = MembershipSerializer(many=True, required=False)
    prerequisites = PrerequisiteSerializer(many=True, required=False)
    outcome = serializers.SlugRelatedField[VariantModel](
        slug_field="key", read_only=True
    )

    class Meta:
        model = Experiment
        fields = (
            "key",
            "name",
            "hypothesis",
            "placement",
            "status",
            "coverage",
            "audience",
            "exposure_source",
            "sticky",
            "tags",
            "memberships",
            "prerequisites",
            "planned_days",
            "looks",
            "alpha",
            "minimum_effect",
            "variants",
            "metrics",
            "outcome",
            "created_at",
            "started_at",
            "ended_at",
        )
        read_only_fields = ("status", "created_at", "started_at", "ended_at")

    def create(self, validated_data: dict[str, object]) -> Experiment:
        """Create the draft through the service."""
        data = dict(validated_data)
        variants = data.pop("variants")
        metrics = data.pop("metrics")
        memberships = data.pop("memberships", ())
        prerequisites = data.pop("prerequisites", ())
        spec = ExperimentSpec(
            layers=[(m["layer"], m["share"]) for m in memberships],  # type: ignore[attr-defined]
            prerequisites=[PrerequisiteSpec(**p) for p in prerequisites],  # type: ignore[attr-defined]
            variants=[VariantSpec(**v) for v in variants],  # type: ignore[attr-defined]
            metrics=[MetricSpec(**m) for m in metrics],  # type: ignore[attr-defined]
            **data,  # type: ignore[arg-type]
        )
        return create_experiment(spec, by=person(self.context["request"].user))


class LayerSerializer(serializers.ModelSerializer[Layer]):
    """A partition of units; ``free`` percent have no experiment now."""

    free = serializers.SerializerMethodField()

    class Meta:
        model = Layer
        fields = ("key", "name", "description", "free", "generation", "created_at")
        read_only_fields = ("generation", "created_at")

    def get_free(self, layer: Layer) -> int:
        """Percent of units that no experiment owns."""
        return free_segments(layer)

    def create(self, validated_data: dict[str, str]) -> Layer:
        """Create it through the service."""
        return create_layer(**validated_data)


class HoldoutSerializer(serializers.ModelSerializer[Holdout]):
    """A share of units kept out of experiments."""

    class Meta:
        model = Holdout
        fields = (
            *("key", "name", "description", "share", "tags"),
            *("started_at", "ended_at"),
        )
        read_only_fields = ("started_at", "ended_at")

    def create(self, validated_data: dict[str, object]) -> Holdout:
        """Open it through the service."""
        return open_holdout(**validated_data)  # type: ignore[arg-type]


class ChangeSerializer(serializers.ModelSerializer[Change]):
    """A row of the history."""

    made_by = serializers.SlugRelatedField(slug_field="username", read_only=True)  # type: ignore[var-annotated]

    class Meta:
        model = Change
        fields = ("action", "summary", "before", "after", "made_by", "made_at")


class TransitionSerializer(serializers.Serializer[None]):
    """What to do to an experiment."""

    action = serializers.ChoiceField(
        choices=("start", "pause", "resume", "conclude", "archive")
    )
    reason = serializers.CharField(required=False, default="", allow_blank=True)
    at = serializers.DateTimeField(
        required=False, help_text="Start or end on the shop's own clock."
    )


class FindingSerializer(serializers.Serializer[None]):
    """A line of the pre-flight list."""

    code = serializers.CharField()
    ok = serializers.BooleanField()
    sentence = serializers.CharField()


class CoverageSerializer(serializers.Serializer[None]):
    """The share of shoppers who take part."""

    coverage = serializers.FloatField(min_value=0.0, max_value=1.0)


class SplitSerializer(serializers.Serializer[None]):
    """Other weights or another audience, and what becomes of those inside."""

    weights = serializers.DictField(
        child=serializers.FloatField(min_value=0.0, max_value=1.0), required=False
    )
    audience = serializers.DictField(required=False)
    mode = serializers.ChoiceField(choices=tuple(Mode))
