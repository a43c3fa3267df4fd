"""OFREP 0.3: one placement, or all of them, for one unit; and the stream of changes.

A placement is OFREP's flag. Answers are shaped for the real clients, which break on
less than the specification allows: variant, reason, value and errorDetails are always
there. References: OpenFeature Remote Evaluation Protocol 0.3.0, ADR 0008.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import blake2b

import msgspec
from redis.asyncio import Redis

from experiments.assignment import flags
from experiments.assignment.answers import Assignment, UnitContext
from experiments.assignment.api.native import answer_headers, check_attributes
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.exposures import ExposureLog, Source
from experiments.assignment.holder import PlanHolder
from experiments.assignment.javascript import Json
from experiments.assignment.payload import Configuration, Configurations, value_of
from experiments.assignment.streams import Streams, refetch_message
from experiments.gateway.bodies import check_depth, read_json
from experiments.gateway.clock import Clock, time_of_request
from experiments.gateway.handlers import Request, Response, Route, Services
from experiments.gateway.keys import Key
from experiments.gateway.tokens import Tokens
from models_registry.errors import InvalidError, NotFoundError, ShipworthyError

WANTED = "placements"  # of the context: the placements a bulk answer is wanted of
INACTIVITY_SECONDS = 120
# A bulk answer is good for so long at most: its stream's token lives twice as long, and
# an exposure is logged again on another day.
_GOOD_FOR_SECONDS = 12 * 3600
_JSON = (("content-type", "application/json"),)
_CODES = {
    "malformed_json": "PARSE_ERROR",
    "nested_too_deep": "PARSE_ERROR",
    "body_undecodable": "PARSE_ERROR",
    "invalid": "INVALID_CONTEXT",
    "too_many_attributes": "INVALID_CONTEXT",
    "targeting_key_missing": "TARGETING_KEY_MISSING",
    "flag_not_found": "FLAG_NOT_FOUND",
}


class FlagNotFoundError(NotFoundError):
    """There is no placement of that key."""

    code = "flag_not_found"


class NoVersionError(ShipworthyError):
    """The placement's model has no version to answer with yet."""

    code = "no_version"


class TargetingKeyMissingError(InvalidError):
    """The context does not say who is asking."""

    code = "targeting_key_missing"


class EvaluationRequest(msgspec.Struct, frozen=True):
    """Who asks: ``targetingKey`` is the unit id, the rest its attributes.

    Attributes:
        context: With ``placements``, a list of keys, a bulk answer has only those.
        timestamp: Evaluate as of then; needs the scope ``simulate``.
    """

    context: dict[str, object] = {}
    timestamp: datetime | None = None


class BulkEvaluation(msgspec.Struct, frozen=True, rename="camel"):
    """What all placements answer; for the OpenAPI page.

    Attributes:
        flags: ``Evaluation`` or ``Failure`` each; msgspec knows no union of the two.
        event_streams: Where changes are told of.
    """

    flags: list[object]
    metadata: dict[str, str]
    event_streams: list[object]


class _Asked(msgspec.Struct, frozen=True):
    """Who asks for what, at what time."""

    context: UnitContext
    wanted: list[str] | None


_DECODER = msgspec.json.Decoder(EvaluationRequest)
_WANTED_TYPE = list[str]


def render_error(error: ShipworthyError, parameters: Mapping[str, str]) -> Response:
    """An error as OFREP has it: 401 and 403 without a body."""
    if error.status in {401, 403}:
        return Response(error.status, b"", ())
    key = parameters.get("key", "")[:200]
    failure = flags.failure(key, _CODES.get(error.code, "GENERAL"), error.message)
    return Response(error.status, failure, _JSON)


async def evaluate_one(request: Request, services: Services) -> Response:
    """What one placement answers a unit.

    Raises:
        FlagNotFoundError: There is no such placement.
        InvalidError: The context is wrong or names nobody.
        NoVersionError: The placement has no model version to answer with yet.
    """
    holder = services.get(PlanHolder)
    compiled = holder.compiled()
    asked = _asked(request, services)
    key = request.path_parameters["key"]
    if key not in compiled.plan.placements:
        raise FlagNotFoundError(f"No placement {key[:100]!r}.")
    assignment = compiled.assign(key, asked.context)
    configuration = services.get(Configurations).of(compiled.plan)
    body = flags.rendered(assignment, compiled.plan, configuration)
    if value_of(compiled.plan, assignment.version_id, assignment.payload) is None:
        raise NoVersionError(flags.no_version(key))
    source = partial(Source.of, request, "ofrep.single")
    services.get(ExposureLog).note(asked.context, (assignment,), compiled.plan, source)
    return Response(200, body, answer_headers(holder))


async def evaluate_all(request: Request, services: Services) -> Response:
    """What every placement answers a unit; 304 when that is what the caller has.

    The ETag is that of the plan's content, the body and the half-day, so a 304 costs no
    evaluation. A refetch after an event is answered by what the event told of; as long
    as this process cannot tell, never by a 304.

    Raises:
        InvalidError: The context is wrong or names nobody.
    """
    holder, asked = services.get(PlanHolder), None
    configurations = services.get(Configurations)
    now = services.get(Clock).now()
    certain = True
    if request.query:
        certain = await _catch_up(request, services, now)
    compiled = holder.compiled()
    configuration = configurations.of(compiled.plan)
    if b'"timestamp"' in request.body:  # the shop's own time is part of the state
        asked = _asked(request, services)
        now = asked.context.now
    etag = _etag(configuration, request, now, stale=compiled.stale())
    headers = (
        *answer_headers(holder),
        ("etag", etag),
        ("cache-control", "private, no-cache"),
    )
    if certain and etag in request.headers.get("if-none-match", ""):
        return Response(304, b"", headers[1:])
    asked = asked or _asked(request, services)
    found, assignments = _flags(compiled, configuration, asked)
    source = partial(Source.of, request, "ofrep.bulk")
    services.get(ExposureLog).note(asked.context, assignments, compiled.plan, source)
    tail = _tail(configuration, request.key, services, now)
    return Response(200, b'{"flags":[' + b",".join(found) + tail, headers)


