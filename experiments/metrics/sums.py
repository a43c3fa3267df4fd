"""What the log is reduced to for one experiment: exact whole-number sums (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.aggregates import Moments

IntArray: TypeAlias = NDArray[np.int64]
WholeArray: TypeAlias = NDArray[np.object_]
"""Python integers, which neither round nor overflow."""


@dataclass(frozen=True)
class Scope:
    """Which rows of the log one analysis reads.

    Attributes:
        started_at: Start of the phase; earlier exposures do not count.
        as_of: Last moment whose events count.
        variants: Keys, control first.
        batches: Shard -> last batch; rows beyond are not seen, now or later.
        carried_phases: Earlier phases of the same seed: units that met another variant
            in them count as crossed over.
    """

    experiment: str
    placement: str
    phase: int
    started_at: datetime
    as_of: datetime
    variants: tuple[str, ...]
    batches: Mapping[str, int]
    carried_phases: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Turn the times to UTC, since the log is cut by UTC dates."""
        for name in ("started_at", "as_of"):
            object.__setattr__(self, name, getattr(self, name).astimezone(UTC))

    @property
    def days(self) -> int:
        """Days begun since the start, at least one."""
        seconds = (self.as_of - self.started_at).total_seconds()
        return max(1, int(-(-seconds // 86_400)))


@dataclass(frozen=True)
class MetricSums:
    """Sums over units of their totals up to the end of each day; shape (variant, day).

    Attributes:
        scale: Whole steps in one unit of the value.
        totals: Sum of the units' totals, in steps.
        squares: Sum of their squares.
        cubes: Sum of their cubes, of coarser steps for money; for skewness only.
    """

    scale: int
    totals: WholeArray
    squares: WholeArray
    cubes: WholeArray


@dataclass(frozen=True)
class Measurement:
    """All a report is computed from.

    Attributes:
        users: Exposed units analysed, up to the end of each day; (variant, day).
        active: Units with any event of their own after exposure; (variant,).
        crossed: Units left out because they met more than one variant.
        unknown: Units left out because their variant is not in the experiment.
        events_read: Rows of the log within the scope.
        last_event_at: Time of the latest of them.
        currencies: Of purchases and refunds in scope, sorted.
    """

    variants: tuple[str, ...]
    users: IntArray
    sums: Mapping[str, MetricSums]
    active: IntArray
    crossed: int
    unknown: int
    events_read: int
    last_event_at: datetime | None
    currencies: tuple[str, ...]

    def moments(self, key: str) -> Moments:
        """Return a metric's moments at the end of each day; shape (variant, day).

        Raises:
            KeyError: The metric was not measured.
        """
        sums = self.sums[key]
        return Moments.from_power_sums(
            self.users,
            sums.totals,
            sums.squares,
            sums.cubes,
            scale=float(sums.scale),
        )

    def counts(self, key: str) -> IntArray:
        """Return a conversion's units with the event; shape (variant, day)."""
        return self.sums[key].totals.astype(np.int64)
