"""``POST /api/v1/recommendations``: what to show this shopper here."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from experiments.assignment.api.native import answer_headers, find_placement
from experiments.assignment.exposures import Source
from experiments.assignment.holder import PlanHolder
from experiments.events.contract import Attributes, Identifier, Moment
from experiments.gateway.bodies import read_json
from experiments.gateway.clock import Clock, time_of_request
from experiments.gateway.handlers import Request, Response, Route, Services
from scoring.engine.protocol import History
from scoring.serving.services import MAX_ITEMS, Answer, Ask, Recommender

BODY_LIMIT = 262_144


class HistoryItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something the unit did with an item; without a time: just now."""

    item_id: Identifier
    timestamp: Moment | None = None


class RecommendationsRequest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """What is asked for.

    Attributes:
        k: Longest list, 1 to 200; by default the placement's size.
        exclude: Items not to be shown.
        candidates: Rank only these.
        history: What the unit did, oldest first: item ids, or objects with a time;
            by default what it sent as events.
        timestamp: Answer as of then; needs the scope ``simulate``.
        dry_run: Compute, but log nothing.
    """

    unit_id: Identifier
    placement: Identifier
    k: Annotated[int, Meta(ge=1, le=MAX_ITEMS)] | None = None
    exclude: Annotated[list[Identifier], Meta(max_length=1000)] = []
    candidates: Annotated[list[Identifier], Meta(max_length=1000)] | None = None
    attributes: Attributes = {}
    history: Annotated[list[Identifier | HistoryItem], Meta(max_length=1000)] | None = (
        None
    )
    timestamp: datetime | None = None
    dry_run: bool = False


_DECODER = msgspec.json.Decoder(RecommendationsRequest)
_ENCODER = msgspec.json.Encoder()


async def post_recommendations(request: Request, services: Services) -> Response:
    """A list for one unit at one placement; the answer is for it alone.

    Raises:
        InvalidError: The body breaks a rule, or the placement carries no model.
        NotFoundError: There is no such placement.
        ForbiddenError: A timestamp from a key without the scope ``simulate``.
    """
    body = read_json(request.body, _DECODER)
    holder = services.get(PlanHolder)
    compiled = holder.compiled()
    now = time_of_request(request.key, body.timestamp, services.get(Clock))
    ask = Ask(
        placement=find_placement(compiled.plan, body.placement),
        unit_id=body.unit_id,
        now=now,
        k=body.k,
        exclude=body.exclude,
        candidates=body.candidates,
        attributes=body.attributes,
        history=_history(body, now),
        dry_run=body.dry_run,
        source=Source.of(request, "recommendations"),
    )
    answer = await services.get(Recommender).recommend(ask, compiled)
    return Response(
        200,
        _ENCODER.encode(answer),
        (*answer_headers(holder), ("cache-control", "private, no-store")),
    )


def _history(body: RecommendationsRequest, now: float) -> History | None:
    """The history the request brought, oldest first; None: it brought none."""
    if body.history is None:
        return None
    items = [
        HistoryItem(item) if isinstance(item, str) else item for item in body.history
    ]
    timed = [
        (item.timestamp.timestamp() if item.timestamp else now, item.item_id)
        for item in items
    ]
    timed.sort(key=lambda pair: pair[0])  # stable: order as sent among equals
    return History(
        tuple(item_id for _, item_id in timed), tuple(at for at, _ in timed), now
    )


ROUTES = (
    Route(
        method="POST",
        pattern="/api/v1/recommendations",
        handler=post_recommendations,
        scope="recommend",
        body_limit=BODY_LIMIT,
        summary="Ask for a list of items for one shopper at one placement.",
        request_type=RecommendationsRequest,
        response_type=Answer,
    ),
)
