"""Decisions over HTTP: list them, ship, keep control, roll back."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.analysis.models import Report
from experiments.decisions import services
from experiments.decisions.models import Decision
from experiments.design.models import Experiment, Variant
from experiments.gateway.roles import person
from models_registry.errors import NotFoundError


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    """What was done, on which report, by whom, and why."""

    experiment = serializers.SlugRelatedField[Experiment](
        slug_field="key", read_only=True
    )
    variant = serializers.SlugRelatedField[Variant](slug_field="key", read_only=True)
    report = serializers.SlugRelatedField[Report](slug_field="number", read_only=True)

    class Meta:
        model = Decision
        fields = (
            "id",
            "experiment",
            "action",
            "variant",
            "report",
            "against_rule",
            "reason",
            "decided_by",
            "decided_at",
        )


class DecisionRequestSerializer(serializers.Serializer[None]):
    """What to do about an experiment."""

    experiment = serializers.CharField()
    variant = serializers.CharField(required=False, default="")
    report = serializers.IntegerField(required=False, min_value=1)
    reason = serializers.CharField(required=False, default="", allow_blank=True)
    at = serializers.DateTimeField(
        required=False, help_text="When, on the shop's own clock."
    )


class DecisionViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Decision],
):
    """Every decision ever made, and the three a person can make."""

    queryset = Decision.objects.select_related("experiment", "variant", "report")
    serializer_class = DecisionSerializer
    filterset_fields = ("action", "experiment__key")
    write_roles = ("growth",)

    @extend_schema(request=DecisionRequestSerializer, responses=DecisionSerializer)
    @action(detail=False, methods=["post"])
    def ship(self, request: Request) -> Response:
        """Make a variant what everybody gets."""
        experiment, report, body = self._read(request)
        variant = experiment.variants.filter(key=body["variant"]).first()
        if variant is None:
            raise NotFoundError(
                f"{experiment.key} has no variant {body['variant']!r}; it has "
                f"{', '.join(v.key for v in experiment.variants.all())}."
            )
        decision = services.ship(
            experiment,
            variant,
            report=report,
            by=person(request.user),
            reason=body["reason"],
            now=body.get("at"),
        )
        return Response(DecisionSerializer(decision).data, status=201)

    @extend_schema(request=DecisionRequestSerializer, responses=DecisionSerializer)
    @action(detail=False, methods=["post"])
    def keep_control(self, request: Request) -> Response:
        """End the experiment with the control."""
        experiment, report, body = self._read(request)
        decision = services.keep_control(
            experiment,
            report=report,
            by=person(request.user),
            reason=body["reason"],
            now=body.get("at"),
        )
        return Response(DecisionSerializer(decision).data, status=201)

    @extend_schema(request=DecisionRequestSerializer, responses=DecisionSerializer)
    @action(detail=False, methods=["post"])
    def roll_back(self, request: Request) -> Response:
        """Undo a shipping."""
        experiment, _, body = self._read(request)
        decision = services.roll_back(
            experiment,
            by=person(request.user),
            reason=body["reason"],
        )
        return Response(DecisionSerializer(decision).data, status=201)

    @staticmethod
    def _read(request: Request) -> tuple[Experiment, Report | None, dict[str, Any]]:
        body = DecisionRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        data = body.validated_data
        experiment = Experiment.objects.filter(key=data["experiment"]).first()
        if experiment is None:
            raise NotFoundError(f"There is no experiment {data['experiment']!r}.")
        report = None
        if "report" in data:
            report = experiment.reports.filter(number=data["report"]).first()
            if report is None:
                raise NotFoundError(f"{experiment.key} has no report {data['report']}.")
        return experiment, report, data
