"""``GET /api/v1/assignments/explain``: why a unit gets what it gets."""

import msgspec
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from experiments.assignment.answers import UnitContext
from experiments.assignment.api.native import find_placement
from experiments.assignment.attributes import read_attributes
from experiments.assignment.explanation import explain
from experiments.assignment.selectors import answering_plan
from models_registry.errors import InvalidError


class ExplainView(APIView):
    """One unit through every rule of a placement; a secret key or a role."""

    key_scope = "evaluate"

    @extend_schema(
        parameters=[
            OpenApiParameter("placement", str, required=True),
            OpenApiParameter("unit_id", str, required=True),
            OpenApiParameter("attributes", str, description="A JSON object."),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:
        """Every rule met and every check of it, with a sentence each.

        Raises:
            InvalidError: No unit is named, or the attributes are no JSON object.
            NotFoundError: There is no such placement.
        """
        asked = request.query_params
        unit_id = asked.get("unit_id", "")
        if not unit_id:
            raise InvalidError("unit_id is missing; name the shopper.")
        compiled = answering_plan()
        placement = find_placement(compiled.plan, asked.get("placement", ""))
        attributes = read_attributes(asked.get("attributes", ""))
        now = timezone.now().timestamp()
        found = explain(compiled, placement.key, UnitContext(unit_id, attributes, now))
        return Response(msgspec.to_builtins(found))
