"""Analyses (asking for a look) and reports (the results) over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.analysis.models import Report
from experiments.analysis.services import request_analysis
from experiments.design.models import Experiment
from experiments.gateway.roles import person
from models_registry.errors import NotFoundError


class ReportSerializer(serializers.ModelSerializer[Report]):
    """An immutable report with its whole content."""

    experiment = serializers.SlugRelatedField[Experiment](
        slug_field="key", read_only=True
    )

    class Meta:
        model = Report
        fields = (
            "id",
            "experiment",
            "number",
            "look",
            "as_of",
            "batches",
            "content",
            "created_at",
        )


class ReportViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Report]
):
    """Reports, newest first."""

    queryset = Report.objects.select_related("experiment").order_by("-id")
    serializer_class = ReportSerializer
    filterset_fields = ("experiment__key", "number", "look")


class AnalysisRequestSerializer(serializers.Serializer[None]):
    """Which experiment to look at, and up to when."""

    experiment = serializers.CharField()
    as_of = serializers.DateTimeField(required=False)


class AnalysisStartedSerializer(serializers.Serializer[None]):
    """The job that makes the report."""

    job = serializers.IntegerField()


class AnalysisViewSet(viewsets.GenericViewSet[Report]):
    """Ask for a look at an experiment; the job makes a report."""

    queryset = Report.objects.none()
    write_roles = ("growth", "analyst")

    @extend_schema(
        request=AnalysisRequestSerializer, responses={202: AnalysisStartedSerializer}
    )
    def create(self, request: Request) -> Response:
        """Queue a look; follow the job under ``/api/v1/jobs/{id}/``."""
        body = AnalysisRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        experiment = Experiment.objects.filter(
            key=body.validated_data["experiment"]
        ).first()
        if experiment is None:
            raise NotFoundError(
                f"There is no experiment {body.validated_data['experiment']!r}."
            )
        job = request_analysis(
            experiment,
            as_of=body.validated_data.get("as_of"),
            by=person(request.user),
        )
        return Response({"job": job.pk}, status=202)
