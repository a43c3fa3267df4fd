"""``POST /api/v1/assignments``: many units at once, for servers."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial

import msgspec

from experiments.assignment.answers import Assignment, UnitContext
from experiments.assignment.exposures import ExposureLog, Source
from experiments.assignment.holder import PlanHolder
from experiments.assignment.javascript import Json
from experiments.assignment.plan import PlacementPlan, Plan
from experiments.gateway.bodies import check_depth, read_json
from experiments.gateway.clock import Clock, time_of_request
from experiments.gateway.errors import ForbiddenError
from experiments.gateway.handlers import Request, Response, Route, Services
from experiments.gateway.keys import Key
from models_registry.errors import InvalidError, NotFoundError

MAX_UNITS = 10_000
MAX_ATTRIBUTES = 999
_AT_ONCE = 200  # units, before other calls have their turn


class TooManyAttributesError(InvalidError):
    """More is said of a unit than any audience needs."""

    code = "too_many_attributes"


class UnitRequest(msgspec.Struct, frozen=True):
    """A unit and what is known of it."""

    unit_id: str
    attributes: dict[str, object] = {}


class AssignmentsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which units to assign at which placement.

    Attributes:
        units: 1 to 10,000.
        timestamp: Assign as of then; needs the scope ``simulate``.
        dry_run: Assign, but log no exposures.
    """

    placement: str
    units: list[UnitRequest]
    timestamp: datetime | None = None
    dry_run: bool = False


class UnitAssignment(msgspec.Struct, frozen=True):
    """What one unit gets, and why."""

    unit_id: str
    experiment: str | None
    phase: int
    epoch: int
    variant: str | None
    reason: str
    probability: float
    model: str | None
    version: int | None
    value: msgspec.Raw | None


class AssignmentsResponse(msgspec.Struct, frozen=True):
    """The assignments, in the order asked."""

    placement: str
    plan_revision: str
    assignments: list[UnitAssignment]


_DECODER = msgspec.json.Decoder(AssignmentsRequest)
_ENCODER = msgspec.json.Encoder()


async def post_assignments(request: Request, services: Services) -> Response:
    """Assign a batch of units.

    Raises:
        ForbiddenError: The key is publishable.
        NotFoundError: There is no such placement.
        InvalidError: No unit, too many, or one without an id.
    """
    require_secret(request.key)
    body = read_json(request.body, _DECODER)
    if not 1 <= len(body.units) <= MAX_UNITS:
        raise InvalidError(
            f"units has {len(body.units)} entries; send 1 to {MAX_UNITS}."
        )
    holder = services.get(PlanHolder)
    compiled = holder.compiled()
    plan = compiled.plan
    placement = find_placement(plan, body.placement)
    now = time_of_request(request.key, body.timestamp, services.get(Clock))
    contexts = [_context(unit, index, now) for index, unit in enumerate(body.units)]
    exposures, source = (
        services.get(ExposureLog),
        partial(Source.of, request, "assignments"),
    )
    assignments = []
    for index, context in enumerate(contexts, 1):
        answer = compiled.assign(placement.key, context)
        if not body.dry_run:
            exposures.note(context, (answer,), plan, source)
        assignments.append(_shown(context.unit_id, answer, plan))
        if index % _AT_ONCE == 0:
            await asyncio.sleep(0)
    response = AssignmentsResponse(placement.key, plan.revision, assignments)
    return Response(200, _ENCODER.encode(response), answer_headers(holder))


def _context(unit: UnitRequest, index: int, now: float) -> UnitContext:
    if not unit.unit_id:
        raise InvalidError(f"units[{index}].unit_id is empty; name the unit.")
    check_attributes(unit.attributes, f"units[{index}].attributes")
    check_depth(unit.attributes, most=17)
    attributes: Mapping[str, Json] = unit.attributes  # type: ignore[assignment] # JSON
    return UnitContext(unit.unit_id, attributes, now)


def check_attributes(
    attributes: Mapping[str, object], where: str, most: int = MAX_ATTRIBUTES
) -> None:
    """Refuse a unit of which too much is said.

    Raises:
        TooManyAttributesError: There are more than ``most``.
    """
    if len(attributes) > most:
        raise TooManyAttributesError(
            f"{where} has {len(attributes)} entries; send at most {most}."
        )


def require_secret(key: Key | None) -> None:
    """Refuse publishable keys: what a batch reveals is the shop's own.

    Raises:
        ForbiddenError: The key is publishable.
    """
    if key is None or key.kind != "secret":
        raise ForbiddenError(
            "This needs a secret key; a publishable one may not call it.",
            code="secret_key_needed",
        )


def find_placement(plan: Plan, key: str) -> PlacementPlan:
    """The placement of a key.

    Raises:
        NotFoundError: The plan has none; the message lists what it has.
    """
    placement = plan.placements.get(key)
    if placement is None:
        known = ", ".join(sorted(plan.placements)[:10]) or "none"
        raise NotFoundError(f"No placement {key[:100]!r}; known: {known}.")
    return placement


def answer_headers(holder: PlanHolder) -> tuple[tuple[str, str], ...]:
    """JSON, and how old the plan is that answered."""
    return (
        ("content-type", "application/json"),
        ("x-plan-age", str(int(holder.age_seconds))),
    )


def _shown(unit_id: str, answer: Assignment, plan: Plan) -> UnitAssignment:
    version = plan.versions.get(answer.version_id or 0)
    return UnitAssignment(
        unit_id=unit_id,
        experiment=answer.experiment,
        phase=answer.phase,
        epoch=answer.epoch,
        variant=answer.variant,
        reason=answer.reason,
        probability=answer.probability,
        model=version.model if version else None,
        version=version.number if version else None,
        value=None if answer.payload is None else msgspec.Raw(answer.payload.encode()),
    )


ROUTES = (
    Route(
        method="POST",
        pattern="/api/v1/assignments",
        handler=post_assignments,
        scope="evaluate",
        body_limit=5_000_000,
        summary="Assign up to 10,000 units at a placement.",
        request_type=AssignmentsRequest,
        response_type=AssignmentsResponse,
    ),
)
