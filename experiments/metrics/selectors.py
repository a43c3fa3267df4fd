"""Measuring: run the compiled expressions over the log's files."""

from collections.abc import Sequence
from datetime import datetime

import ibis
import numpy as np
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from experiments.events.lake import Lake
from experiments.events.query import connect
from experiments.events.schema import EVENTS_SCHEMA
from experiments.metrics import compiler
from experiments.metrics.compiler import Definitions
from experiments.metrics.definitions import MetricDefinition
from experiments.metrics.sums import (
    IntArray,
    Measurement,
    MetricSums,
    Scope,
    WholeArray,
)

MONEY_EVENTS = ("purchase", "refund")


class EventLog:
    """The event log's active files, opened for reading in this process.

    Use as a context manager; the connection and what it cached end with it.
    """

    def __init__(
        self, files: Sequence[str], *, url: str = "", threads: int | None = None
    ) -> None:
        """Open files of the log, by their paths (``.../date=2025-03-03/...``)."""
        connection = connect(url, threads=threads)
        # Day arithmetic must not follow the machine's zone, nor wait for a download.
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET autoinstall_known_extensions = false")
        self._backend: Backend = ibis.duckdb.from_connection(connection)
        self._kept = 0
        self.events: Table = (
            self._backend.read_parquet(list(files), hive_partitioning=True)
            if files
            else self._backend.create_table("events", schema=_empty_schema())
        )

    @classmethod
    def open(cls, url: str, *, threads: int | None = None) -> "EventLog":
        """Open the newest snapshot of the log in the lake at ``url``."""
        files = (uri.removeprefix("file://") for uri in Lake(url).active_files())
        return cls(list(files), url=url, threads=threads)

    def __enter__(self) -> "EventLog":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._backend.disconnect()

    def keep(self, expression: Table) -> Table:
        """Run an expression once; what is built on it reads the kept rows."""
        self._kept += 1
        return self._backend.create_table(f"kept_{self._kept}", expression, temp=True)

    def read(self, expression: Table) -> pa.Table:
        """Run an expression and return its rows."""
        return self._backend.to_pyarrow(expression)


def _empty_schema() -> ibis.Schema:
    """Return the log's columns; Ibis knows no binary of a fixed size."""
    place = EVENTS_SCHEMA.get_field_index("unit_key")
    plain = EVENTS_SCHEMA.set(place, pa.field("unit_key", pa.binary()))
    return ibis.Schema.from_pyarrow(plain)


def measure(log: EventLog, scope: Scope, metrics: Definitions) -> Measurement:
    """Compute all sums a report needs, in one grouped pass over the log.

    Args:
        log: The open log.
        scope: Which rows count.
        metrics: Key -> definition.
    """
    visible = compiler.visible(log.events, scope)
    met = log.keep(compiler.exposed(visible, scope))
    units = log.keep(compiler.analysed(met, scope))
    days = log.keep(compiler.unit_days(visible, units, scope, metrics))
    users = log.read(units.group_by("variant", "day").aggregate(n=units.count()))
    active = days.filter(days.active > 0).group_by("variant")
    active_units = log.read(active.aggregate(n=days.unit_key.nunique()))
    sums = log.read(compiler.daily_sums(days, metrics))
    since = compiler.recent(visible, scope)
    crossed, unknown = _left_out(log, met, scope)
    grid = _Grid(scope)
    since = compiler.recent(visible, scope)
    extent = log.read(
        since.aggregate(read=since.count(), last=since.timestamp.max())
    ).to_pylist()[0]
    return Measurement(
        variants=scope.variants,
        users=grid.place(users, "n").astype(np.int64).cumsum(axis=1),
        sums={
            key: _metric_sums(grid, sums, place, definition)
            for place, (key, definition) in enumerate(metrics.items())
        },
        active=_by_variant(active_units, scope),
        crossed=crossed,
        unknown=unknown,
        events_read=extent["read"],
        last_event_at=extent["last"],
        currencies=_currencies(log, since),
    )


def unit_values(log: EventLog, scope: Scope, definition: MetricDefinition) -> pa.Table:
    """Return ``unit_key, variant, value`` of every analysed unit, by unit key.

    ``value`` is in whole steps of ``1 / definition.scale``.
    """
    visible = compiler.visible(log.events, scope)
    met = compiler.exposed(visible, scope)
    units = log.keep(compiler.analysed(met, scope))
    days = compiler.unit_days(visible, units, scope, {"metric": definition})
    return log.read(compiler.unit_totals(days, units, definition))


def latest_event(log: EventLog, scope: Scope) -> datetime | None:
    """Return the time of the log's last event within the scope; None: no event."""
    since = compiler.recent(compiler.visible(log.events, scope), scope)
    found = log.read(since.aggregate(last=since.timestamp.max()))
    last: datetime | None = found["last"][0].as_py()
    return last


class _Grid:
    """Places rows of (variant, day) into an array of that shape."""

    def __init__(self, scope: Scope) -> None:
        self._rows = {variant: row for row, variant in enumerate(scope.variants)}
        self._days = scope.days

    def place(self, table: pa.Table, column: str) -> WholeArray:
        """Return Python integers, 0 where no row is."""
        grid = np.zeros((len(self._rows), self._days), dtype=object)
        rows = zip(
            table["variant"].to_pylist(),
            table["day"].to_pylist(),
            table[column].to_pylist(),
            strict=True,
        )
        for variant, day, value in rows:
            grid[self._rows[variant], day] += int(value)
        return grid


def _metric_sums(
    grid: _Grid, sums: pa.Table, place: int, definition: MetricDefinition
) -> MetricSums:
    back = compiler.cube_divisor(definition) ** 3
    return MetricSums(
        scale=definition.scale,
        totals=grid.place(sums, f"s{place}").cumsum(axis=1),
        squares=grid.place(sums, f"q{place}").cumsum(axis=1),
        cubes=grid.place(sums, f"c{place}").cumsum(axis=1) * back,
    )


def _by_variant(table: pa.Table, scope: Scope) -> IntArray:
    counts = dict(
        zip(table["variant"].to_pylist(), table["n"].to_pylist(), strict=True)
    )
    return np.array([counts.get(key, 0) for key in scope.variants], dtype=np.int64)


def _left_out(log: EventLog, met: Table, scope: Scope) -> tuple[int, int]:
    """Return the units of two variants, and those of one that is not ours."""
    crossed = met.crossed.sum()
    unknown = (~met.crossed & ~met.variant.isin(scope.variants)).sum()
    row = log.read(met.aggregate(crossed=crossed, unknown=unknown)).to_pylist()[0]
    return int(row["crossed"] or 0), int(row["unknown"] or 0)


def _currencies(log: EventLog, since: Table) -> tuple[str, ...]:
    money = since.filter(since.name.isin(MONEY_EVENTS), since.currency.notnull())
    found = log.read(money.select("currency").distinct())
    return tuple(sorted(found["currency"].to_pylist()))
