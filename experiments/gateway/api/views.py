"""API keys over HTTP: list, create (shown once), revoke."""

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.gateway.keys import SCOPES
from experiments.gateway.models import ApiKey, KeyKind
from experiments.gateway.services import create_key, revoke_key


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key without the key."""

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "label",
            "client",
            "kind",
            "start",
            "scopes",
            "origins",
            "event_names",
            "rate_per_minute",
            "remote_only",
            "created_at",
            "expires_at",
            "revoked_at",
        )


class NewKeySerializer(serializers.Serializer[None]):
    """What a new key may do."""

    label = serializers.CharField(max_length=100)  # type: ignore[assignment] # ours
    client = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(choices=KeyKind.choices)
    scopes = serializers.MultipleChoiceField(choices=SCOPES)
    origins = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, default=list
    )
    remote_only = serializers.BooleanField(default=False)


class CreatedKeySerializer(KeySerializer):
    """A new key with its secret, this once."""

    key = serializers.CharField(read_only=True)

    class Meta(KeySerializer.Meta):
        fields = (*KeySerializer.Meta.fields, "key")  # type: ignore[assignment]


class KeyViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[ApiKey]
):
    """API keys of the installation; DELETE revokes."""

    queryset = ApiKey.objects.all()
    serializer_class = KeySerializer
    write_roles = ("administrator",)

    @extend_schema(request=NewKeySerializer, responses={201: CreatedKeySerializer})
    def create(self, request: Request) -> Response:
        """Make a key; the answer is the only place it is ever shown."""
        body = NewKeySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        data = body.validated_data
        row, plain = create_key(
            label=data["label"],
            client=data["client"],
            kind=data["kind"],
            scopes=tuple(sorted(data["scopes"])),
            origins=tuple(data["origins"]),
            remote_only=data["remote_only"],
        )
        return Response({**KeySerializer(row).data, "key": plain}, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Revoke; calls with the key are refused within a second."""
        revoke_key(self.get_object())
        return Response(status=204)
