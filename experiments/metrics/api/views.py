"""Metrics over HTTP (read): key, name, and the definition of each version."""

from rest_framework import mixins, serializers, viewsets

from experiments.metrics.models import Metric, MetricVersion


class MetricVersionSerializer(serializers.ModelSerializer[MetricVersion]):
    """One immutable wording."""

    class Meta:
        model = MetricVersion
        fields = ("number", "definition", "created_at")


class MetricSerializer(serializers.ModelSerializer[Metric]):
    """A metric with its versions, newest first."""

    versions = MetricVersionSerializer(many=True, read_only=True)

    class Meta:
        model = Metric
        fields = ("key", "name", "description", "versions", "created_at")


class MetricViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Metric]
):
    """What counts."""

    queryset = Metric.objects.prefetch_related("versions")
    serializer_class = MetricSerializer
    lookup_field = "key"
    lookup_value_regex = "[^/]+"
