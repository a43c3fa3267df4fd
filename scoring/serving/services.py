"""A list for a shopper: assignment, history, ranking, fallback, and what is logged."""

import asyncio
import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from experiments.assignment.answers import Assignment, UnitContext
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.exposures import ExposureLog, Source
from experiments.assignment.javascript import Json
from experiments.assignment.plan import PlacementPlan, Plan
from experiments.events.stream import EventStream
from experiments.gateway.units import UnitHasher
from models_registry.errors import InvalidError
from scoring.engine.protocol import History, Ranked
from scoring.serving import records
from scoring.serving.fallback import (
    Fallback,
    Filled,
    fallback_version_id,
    fill,
)
from scoring.serving.history import RecentHistory
from scoring.serving.models_cache import ModelCache
from scoring.serving.ranking import Ranker, withheld
from scoring.serving.records import Occasion

MAX_ITEMS = 200
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a shop wants.

    Attributes:
        k: Longest list; None: the placement's size.
        exclude: Items not to be shown.
        candidates: Rank only these; None: the whole catalogue.
        attributes: Of the unit, for audiences.
        history: What the unit did; None: read from what it sent as events.
        dry_run: Compute, but log nothing.
        source: Where the list was asked for.
    """

    placement: PlacementPlan
    unit_id: str
    now: float
    k: int | None = None
    exclude: Collection[str] = ()
    candidates: Sequence[str] | None = None
    attributes: Mapping[str, Json] = field(default_factory=dict)
    history: History | None = None
    dry_run: bool = False
    source: Source = field(default_factory=lambda: Source("recommendations"))


class AnswerItem(msgspec.Struct, frozen=True):
    """One item of a list.

    Attributes:
        position: From 1.
        score: On the model's own scale; None: the fallback put it there.
        propensity: Probability of this item at this position.
    """

    item_id: str
    position: int
    score: float | None
    propensity: float


class Answer(msgspec.Struct, frozen=True):
    """A list, and all that is needed to know where it came from."""

    request_id: str
    placement: str
    experiment: str | None
    phase: int | None
    variant: str | None
    reason: str
    model: str | None
    version: int | None
    fallback: str
    items: list[AnswerItem]


class Recommender:
    """Answers asks from memory and Redis; one object per process and event loop."""

    def __init__(
        self,
        models: ModelCache,
        history: RecentHistory,
        exposures: ExposureLog,
        stream: EventStream,
        hasher: UnitHasher,
    ) -> None:
        self._models = models
        self._history = history
        self._exposures = exposures
        self._stream = stream
        self._hasher = hasher

    async def recommend(self, ask: Ask, compiled: CompiledPlan) -> Answer:
        """A list for a unit; it logs itself, unless it is a dry run.

        Raises:
            InvalidError: The placement carries a value and not a model.
        """
        plan = compiled.plan
        context = UnitContext(ask.unit_id, ask.attributes, ask.now)
        assignment = compiled.assign(ask.placement.key, context)
        _check_is_model(ask.placement, assignment)
        unit_key = self._hasher.hash(ask.unit_id)
        version = plan.versions.get(assignment.version_id or 0)
        history = ask.history
        if history is None:
            history = await self._history.of(unit_key, ask.now)
        filled = await self._list(ask, plan, assignment, history)
        occasion = Occasion(
            unit_key=unit_key,
            request_id=str(uuid.uuid4()),
            now=ask.now,
            assignment=assignment,
            model_version=f"{version.model}/{version.number}" if version else None,
        )
        if not ask.dry_run:
            source = ask.source._replace(request_id=occasion.request_id)
            self._stream.append_later(
                records.served_rows(occasion, filled.items, filled.fallback)
            )
            self._exposures.note(context, (assignment,), plan, lambda: source)
        return Answer(
            request_id=occasion.request_id,
            placement=assignment.placement,
            experiment=assignment.experiment,
            phase=assignment.phase if assignment.experiment else None,
            variant=assignment.variant,
            reason=assignment.reason.value,
            model=version.model if version else None,
            version=version.number if version else None,
            fallback=filled.fallback.value,
            items=[
                AnswerItem(item.item_id, position, item.score, 1.0)
                for position, item in enumerate(filled.items, 1)
            ],
        )

    async def _list(
        self, ask: Ask, plan: Plan, assignment: Assignment, history: History
    ) -> Filled:
        k = ask.placement.list_size if ask.k is None else ask.k
        hidden = withheld(history, ask.exclude, exclude_seen=ask.placement.exclude_seen)
        version = plan.versions.get(assignment.version_id or 0)
        ranker = self._models.get(version.id) if version else None
        own, reason = None, Fallback.MODEL_UNAVAILABLE
        if ranker is not None:
            own = await self._ranked(ranker, ask, plan, history, k, hidden)
            reason = _why_short(own, history)
        if own is not None and len(own.item_ids) >= k:
            return fill(own, k, lambda: None, reason=reason)
        other = fallback_version_id(
            plan, assignment.version_id, ask.placement.default_version_id
        )
        popular = self._models.get(other) if other is not None else None
        extra: Ranked | None = None
        if popular is not None and popular is not ranker:
            listed = hidden.union(own.item_ids if own else ())
            extra = await self._ranked(popular, ask, plan, history, k, listed)
        return fill(own, k, lambda: extra, reason=reason)

    async def _ranked(
        self,
        ranker: Ranker,
        ask: Ask,
        plan: Plan,
        history: History,
        k: int,
        hidden: Collection[str],
    ) -> Ranked | None:
        """The ranker's list; None: it failed, which is logged."""

        def rank() -> Ranked:
            return ranker.rank(
                history,
                k,
                items_out=plan.items_out,
                exclude=hidden,
                candidates=ask.candidates,
            )

        try:
            if ranker.inline:
                return rank()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._models.pool, rank)
        except Exception:
            # A broken model must not take the shop's page with it.
            LOGGER.exception("version %d failed to rank", ranker.version.id)
            return None


def _why_short(own: Ranked | None, history: History) -> Fallback:
    if own is None:
        return Fallback.MODEL_FAILED
    return Fallback.TOO_FEW if history.item_ids else Fallback.NO_HISTORY


def _check_is_model(placement: PlacementPlan, assignment: Assignment) -> None:
    if assignment.version_id is None and assignment.payload is not None:
        raise InvalidError(
            f"Placement {placement.key!r} carries a value and not a model here; ask "
            "POST /api/v1/assignments for it."
        )
