"""OFREP 0.3: one placement, or all of them, for one unit.

A placement is OFREP's flag. Answers are shaped for the real clients, which break on
less than the specification allows: variant, reason, value and errorDetails are always
there. References: OpenFeature Remote Evaluation Protocol 0.3.0.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

import msgspec

from experiments.assignment.api.native import answer_headers
from experiments.assignment.evaluator import Assignment, Reason, assign
from experiments.assignment.holder import PlanHolder
from experiments.assignment.javascript import Json
from experiments.assignment.plan import PlacementPlan, Plan
from experiments.gateway.bodies import read_json
from experiments.gateway.clock import Clock, time_of_request
from experiments.gateway.handlers import Request, Response, Route, Services
from models_registry.errors import InvalidError, NotFoundError, ShipworthyError

DEFAULT_VARIANT = "default"
_JSON = (("content-type", "application/json"),)
_CODES = {
    "malformed_json": "PARSE_ERROR",
    "nested_too_deep": "PARSE_ERROR",
    "body_undecodable": "PARSE_ERROR",
    "invalid": "INVALID_CONTEXT",
    "invalid_context": "INVALID_CONTEXT",
    "targeting_key_missing": "TARGETING_KEY_MISSING",
    "flag_not_found": "FLAG_NOT_FOUND",
}


class FlagNotFoundError(NotFoundError):
    """There is no placement of that key."""

    code = "flag_not_found"


class TargetingKeyMissingError(InvalidError):
    """The context does not say who is asking."""

    code = "targeting_key_missing"


class EvaluationRequest(msgspec.Struct, frozen=True):
    """Who asks: ``targetingKey`` is the unit id, the rest its attributes.

    Attributes:
        timestamp: Evaluate as of then; needs the scope ``simulate``.
    """

    context: dict[str, object] = {}
    timestamp: datetime | None = None


class Evaluation(msgspec.Struct, frozen=True, rename="camel"):
    """What one placement answers."""

    key: str
    reason: str
    variant: str
    value: msgspec.Raw
    metadata: dict[str, str | int | float]


class Failure(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Why a placement does not answer."""

    error_code: str
    error_details: str
    key: str = ""


class BulkEvaluation(msgspec.Struct, frozen=True, rename="camel"):
    """What all placements answer.

    Attributes:
        flags: ``Evaluation`` or ``Failure`` each; msgspec knows no union of the two.
    """

    flags: list[object]
    metadata: dict[str, str]


_DECODER = msgspec.json.Decoder(EvaluationRequest)
_ENCODER = msgspec.json.Encoder()


def render_error(error: ShipworthyError, parameters: Mapping[str, str]) -> Response:
    """An error as OFREP has it: 401 and 403 without a body."""
    if error.status in {401, 403}:
        return Response(error.status, b"", ())
    failure = Failure(
        key=parameters.get("key", ""),
        error_code=_CODES.get(error.code, "GENERAL"),
        error_details=error.message,
    )
    return Response(error.status, _ENCODER.encode(failure), _JSON)


async def evaluate_one(request: Request, services: Services) -> Response:
    """What one placement answers a unit.

    Raises:
        FlagNotFoundError: There is no such placement.
        InvalidError: The context is wrong or names nobody.
        NotFoundError: The placement has no model version to answer with yet.
    """
    holder = services.get(PlanHolder)
    plan = holder.current()
    unit_id, context, now = _asked(request, services)
    key = request.path_parameters["key"]
    placement = plan.placements.get(key)
    if placement is None:
        raise FlagNotFoundError(f"No placement {key[:100]!r}.")
    found = _evaluate(placement, plan, unit_id, context, now)
    if isinstance(found, Failure):
        raise NotFoundError(found.error_details)
    return Response(200, _ENCODER.encode(found), answer_headers(holder))


