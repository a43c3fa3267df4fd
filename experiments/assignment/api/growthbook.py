"""The routes of GrowthBook's SDKs: payload, stream, remote evaluation.

A placement is GrowthBook's feature, a publishable key its client key. A key for remote
evaluation only never sees the targeting: for it the payload is refused, and its stream
carries beacons. References: ``payload``.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from experiments.assignment import javascript as js
from experiments.assignment.answers import Assignment, Reason, UnitContext
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.exposures import ExposureLog, Source
from experiments.assignment.holder import PlanHolder
from experiments.assignment.javascript import Json
from experiments.assignment.payload import (
    Configurations,
    experiment_definition,
    value_of,
    variant_values,
)
from experiments.assignment.plan import ExperimentPlan, PlacementPlan, Plan
from experiments.assignment.streams import (
    Streams,
    features_message,
    features_updated_message,
)
from experiments.gateway.bodies import check_depth, read_json
from experiments.gateway.clock import Clock
from experiments.gateway.handlers import Request, Response, Route, Services
from models_registry.errors import ShipworthyError

MAX_ENTRIES = 1_000
_ENCODER = msgspec.json.Encoder()
_NULL = msgspec.Raw(b"null")
_SPLIT = frozenset({Reason.SPLIT, Reason.STICKY})
_SSE_SUPPORT = ("x-sse-support", "enabled")
_CACHEABLE = (
    ("content-type", "application/json"),
    (
        "cache-control",
        "public, max-age=30, stale-while-revalidate=3600, stale-if-error=36000",
    ),
    _SSE_SUPPORT,
    ("vary", "origin"),  # also where none was sent: a cache may serve one later
)
# Whatever the caller does, this key will not get what it asks for here.
_UNRECOVERABLE = frozenset({401, 403, 404})

Entries = Annotated[dict[str, object], Meta(max_length=MAX_ENTRIES)]


class RemoteOnlyError(ShipworthyError):
    """The key's holders may not see the targeting."""

    code = "remote_only"
    status = 403


class RemoteEvaluation(msgspec.Struct, frozen=True, rename="camel"):
    """Who asks.

    Attributes:
        attributes: Of the unit; ``id`` is the unit id.
        forced_variations: Experiment key to the variant's index.
        forced_features: Pairs of a placement's key and its value.
        url: Of the page.
    """

    attributes: Entries = {}
    forced_variations: Annotated[dict[str, int], Meta(max_length=MAX_ENTRIES)] = {}
    forced_features: Annotated[
        list[tuple[str, msgspec.Raw]], Meta(max_length=MAX_ENTRIES)
    ] = []
    url: str = ""


_DECODER = msgspec.json.Decoder(RemoteEvaluation)


def render_error(error: ShipworthyError, parameters: Mapping[str, str]) -> Response:
    """An error as GrowthBook has it: 400 for whatever is wrong with the key."""
    del parameters
    lost = error.status in _UNRECOVERABLE
    status = 400 if lost else error.status
    body = {"status": status, "error": error.message}
    headers = [("content-type", "application/json")]
    if lost:
        headers.append(("x-unrecoverable", "1"))
    return Response(status, _ENCODER.encode(body), tuple(headers))


async def features(request: Request, services: Services) -> Response:
    """All placements, for SDKs that evaluate by themselves.

    Raises:
        RemoteOnlyError: The key may not see the targeting.
    """
    if request.key is not None and request.key.remote_only:
        raise RemoteOnlyError(
            "This key is for remote evaluation only; POST to /api/eval/{client key}."
        )
    configuration = services.get(Configurations).of(services.get(PlanHolder).current())
    now = services.get(Clock).now()
    etag = f'"{configuration.state(now)}"'
    headers = (*_CACHEABLE, ("etag", etag))
    if etag in request.headers.get("if-none-match", ""):
        return Response(304, b"", headers[1:])
    return Response(200, configuration.payload(now), headers)


async def subscribe(request: Request, services: Services) -> Response:
    """A stream of payloads, or of beacons for remote evaluation.

    Raises:
        RateLimitedError: The key has too many streams open.
    """
    key = request.key
    assert key is not None  # noqa: S101 # the route has a scope
    message = features_updated_message if key.remote_only else features_message
    last = request.headers.get("last-event-id", "")
    return services.get(Streams).open(key, message, last)


