"""Measurements with chosen figures, without a log."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from experiments.analysis.comparisons import Watched
from experiments.analysis.plan import AnalysisPlan
from experiments.analysis.results import Interval
from experiments.metrics.definitions import Conversion, MetricDefinition, Sum
from experiments.metrics.sums import Measurement, MetricSums

START = datetime(2025, 3, 3, tzinfo=UTC)
CLICKS = Conversion(events=("click",))
REVENUE = Sum(events=("purchase",), unit="GBP")
FALLBACK = Conversion(events=("served",), direction="decrease")


def plan_of(treatments: int = 1, **changes: object) -> AnalysisPlan:
    """Two weeks, two looks."""
    given: dict[str, object] = {
        "started_at": START,
        "planned_days": 14,
        "looks": 2,
        "alpha": 0.05,
        "treatments": treatments,
    }
    return AnalysisPlan(**(given | changes))  # type: ignore[arg-type]  # one dict


def after(days: float) -> datetime:
    """A moment of the experiment."""
    return START + timedelta(days=days)


def watched(
    role: str = "primary",
    definition: MetricDefinition = CLICKS,
    *,
    key: str = "clicks",
    margin: float = 0.1,
) -> Watched:
    """A metric in a role."""
    return Watched(key, key.title(), "", role, 1, definition, margin)


def measured(
    users: Sequence[int],
    conversions: Mapping[str, Sequence[int]],
    *,
    values: Mapping[str, Sequence[np.ndarray]] | None = None,
    days: int = 14,
    active: Sequence[int] | None = None,
    crossed: int = 0,
    unknown: int = 0,
    last_event_at: datetime | None = START + timedelta(days=14),
    currencies: tuple[str, ...] = ("GBP",),
) -> Measurement:
    """A measurement whose units all came on the first day and grew evenly since.

    Args:
        users: Per variant.
        conversions: Metric -> converted units per variant.
        values: Metric -> each variant's per-unit steps of a ten-thousandth.
        days: Days begun.
        active: Units with events, per variant; default: all.
        crossed: Units of two variants.
        unknown: Units of no variant of ours.
        last_event_at: Time of the latest event.
        currencies: Seen in the log.
    """
    sums = {key: _converted(counts, days) for key, counts in conversions.items()}
    for key, arms in (values or {}).items():
        sums[key] = _summed(arms, days)
    return Measurement(
        variants=tuple(
            "control" if not i else f"variant-{i}" for i in range(len(users))
        ),
        users=np.repeat(np.array(users)[:, None], days, axis=1),
        sums=sums,
        active=np.array(users if active is None else active),
        crossed=crossed,
        unknown=unknown,
        events_read=10 * sum(users),
        last_event_at=last_event_at,
        currencies=currencies,
    )


def _converted(counts: Sequence[int], days: int) -> MetricSums:
    grown = np.array(
        [[count * (day + 1) // days for day in range(days)] for count in counts],
        dtype=object,
    )
    return MetricSums(1, grown, grown, grown)


def _summed(arms: Sequence[np.ndarray], days: int) -> MetricSums:
    def powers(power: int) -> np.ndarray:
        totals = [sum(int(v) ** power for v in arm) for arm in arms]
        return np.array([[total] * days for total in totals], dtype=object)

    return MetricSums(10_000, powers(1), powers(2), powers(3))


def known(interval: Interval | None) -> tuple[float, float, float, float]:
    """Estimate, lower, upper and p-value of an interval that has them all."""
    assert interval is not None
    shown = (interval.estimate, interval.lower, interval.upper, interval.p_value)
    figures = [value for value in shown if value is not None]
    assert len(figures) == 4, interval
    return figures[0], figures[1], figures[2], figures[3]