async def evaluate_all(request: Request, services: Services) -> Response:
    """What every placement answers a unit; 304 when that is what the caller has.

    The ETag is that of plan and body, so a 304 costs no evaluation.

    Raises:
        InvalidError: The context is wrong or names nobody.
    """
    holder = services.get(PlanHolder)
    plan = holder.current()
    unit_id, context, now = _asked(request, services)
    etag = _etag(plan, request.body, now)
    headers = (
        *answer_headers(holder),
        ("etag", etag),
        ("cache-control", "private, no-cache"),
    )
    if etag in request.headers.get("if-none-match", ""):
        return Response(304, b"", headers[1:])
    flags: list[object] = [
        _evaluate(placement, plan, unit_id, context, now)
        for placement in plan.placements.values()
    ]
    answer = BulkEvaluation(flags, {"planRevision": plan.revision})
    return Response(200, _ENCODER.encode(answer), headers)


def _asked(
    request: Request, services: Services
) -> tuple[str, Mapping[str, Json], float]:
    body = read_json(request.body, _DECODER)
    unit_id = body.context.get("targetingKey")
    if unit_id is None or unit_id == "":
        raise TargetingKeyMissingError(
            "context.targetingKey is missing; put the shopper's id there."
        )
    if not isinstance(unit_id, str):
        raise InvalidError(f"context.targetingKey is {unit_id!r}; send it as a string.")
    now = time_of_request(request.key, body.timestamp, services.get(Clock))
    context: Mapping[str, Json] = body.context  # type: ignore[assignment] # JSON
    return unit_id, context, now


def _etag(plan: Plan, body: bytes, now: float) -> str:
    """The state of what is asked: the plan, the context, and what has started."""
    started = sum(
        rule.started_at <= now
        for placement in plan.placements.values()
        for rule in placement.experiments
    )
    state = blake2b(body, digest_size=12, key=f"{plan.revision}{started}".encode())
    return f'"{state.hexdigest()}"'


def _evaluate(
    placement: PlacementPlan,
    plan: Plan,
    unit_id: str,
    context: Mapping[str, Json],
    now: float,
) -> Evaluation | Failure:
    answer = assign(placement, unit_id, context, now)
    value = _value(answer, plan)
    if value is None:
        return Failure(
            key=placement.key,
            error_code="GENERAL",
            error_details=f"Placement {placement.key!r} has no model version yet.",
        )
    return Evaluation(
        key=placement.key,
        reason="SPLIT" if answer.reason is Reason.SPLIT else "STATIC",
        variant=answer.variant or DEFAULT_VARIANT,
        value=value,
        metadata=_metadata(answer, plan),
    )


def _value(answer: Assignment, plan: Plan) -> msgspec.Raw | None:
    """The value's JSON as it was written, so that 5.0 stays a float."""
    if answer.payload is not None:
        return msgspec.Raw(answer.payload.encode())
    version = plan.versions.get(answer.version_id or 0)
    if version is None:
        return None
    named = {"model": version.model, "version": version.number}
    return msgspec.Raw(_ENCODER.encode(named))


def _metadata(answer: Assignment, plan: Plan) -> dict[str, str | int | float]:
    """Flat and primitive: clients drop the rest."""
    metadata: dict[str, str | int | float] = {"decidedBy": answer.reason.value}
    if answer.experiment is not None:
        metadata["experiment"] = answer.experiment
        metadata["phase"] = answer.phase
        metadata["epoch"] = answer.epoch
        metadata["probability"] = answer.probability
    version = plan.versions.get(answer.version_id or 0)
    if version is not None:
        metadata["model"] = version.model
        metadata["modelVersion"] = version.number
    return metadata


ROUTES = (
    Route(
        method="POST",
        pattern="/ofrep/v1/evaluate/flags/{key}",
        handler=evaluate_one,
        scope="evaluate",
        summary="OFREP: what one placement answers.",
        request_type=EvaluationRequest,
        response_type=Evaluation,
        render_error=render_error,
    ),
    Route(
        method="POST",
        pattern="/ofrep/v1/evaluate/flags",
        handler=evaluate_all,
        scope="evaluate",
        summary="OFREP: what every placement answers.",
        request_type=EvaluationRequest,
        response_type=BulkEvaluation,
        render_error=render_error,
    ),
)
