"""Placements and experiments over HTTP: thin over the services."""

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.design.api import serializers
from experiments.design.models import Experiment, Holdout, Layer, Placement
from experiments.design.services import (
    change_coverage,
    change_split,
    check_experiment,
    end_holdout,
    transition,
)
from experiments.gateway.roles import person
from models_registry.services import publish_plan


class PlacementViewSet(
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Placement],
):
    """Places in the shop that ask "what do I show?"."""

    queryset = Placement.objects.select_related("default_model")
    serializer_class = serializers.PlacementSerializer
    lookup_field = "key"
    lookup_value_regex = "[^/]+"
    write_roles = ("growth", "engineer")

    def perform_create(self, serializer: serializers.PlacementSerializer) -> None:  # type: ignore[override]
        """Save, and tell the fronts."""
        serializer.save()
        publish_plan()

    def perform_update(self, serializer: serializers.PlacementSerializer) -> None:  # type: ignore[override]
        """Save, and tell the fronts."""
        serializer.save()
        publish_plan()


class ExperimentViewSet(
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Experiment],
):
    """Experiments: create a draft, check it, move it along its life."""

    queryset = Experiment.objects.select_related(
        "placement", "outcome", "owner"
    ).prefetch_related(
        "variants", "metrics__metric", "memberships__layer", "prerequisites__placement"
    )
    serializer_class = serializers.ExperimentSerializer
    filterset_fields = ("status",)
    lookup_field = "key"
    lookup_value_regex = "[^/]+"
    write_roles = ("growth",)

    @extend_schema(responses=serializers.FindingSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def check(self, request: Request, key: str) -> Response:
        """The pre-flight list: each criterion, met or not."""
        findings = check_experiment(self.get_object())
        return Response(serializers.FindingSerializer(findings, many=True).data)  # type: ignore[arg-type]

    @extend_schema(
        request=serializers.TransitionSerializer,
        responses=serializers.ExperimentSerializer,
    )
    @action(detail=True, methods=["post"])
    def transition(self, request: Request, key: str) -> Response:
        """Start, pause, resume, conclude or archive."""
        body = serializers.TransitionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        experiment = self.get_object()
        transition(
            experiment,
            body.validated_data["action"],
            by=person(request.user),
            now=body.validated_data.get("at"),
            reason=body.validated_data["reason"],
        )
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        request=serializers.CoverageSerializer,
        responses=serializers.ExperimentSerializer,
    )
    @action(detail=True, methods=["post"])
    def coverage(self, request: Request, key: str) -> Response:
        """Take more shoppers in: nobody who is in already moves."""
        body = serializers.CoverageSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        change_coverage(
            self.get_object(),
            body.validated_data["coverage"],
            by=person(request.user),
        )
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        request=serializers.SplitSerializer,
        responses=serializers.ExperimentSerializer,
    )
    @action(detail=True, methods=["post"])
    def split(self, request: Request, key: str) -> Response:
        """Change weights or audience: a new phase, continued or dealt anew."""
        body = serializers.SplitSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        change_split(self.get_object(), **body.validated_data, by=person(request.user))
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(responses=serializers.ChangeSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def history(self, request: Request, key: str) -> Response:
        """Who changed what, newest first."""
        changes = self.get_object().changes.select_related("made_by")
        return Response(serializers.ChangeSerializer(changes, many=True).data)


class LayerViewSet(
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Layer],
):
    """Layers: experiments of one layer never share a shopper."""

    queryset = Layer.objects.all()
    serializer_class = serializers.LayerSerializer
    lookup_field = "key"
    lookup_value_regex = "[^/]+"
    write_roles = ("growth",)


class HoldoutViewSet(
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Holdout],
):
    """Holdouts: shoppers kept out of a set of experiments."""

    queryset = Holdout.objects.all()
    serializer_class = serializers.HoldoutSerializer
    lookup_field = "key"
    lookup_value_regex = "[^/]+"
    write_roles = ("growth",)

    @extend_schema(request=None, responses=serializers.HoldoutSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, key: str) -> Response:
        """Let experiments that start from now on have its shoppers again."""
        return Response(self.get_serializer(end_holdout(self.get_object())).data)
