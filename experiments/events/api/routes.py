"""``POST /api/v1/events``: what a shop sends becomes durable, or is told why not."""

from datetime import UTC, datetime

import msgspec

from experiments.events.errors import NothingAcceptedError
from experiments.events.ingestion import ExposureCheck, Sender, ingest
from experiments.events.stream import EventStream
from experiments.gateway.clock import Clock
from experiments.gateway.handlers import Request, Response, Route, Services
from experiments.gateway.units import UnitHasher
from models_registry.errors import Detail

BODY_LIMIT = 5_000_000


async def post_events(request: Request, services: Services) -> Response:
    """Take a batch of events.

    Raises:
        InvalidError: The body can't be read, or every event in it is bad.
        StreamUnavailableError: Nothing was taken; the same request may be sent again.
    """
    now = datetime.fromtimestamp(services.get(Clock).now(), UTC)
    sender = Sender.of(request.key) if request.key else Sender()
    result = ingest(
        request.body,
        sender,
        services.get(UnitHasher),
        now,
        services.get(ExposureCheck),
    )
    if not result.accepted:
        raise NothingAcceptedError(
            tuple(
                Detail(
                    field=f"events[{r.index}].{r.field}".rstrip("."),
                    code=r.code,
                    message=r.message,
                )
                for r in result.rejections
            )
        )
    await services.get(EventStream).append(result.rows)
    answer = {"accepted": result.accepted, "rejected": result.rejections}
    return Response(202, msgspec.json.encode(answer))


ROUTES = (
    Route(
        method="POST",
        pattern="/api/v1/events",
        handler=post_events,
        scope="events",
        body_limit=BODY_LIMIT,
        summary="Send events, 1 to 1,000 at a time.",
    ),
)
