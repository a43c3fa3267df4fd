"""``PUT /api/v1/items`` and ``/api/v1/units``: the shop tells us what it has."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from experiments.events.api.serializers import (
    ItemsSerializer,
    UnitsSerializer,
    UpdatedSerializer,
)
from experiments.events.catalogue import upsert_items, upsert_units
from experiments.gateway.units import UnitHasher


class ItemsView(APIView):
    """The catalogue."""

    key_scope = "catalogue"
    write_roles = ("engineer",)

    @extend_schema(request=ItemsSerializer, responses=UpdatedSerializer)
    def put(self, request: Request) -> Response:
        """Create or update 1 to 1,000 items, all or none; fields left out stay."""
        given = ItemsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        items = given.validated_data["items"]
        upsert_items(items)
        return Response({"updated": len({item["item_id"] for item in items})})


class UnitsView(APIView):
    """What the shop knows of its shoppers; kept under the hashed id only."""

    key_scope = "catalogue"
    write_roles = ("engineer",)

    @extend_schema(request=UnitsSerializer, responses=UpdatedSerializer)
    def put(self, request: Request) -> Response:
        """Create or update 1 to 1,000 units, all or none; null removes an attribute."""
        given = UnitsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        hasher = UnitHasher(settings.UNIT_KEY)
        updates: dict[bytes, dict[str, object]] = {}
        for unit in given.validated_data["units"]:
            key = hasher.hash(unit["unit_id"])
            updates.setdefault(key, {}).update(unit["attributes"])
        upsert_units(updates)
        return Response({"updated": len(updates)})
