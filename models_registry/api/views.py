"""Models, versions, aliases and jobs over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry import jobs
from models_registry.models import Alias, Evaluation, Job, Model, Version


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    """Figures on held-out later time, with the protocol that made them."""

    class Meta:
        model = Evaluation
        fields = ("protocol", "figures", "created_at")


class VersionSerializer(serializers.ModelSerializer[Version]):
    """An immutable version."""

    model = serializers.SlugRelatedField[Model](slug_field="name", read_only=True)
    evaluations = EvaluationSerializer(many=True, read_only=True)

    class Meta:
        model = Version
        fields = (
            "id",
            "model",
            "number",
            "kind",
            "artifact_digest",
            "size_bytes",
            "manifest",
            "evaluations",
            "created_at",
        )


class AliasSerializer(serializers.ModelSerializer[Alias]):
    """A movable pointer."""

    model = serializers.SlugRelatedField[Model](slug_field="name", read_only=True)

    class Meta:
        model = Alias
        fields = ("model", "name", "version", "updated_at")


class ModelSerializer(serializers.ModelSerializer[Model]):
    """A registered name with its aliases."""

    aliases = AliasSerializer(many=True, read_only=True)

    class Meta:
        model = Model
        fields = ("name", "description", "aliases", "created_at")


class JobSerializer(serializers.ModelSerializer[Job]):
    """A long piece of work and how far it is."""

    class Meta:
        model = Job
        fields = (
            "id",
            "kind",
            "title",
            "parameters",
            "state",
            "progress",
            "message",
            "figures",
            "logs",
            "result",
            "error",
            "attempts",
            "created_at",
            "started_at",
            "finished_at",
        )


class ModelViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Model]
):
    """Registered models."""

    queryset = Model.objects.prefetch_related("aliases")
    serializer_class = ModelSerializer
    lookup_field = "name"
    lookup_value_regex = "[^/]+"


class VersionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Version]
):
    """Immutable versions with their evaluations."""

    queryset = Version.objects.select_related("model").prefetch_related("evaluations")
    serializer_class = VersionSerializer
    filterset_fields = ("model__name", "kind")


class AliasViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Alias]):
    """Which version each alias points at."""

    queryset = Alias.objects.select_related("model", "version")
    serializer_class = AliasSerializer
    filterset_fields = ("model__name", "name")


class JobViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Job]
):
    """Training, analysis and import jobs."""

    queryset = Job.objects.all()
    serializer_class = JobSerializer
    filterset_fields = ("state", "kind")
    write_roles = ("engineer", "growth", "analyst")

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Ask the job to stop at the next safe point."""
        job = self.get_object()
        jobs.cancel(job)
        job.refresh_from_db()
        return Response(JobSerializer(job).data)
