"""Exposures that we log ourselves: once per unit, experiment, phase and UTC day.

An exposure's event id is made from what it is, so whichever process logs it, and
however often, the log keeps one. A process remembers what it logged, to spare the
stream; nothing is asked of Redis. Rows are made after the answer and written in groups
by the event stream, within 200 ms; what a kill loses is logged again when the unit
comes back that day, or the next.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from experiments.assignment.answers import Assignment, UnitContext
from experiments.assignment.javascript import Json
from experiments.assignment.plan import Plan
from experiments.assignment.reservoir import Reservoir
from experiments.events.rows import EventRow
from experiments.events.stream import EventStream
from experiments.gateway.handlers import Request
from experiments.gateway.units import UnitHasher

REMEMBERED = 100_000  # exposures a generation; two generations are remembered
MAX_ATTRIBUTES = 4_000  # characters of JSON
IDENTIFIERS = frozenset(
    {"id", "targetingKey", "anonymous_id", "device_id", "deviceId", "user_id", "userId"}
)
"""Attributes that may be a raw id, which is never written."""
_ROWS_AT_ONCE = 250
_NAMESPACE = uuid.UUID("6f1d2f5e-3c1b-5f0a-9c55-0e3b6a0d7a11")


class Exposure(NamedTuple):
    """A unit meeting an experiment's phase on a UTC day (``2026-11-24``)."""

    experiment: str
    phase: int
    day: str
    unit_key: bytes

    @property
    def event_id(self) -> str:
        """The same for the same exposure, whoever logs it."""
        name = f"{self.experiment}\n{self.phase}\n{self.day}\n{self.unit_key.hex()}"
        return str(uuid.uuid5(_NAMESPACE, name))


def utc_day(now: float) -> str:
    """The UTC date of a moment given in unix seconds."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


class Source(NamedTuple):
    """Where an exposure came about.

    Attributes:
        endpoint: The route's short name, as ``ofrep.bulk``.
        sdk: The calling library, from its user agent; empty: it did not say.
    """

    endpoint: str
    sdk: str = ""
    sdk_version: str = ""
    user_agent: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, request: Request, endpoint: str) -> "Source":
        """What a request tells of its sender: ``library/version ...``."""
        agent = request.headers.get("user-agent", "")[:200]
        sdk, _, version = agent.partition(" ")[0].partition("/")
        return cls(
            endpoint=endpoint,
            sdk=sdk,
            sdk_version=version,
            user_agent=agent,
            request_id=request.request_id,
        )


class _Answered(NamedTuple):
    """What was answered, until its exposures are queued."""

    context: UnitContext
    assignments: Sequence[Assignment]
    plan: Plan
    source: Source


class ExposureLog:
    """Logs what answers expose units to; one object per process and event loop.

    Attributes:
        put_off: Exposures not logged since the stream was full; each is logged when
            its unit comes back.
    """

    def __init__(
        self,
        stream: EventStream,
        hasher: UnitHasher,
        reservoir: Reservoir | None = None,
    ) -> None:
        self._stream = stream
        self._hasher = hasher
        self._reservoir = reservoir
        self._answered: deque[_Answered] = deque()
        self._known: set[int] = set()
        self._known_before: set[int] = set()
        self.put_off = 0

    def note(
        self,
        context: UnitContext,
        assignments: Iterable[Assignment],
        plan: Plan,
        source: Callable[[], Source],
    ) -> None:
        """Log the exposures of an answer once it is given; costs the answer little.

        Who was answered is left in the reservoir, too, exposed or not.

        Args:
            context: Who was answered.
            assignments: What was answered.
            plan: By which plan.
            source: Where; asked for only if there is an exposure to log.
        """
        if self._reservoir is not None:
            self._reservoir.note(context)
        ours = [one for one in assignments if one.exposure == "server"]
        if not ours:
            return
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._queue)
        self._answered.append(_Answered(context, ours, plan, source()))

    def close(self) -> None:
        """Queue what is left, before the stream is closed."""
        while self._answered:
            self._queue_some()

    def _queue(self) -> None:
        self._queue_some()
        if self._answered:
            asyncio.get_running_loop().call_soon(self._queue)

    def _queue_some(self) -> None:
        rows: list[EventRow] = []
        while self._answered and len(rows) < _ROWS_AT_ONCE:
            rows += self._rows(self._answered.popleft(), room=self._stream.room)
        if rows:
            self._stream.append_later(rows)

    def _rows(self, answered: _Answered, room: int) -> list[EventRow]:
        context = answered.context
        unit_key, day = self._hasher.hash(context.unit_id), utc_day(context.now)
        rows: list[EventRow] = []
        for assignment in answered.assignments:
            exposure = Exposure(
                assignment.experiment or "", assignment.phase, day, unit_key
            )
            mark = hash(exposure)
            if mark in self._known or mark in self._known_before:
                continue
            if len(rows) + _ROWS_AT_ONCE > room:
                self.put_off += 1
                continue
            self._remember(mark)
            rows.append(_row(answered, assignment, exposure))
        return rows

    def _remember(self, mark: int) -> None:
        if len(self._known) >= REMEMBERED:
            self._known, self._known_before = set(), self._known
        self._known.add(mark)


def _row(answered: _Answered, assignment: Assignment, exposure: Exposure) -> EventRow:
    """The fact that the unit met its variant, with its attributes frozen."""
    context, source = answered.context, answered.source
    version = answered.plan.versions.get(assignment.version_id or 0)
    origin = {"endpoint": source.endpoint}
    if source.sdk:
        origin |= {"sdk": source.sdk, "sdk_version": source.sdk_version}
    return EventRow(
        name="exposure",
        event_id=exposure.event_id,
        unit_key=exposure.unit_key,
        timestamp=datetime.fromtimestamp(context.now, UTC),
        source="server",
        placement=assignment.placement,
        request_id=source.request_id or None,
        experiment=assignment.experiment,
        phase=assignment.phase,
        epoch=assignment.epoch,
        variant=assignment.variant,
        assignment_probability=assignment.probability,
        reason=assignment.reason.value,
        model_version=f"{version.model}/{version.number}" if version else None,
        attributes=frozen_attributes(context.attributes, {assignment.unit}),
        properties=msgspec.json.encode(origin).decode(),
        user_agent=source.user_agent or None,
    )


def frozen_attributes(
    attributes: Mapping[str, Json], hashed: Iterable[str] = ()
) -> str | None:
    """Attributes as JSON, without raw ids; None: nothing worth keeping.

    Args:
        attributes: What was known of the unit.
        hashed: Attributes that units are split by, so ids too.
    """
    out = IDENTIFIERS.union(hashed)
    kept = {name: value for name, value in attributes.items() if name not in out}
    if not kept:
        return None
    text = msgspec.json.encode(kept).decode()
    return text if len(text) <= MAX_ATTRIBUTES else None
