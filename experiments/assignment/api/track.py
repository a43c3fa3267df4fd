"""``POST /track``: what the GrowthBook SDKs' tracking plugin sends becomes our events.

"Experiment Viewed" is an exposure; an event of the shop's own keeps its name in our
spelling. "Feature Evaluated" comes at every evaluation and is not logged. The plugin's
events bear no id and no time: an exposure's id is made from what it is, so that the log
keeps one a day, whether we logged it or the client; other events get a new one.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from experiments.assignment import javascript as js
from experiments.assignment.api.growthbook import render_error
from experiments.assignment.claims import EXPOSURE, find_experiment
from experiments.assignment.exposures import IDENTIFIERS, Exposure, utc_day
from experiments.assignment.holder import PlanHolder
from experiments.events.contract import MAX_EVENTS, MAX_PROPERTIES, MAX_STRING
from experiments.events.ingestion import ExposureCheck, Sender, ingest
from experiments.events.stream import EventStream
from experiments.gateway.bodies import check_depth, read_json
from experiments.gateway.clock import Clock
from experiments.gateway.handlers import Request, Response, Route, Services
from experiments.gateway.units import UnitHasher
from models_registry.errors import InvalidError

VIEWED = "Experiment Viewed"
EVALUATED = "Feature Evaluated"
_NAME = re.compile(r"[^a-z0-9]+")
_PAGE = ("url", "page_title", "utm_source", "utm_medium", "utm_campaign")


class TrackedEvent(msgspec.Struct, frozen=True):
    """An event of the plugin; ``context_json`` holds the unit's other attributes."""

    event_name: str
    properties_json: dict[str, object] | None = None
    context_json: dict[str, object] | None = None
    user_id: str | None = None
    device_id: str | None = None
    session_id: str | None = None
    page_id: str | None = None
    url: str | None = None
    page_title: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    sdk_language: str | None = None
    sdk_version: str | None = None


class _Envelope(msgspec.Struct, frozen=True):
    """What a server-side plugin sends instead of an array."""

    events: list[TrackedEvent]


_DECODER = msgspec.json.Decoder(list[TrackedEvent] | _Envelope)
_ENCODE = msgspec.json.Encoder().encode


async def post_track(request: Request, services: Services) -> Response:
    """Take the plugin's events.

    Raises:
        InvalidError: No event, or more than 1,000.
        StreamUnavailableError: Nothing was taken.
    """
    body = read_json(request.body, _DECODER)
    events = body.events if isinstance(body, _Envelope) else body
    if not 1 <= len(events) <= MAX_EVENTS:
        raise InvalidError(
            f"The request holds {len(events)} events; send 1 to {MAX_EVENTS} at a time."
        )
    for event in events:
        check_depth(event.properties_json, most=18)
        check_depth(event.context_json, most=18)
    now = datetime.fromtimestamp(services.get(Clock).now(), UTC)
    hasher = services.get(UnitHasher)
    agent = request.headers.get("user-agent", "")[:MAX_STRING]
    told = [
        _translated(event, services.get(PlanHolder), hasher, now)
        | {"user_agent": agent}
        for event in events
        if event.event_name != EVALUATED
    ]
    accepted, rejections = 0, []
    if told:
        sender = Sender.of(request.key) if request.key else Sender()
        check = services.get(ExposureCheck)
        result = ingest(_ENCODE(told), sender, hasher, now, check)
        if result.rows:
            await services.get(EventStream).append(result.rows)
        accepted, rejections = result.accepted, result.rejections
    answer = {
        "status": 200,
        "accepted": accepted,
        "ignored": len(events) - len(told),
        "rejected": rejections,
    }
    return Response(200, _ENCODE(answer))


def _translated(
    event: TrackedEvent, holder: PlanHolder, hasher: UnitHasher, now: datetime
) -> dict[str, object]:
    """An event in our contract; what it lacks, ingestion says."""
    properties = event.properties_json or {}
    translated: dict[str, object] = {
        "event_id": str(uuid.uuid4()),
        "name": _NAME.sub("_", event.event_name.lower()).strip("_")[:64],
        "unit_id": event.user_id or event.device_id or "",
        "timestamp": now,
        "source": "web",
        "session_id": event.session_id,
        "page_view_id": event.page_id,
        "properties": _origin(event),
    }
    if event.event_name == VIEWED:
        translated |= _exposure(event, properties, holder, hasher, now)
    else:
        translated["properties"] = _flat(properties) | _origin(event)
    return {name: value for name, value in translated.items() if value is not None}


def _exposure(
    event: TrackedEvent,
    properties: Mapping[str, object],
    holder: PlanHolder,
    hasher: UnitHasher,
    now: datetime,
) -> dict[str, object]:
    experiment = js.text(properties.get("experimentId") or "")  # type: ignore[arg-type] # JSON
    hashed = properties.get("hashValue")
    unit_id = js.text(hashed) if hashed else ""  # type: ignore[arg-type] # JSON
    found = find_experiment(holder.compiled(), experiment)
    phase = found[1].phase if found else 0
    day = utc_day(now.timestamp())
    exposure = Exposure(experiment, phase, day, hasher.hash(unit_id))
    context = event.context_json or {}
    out = IDENTIFIERS.union([str(properties.get("hashAttribute"))])
    return {
        "event_id": exposure.event_id,
        "name": EXPOSURE,
        "unit_id": unit_id,
        "experiment": experiment,
        "variant": js.text(properties.get("variationId") or ""),  # type: ignore[arg-type] # JSON
        "attributes": _flat({k: v for k, v in context.items() if k not in out}) or None,
    }


def _origin(event: TrackedEvent) -> dict[str, object]:
    """Where it happened, and which SDK says so."""
    page = {name: getattr(event, name) for name in _PAGE if getattr(event, name)}
    return {
        "endpoint": "track",
        "sdk": f"growthbook-{event.sdk_language or 'unknown'}",
        "sdk_version": event.sdk_version or "",
    } | _flat(page)


def _flat(values: Mapping[str, object]) -> dict[str, object]:
    """What of an object our contract takes: plain values, of a bounded length."""
    plain = {
        name[:MAX_STRING]: value[:MAX_STRING] if isinstance(value, str) else value
        for name, value in values.items()
        if name and isinstance(value, str | int | float | bool)
    }
    return dict(list(plain.items())[: MAX_PROPERTIES - len(_PAGE) - 3])


ROUTES = (
    Route(
        method="POST",
        pattern="/track",
        handler=post_track,
        scope="events",
        summary="GrowthBook SDKs: what the tracking plugin sends.",
        request_type=list[TrackedEvent],
        render_error=render_error,
        key_parameter="client_key",
    ),
)
