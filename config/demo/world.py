"""Who comes to the demonstration shop, and what they do there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Event = Mapping[str, object]


@dataclass(frozen=True)
class Visit:
    """A shopper opens the home page.

    Attributes:
        number: Position in time order.
        at: Unix seconds of the shop's clock.
    """

    number: int
    unit_id: str
    at: float


class World(Protocol):
    """A shop's past as files, and its future as visits and responses.

    Attributes:
        currency: Of its prices, ISO 4217.
        starts_at, ends_at: The experiment's stretch, Unix seconds.
        newcomers: Share of shoppers without a history to expect in it, told by the
            stretch before it.
    """

    currency: str
    starts_at: float
    ends_at: float
    newcomers: float

    def log_file(self) -> tuple[Path, str]:
        """The past as a file to import, and the name of its column mapping."""

    def catalogue_file(self) -> tuple[Path, str] | None:
        """The catalogue as a file, and its mapping; None: the log carries it."""

    def visits(self) -> Sequence[Visit]:
        """Visits in time order."""

    def respond(
        self, visit: Visit, items: Sequence[str], request_id: str
    ) -> list[Event]:
        """What the shopper sends after seeing the list, as events of our API."""

    def background(self) -> Iterator[Event]:
        """Events of the stretch that belong to no visit, in time order."""


def newcomer_share(
    shoppers: npt.ArrayLike, at: npt.ArrayLike, *, since: float
) -> float:
    """Share of the shoppers seen since a moment who had never been seen before it.

    Args:
        shoppers: Who, a row a visit, any hashable.
        at: When, the same length, Unix seconds.
        since: The moment.
    """
    who, when = np.asarray(shoppers), np.asarray(at, dtype=np.float64)
    _, index = np.unique(who, return_inverse=True)
    first = np.full(index.max(initial=-1) + 1, np.inf)
    last = np.full(first.shape, -np.inf)
    np.minimum.at(first, index, when)
    np.maximum.at(last, index, when)
    recent = last >= since
    return float((first[recent] >= since).mean()) if recent.any() else 0.0


def event(
    name: str, unit_id: str, at: float, number: int, **fields: object
) -> dict[str, object]:
    """An event of our API, with an id that a rerun of the same shop repeats."""
    import uuid
    from datetime import UTC, datetime

    source = f"{unit_id}/{name}/{at:.3f}/{number}"
    return {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, source)),
        "name": name,
        "unit_id": unit_id,
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        **fields,
    }