async def evaluate(request: Request, services: Services) -> Response:
    """What every placement answers a unit, as features without their rules.

    Raises:
        InvalidError: The body breaks a rule.
    """
    body = read_json(request.body, _DECODER)
    check_depth(body.attributes, most=19)
    compiled = services.get(PlanHolder).compiled()
    plan = compiled.plan
    now = services.get(Clock).now()
    context = _context(body, plan, now)
    assignments = compiled.assign_all(context)
    source = partial(Source.of, request, "remote_evaluation")
    services.get(ExposureLog).note(context, assignments, plan, source)
    forced = dict(body.forced_features)
    features = {
        key: {"defaultValue": forced[key]}
        if key in forced
        else _reduced(compiled, placement, assignment, context)
        for (key, placement), assignment in zip(
            plan.placements.items(), assignments, strict=True
        )
    }
    configuration = services.get(Configurations).of(plan)
    answer = {
        "status": 200,
        "features": features,
        "experiments": [],
        "dateUpdated": configuration.updated(now),
    }
    headers = (
        ("content-type", "application/json"),
        ("cache-control", "private, no-store"),
        _SSE_SUPPORT,
    )
    return Response(200, _ENCODER.encode(answer), headers)


def _context(body: RemoteEvaluation, plan: Plan, now: float) -> UnitContext:
    attributes: Mapping[str, Json] = body.attributes  # type: ignore[assignment] # JSON
    unit = attributes.get("id")
    forced = {}
    if body.forced_variations:
        for placement in plan.placements.values():
            for rule in placement.experiments:
                index = body.forced_variations.get(rule.key, -1)
                if 0 <= index < len(rule.variants):
                    forced[rule.key] = rule.variants[index].key
    return UnitContext(js.text(unit) if unit else "", attributes, now, forced)


def _reduced(
    compiled: CompiledPlan,
    placement: PlacementPlan,
    assignment: Assignment,
    context: UnitContext,
) -> dict[str, object]:
    """A feature that says its value, and what to track; not who gets what."""
    plan = compiled.plan
    value = value_of(plan, assignment.version_id, assignment.payload)
    value = _NULL if value is None else value
    reduced: dict[str, object] = {"defaultValue": value}
    for rule in placement.experiments:
        if rule.key == assignment.experiment and assignment.reason in _SPLIT:
            track = _track(plan, placement, rule, assignment, context)
            reduced["rules"] = [{"force": value, "tracks": [track]}]
    return reduced


def _track(
    plan: Plan,
    placement: PlacementPlan,
    rule: ExperimentPlan,
    assignment: Assignment,
    context: UnitContext,
) -> dict[str, object]:
    """What the SDK hands its tracking callback; other variants' values are blank."""
    values = variant_values(plan, placement, rule)
    index = list(values).index(assignment.variant or "")
    experiment = experiment_definition(rule)
    experiment["variations"] = [
        value if key == assignment.variant else {} for key, value in values.items()
    ]
    hashed = context.attributes.get(assignment.unit)
    result = {
        "key": assignment.variant,
        "name": assignment.variant,
        "featureId": placement.key,
        "inExperiment": True,
        "hashUsed": True,
        "variationId": index,
        "value": values[assignment.variant or ""],
        "hashAttribute": assignment.unit,
        "hashValue": context.unit_id if assignment.unit == "id" else hashed,
        "stickyBucketUsed": assignment.reason is Reason.STICKY,
    }
    if assignment.bucket is not None:
        result["bucket"] = assignment.bucket
    return {"experiment": experiment, "result": result}


ROUTES = (
    Route(
        method="GET",
        pattern="/api/features/{client_key}",
        handler=features,
        scope="evaluate",
        summary="GrowthBook SDKs: all placements, to evaluate by oneself.",
        render_error=render_error,
        key_parameter="client_key",
    ),
    Route(
        method="GET",
        pattern="/sub/{client_key}",
        handler=subscribe,
        scope="evaluate",
        summary="GrowthBook SDKs: a stream of server-sent events with changes.",
        render_error=render_error,
        key_parameter="client_key",
    ),
    Route(
        method="POST",
        pattern="/api/eval/{client_key}",
        handler=evaluate,
        scope="evaluate",
        summary="GrowthBook SDKs: what every placement answers one unit.",
        request_type=RemoteEvaluation,
        render_error=render_error,
        key_parameter="client_key",
    ),
)