async def stream(request: Request, services: Services) -> Response:
    """Tell of changes until the client leaves or its token's key ends.

    Raises:
        RateLimitedError: The key has too many streams open.
    """
    assert request.key is not None  # noqa: S101 # the route has a scope
    last = request.headers.get("last-event-id", "")
    return services.get(Streams).open(request.key, refetch_message, last)


def _asked(request: Request, services: Services) -> _Asked:
    body = read_json(request.body, _DECODER)
    context = body.context
    unit_id = context.get("targetingKey")
    if unit_id is None or unit_id == "":
        raise TargetingKeyMissingError(
            "context.targetingKey is missing; put the shopper's id there."
        )
    if not isinstance(unit_id, str):
        raise InvalidError(
            f"context.targetingKey is {str(unit_id)[:100]!r}; send it as a string."
        )
    check_attributes(context, "context")
    check_depth(body.context, most=19)
    wanted = None
    if WANTED in context:
        try:
            wanted = msgspec.convert(context.pop(WANTED), _WANTED_TYPE)
        except msgspec.ValidationError:
            raise InvalidError(
                f"context.{WANTED} must be a list of placement keys."
            ) from None
    now = time_of_request(request.key, body.timestamp, services.get(Clock))
    attributes: Mapping[str, Json] = context  # type: ignore[assignment] # JSON
    return _Asked(UnitContext(unit_id, attributes, now), wanted)


def _etag(
    configuration: Configuration, request: Request, now: float, *, stale: bool
) -> str:
    """What the answer depends on: the configuration, who asks, and the half-day.

    Where a variant was withdrawn for harm, also whether the plan is too old for it.
    """
    key_id = request.key.id if request.key else 0
    refused = stale and configuration.has_withdrawn
    half_day = int(now // _GOOD_FOR_SECONDS)
    state = f"{configuration.state(now)}.{key_id}.{half_day}.{refused}\n".encode()
    return f'"{blake2b(state + request.body, digest_size=12).hexdigest()}"'


async def _catch_up(request: Request, services: Services, now: float) -> bool:
    """Whether we hold what an event told of; if not yet, after looking for it."""
    etag = request.query.get("flagConfigEtag", "").removeprefix("W/").strip('"')
    modified = _epoch_seconds(request.query.get("flagConfigLastModified", ""))
    if not etag and not modified:
        return True
    holder, configurations = services.get(PlanHolder), services.get(Configurations)

    def holds() -> bool:
        mine = configurations.of(holder.current())
        if etag:
            return mine.state(now) == etag
        return int(mine.modified_at(now)) >= modified

    if not holds():
        await holder.catch_up(services.get(Redis))
    return holds()


def _epoch_seconds(text: str) -> int:
    """Epoch seconds, or a date of HTTP or ISO 8601; 0: none that can be read."""
    if text.isdecimal():
        return int(text[:15])
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return int(moment.timestamp())
        except (ValueError, OverflowError):
            continue
    return 0


def _flags(
    compiled: CompiledPlan, configuration: Configuration, asked: _Asked
) -> tuple[list[bytes], list[Assignment]]:
    plan, wanted, missing = compiled.plan, asked.wanted, []
    if wanted is not None:
        missing = [key for key in wanted if key not in plan.placements]
        wanted = [key for key in wanted if key in plan.placements]
    assignments = compiled.assign_all(asked.context, wanted)
    found = flags.rendered_all(assignments, plan, configuration)
    found += [
        flags.failure(key[:200], "FLAG_NOT_FOUND", f"No placement {key[:100]!r}.")
        for key in missing
    ]
    return found, assignments


def _tail(
    configuration: Configuration, key: Key | None, services: Services, now: float
) -> bytes:
    assert key is not None  # noqa: S101 # the route has a scope
    token = services.get(Tokens).issue(key, services.get(Clock).now())
    return (
        f'],"metadata":{{"configuration":"{configuration.state(now)}"}},'
        f'"eventStreams":[{{"type":"sse","endpoint":{{"requestUri":'
        f'"/ofrep/v1/stream/{token}"}},"inactivityDelaySec":{INACTIVITY_SECONDS}}}]}}'
    ).encode()


ROUTES = (
    Route(
        method="POST",
        pattern="/ofrep/v1/evaluate/flags/{key}",
        handler=evaluate_one,
        scope="evaluate",
        summary="OFREP: what one placement answers.",
        request_type=EvaluationRequest,
        response_type=flags.Evaluation,
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
    Route(
        method="GET",
        pattern="/ofrep/v1/stream/{token}",
        handler=stream,
        scope="evaluate",
        summary="OFREP: a stream of server-sent events that tell of changes.",
        render_error=render_error,
        token_parameter="token",  # noqa: S106 # a name
    ),
)
