"""From definitions to one grouped pass over the log, as Ibis expressions (pure).

Nothing here names a database: the expressions run on DuckDB over the log's files, and
on any other backend Ibis knows. Every sum is of whole numbers, so results are equal bit
for bit whatever the number of threads or the order of the rows.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import reduce
from operator import or_

import ibis
from ibis.expr.types import BooleanValue, IntegerColumn, IntegerValue, Table

from experiments.metrics import attribution
from experiments.metrics.definitions import (
    REFUND,
    Count,
    Filter,
    MetricDefinition,
    Sum,
)
from experiments.metrics.sums import Scope

Definitions = Mapping[str, MetricDefinition]

WHOLE = "decimal(38, 0)"
DAY_MICROSECONDS = 86_400_000_000
OWN = ("exposure", "served")  # written for the unit by the platform, not by the unit
FORCED = "forced"
FALSE = ibis.literal(value=False)
_COLUMNS = ("event_id", "unit_key", "name", "timestamp")


def visible(events: Table, scope: Scope) -> Table:
    """Return the rows the report's batches reach, up to ``as_of``, tests left out."""
    reached = [
        (events.shard == shard) & (events.batch <= batch)
        for shard, batch in sorted(scope.batches.items())
    ]
    return events.filter(
        reduce(or_, reached, FALSE),
        events.timestamp <= scope.as_of,
        events.date <= scope.as_of.date(),
        ~events.test.fill_null(FALSE),
    )


def recent(log: Table, scope: Scope, back: timedelta = timedelta()) -> Table:
    """Return the rows since the phase began, or that much earlier."""
    start = scope.started_at - back
    return log.filter(log.timestamp >= start, log.date >= start.date())


def exposed(log: Table, scope: Scope) -> Table:
    """Return every unit that met the phase, once.

    Returns:
        ``unit_key, variant, first_at, day`` and ``crossed``: whether it met more than
        one variant, in this phase or in one it was carried over from.
    """
    phases = (scope.phase, *scope.carried_phases)
    rows = log.filter(
        log.name == "exposure",
        log.experiment == scope.experiment,
        log.phase.isin(phases),
        log.variant.notnull(),
        log.reason.fill_null("") != FORCED,
    )
    if not scope.carried_phases:
        rows = recent(rows, scope)
    current = (rows.phase == scope.phase) & (rows.timestamp >= scope.started_at)
    units = rows.group_by("unit_key").aggregate(
        variant=rows.variant.min(where=current),
        first_at=rows.timestamp.min(where=current),
        lowest=rows.variant.min(),
        highest=rows.variant.max(),
    )
    units = units.filter(units.first_at.notnull())
    return units.select(
        "unit_key",
        "variant",
        "first_at",
        day=_day(units, "first_at", scope),
        crossed=units.lowest != units.highest,
    )


def analysed(units: Table, scope: Scope) -> Table:
    """Return the exposed units that are compared: one variant, of the experiment."""
    kept = units.filter(~units.crossed, units.variant.isin(scope.variants))
    return kept.drop("crossed")


def unit_days(log: Table, units: Table, scope: Scope, metrics: Definitions) -> Table:
    """Reduce the log to a row per analysed unit and day with something to count.

    Only events after the unit's first exposure are read.

    Args:
        log: ``visible`` rows.
        units: ``analysed`` units.
        scope: What is analysed.
        metrics: Key -> definition.

    Returns:
        ``unit_key, variant, day, m0, m1, ...`` (steps of that day, in the order of
        ``metrics``) and ``active`` (events of the unit's own).
    """
    rows = _rows(log, units, scope, metrics)
    steps = {
        f"m{place}": _steps(rows, definition, scope)
        for place, definition in enumerate(metrics.values())
    }
    plain = {
        name: value.sum().fill_null(0).cast("int64")
        for name, value in steps.items()
        if not _distinct(metrics, name)
    }
    keys = ("unit_key", "variant", "day")
    days = rows.group_by(*keys).aggregate(
        **plain, active=(~rows.name.isin(OWN)).sum().cast("int64")
    )
    names = [*steps, "active"]
    parts = [_widened(days, keys, names)]
    for name, value in steps.items():
        column = _distinct(metrics, name)
        if column:
            met = rows.filter(value > 0, rows[column].notnull())
            firsts = met.group_by("unit_key", "variant", column).aggregate(
                day=met.day.min()
            )
            counted = firsts.group_by(*keys).aggregate(**{name: firsts.count()})
            parts.append(_widened(counted, keys, names))
    if len(parts) == 1:
        return parts[0]
    together = ibis.union(*parts)
    return together.group_by(*keys).aggregate(
        **{name: together[name].sum().cast("int64") for name in names}
    )


def daily_sums(days: Table, metrics: Definitions) -> Table:
    """Return by how much each day raised the sums over units of their totals so far.

    Added up to the end of a day they give count-free sufficient statistics as of that
    day: a unit's total T adds T, T^2 and T^3 less what it had added before.

    Returns:
        ``variant, day`` and for each metric ``s0, q0, c0`` (sums, squares, cubes).
    """
    so_far = ibis.window(group_by="unit_key", order_by="day", following=0)
    totals = days.mutate(
        **{
            f"t{place}": days[f"m{place}"].sum().over(so_far).cast(WHOLE)
            for place in range(len(metrics))
        }
    )
    sums: dict[str, IntegerColumn] = {}
    for place, definition in enumerate(metrics.values()):
        after = totals[f"t{place}"]
        before = after - totals[f"m{place}"].cast(WHOLE)
        after, before = _capped(after, definition), _capped(before, definition)
        sums[f"s{place}"] = (after - before).sum()
        sums[f"q{place}"] = (after * after - before * before).sum()
        a, b = _coarse(after, definition), _coarse(before, definition)
        sums[f"c{place}"] = (a * a * a - b * b * b).sum()
    return totals.group_by("variant", "day").aggregate(**sums)


def unit_totals(days: Table, units: Table, definition: MetricDefinition) -> Table:
    """Return ``unit_key, variant, value`` in steps; units without events have 0.

    Args:
        days: ``unit_days`` of this metric alone.
        units: ``analysed`` units.
        definition: The metric.
    """
    totals = days.group_by("unit_key").aggregate(value=days.m0.sum())
    both = units.left_join(totals, "unit_key")
    value = _capped(both["value"].fill_null(0), definition).cast("int64")
    return both.select("unit_key", "variant", value=value).order_by("unit_key")


def cube_divisor(definition: MetricDefinition) -> int:
    """Return by how much steps are coarsened before they are cubed.

    The cube of ten-thousandths overflows 38 digits for large totals, and skewness needs
    no more than two decimals.
    """
    return max(1, definition.scale // 100)


def _rows(log: Table, units: Table, scope: Scope, metrics: Definitions) -> Table:
    """Return the analysed units' events after exposure, with what attribution says."""
    names = {n for definition in metrics.values() for n in definition.event_names()}
    since = recent(log, scope)
    since = since.filter(since.name.isin(sorted(names)) | ~since.name.isin(OWN))
    known = units.select("unit_key", "variant", "first_at")
    # The exposure's own variant column is of the event; ours is of the unit.
    wanted = [*_COLUMNS, *sorted(_columns(metrics) - set(_COLUMNS))]
    rows = since.select(*[c for c in wanted if c != "variant"]).join(known, "unit_key")
    rows = rows.filter(rows.timestamp >= rows.first_at)
    rows = rows.mutate(day=_day(rows, "timestamp", scope))
    attributed = [m for m in metrics.values() if m.attribution == "recommended"]
    if not attributed:
        return rows
    minutes = max(m.window_minutes(n) for m in attributed for n in m.events)
    engaged = rows.filter(
        rows.name.isin(sorted({n for m in attributed for n in m.events}))
    )
    lists = recent(log, scope, timedelta(minutes=minutes)).semi_join(known, "unit_key")
    credit = attribution.attribute(
        lists,
        engaged.select("event_id", "unit_key", "request_id", "item_id", "timestamp"),
        placement=scope.placement,
        minutes=minutes,
    )
    return rows.left_join(credit, "event_id").drop("event_id_right")


def _columns(metrics: Definitions) -> set[str]:
    columns = {"placement", "request_id", "item_id"}
    for definition in metrics.values():
        columns |= {condition.field for condition in definition.filters}
        if isinstance(definition, Sum):
            columns.add(definition.field)
        if isinstance(definition, Count) and definition.distinct:
            columns.add(definition.distinct)
    return columns


def _steps(rows: Table, definition: MetricDefinition, scope: Scope) -> IntegerValue:
    """Return what each row adds to its unit's total, in steps."""
    matches = rows.name.isin(definition.events)
    allowed = _allowed(rows, definition, scope)
    if not isinstance(definition, Sum):
        return (matches & allowed).fill_null(FALSE).cast("int64")
    field = rows[definition.field]
    if definition.scale != 1:
        field = (field * definition.scale).round()
    amount = field.cast("int64").fill_null(0)
    added = ibis.ifelse((matches & allowed).fill_null(FALSE), amount, 0)
    if definition.net_of_refunds:
        refund = ((rows.name == REFUND) & allowed).fill_null(FALSE)
        added = added - ibis.ifelse(refund, amount, 0)
    return added


def _allowed(rows: Table, definition: MetricDefinition, scope: Scope) -> BooleanValue:
    allowed = ibis.literal(value=True)
    for condition in definition.filters:
        allowed &= _holds(rows, condition)
    if definition.at_placement:
        allowed &= rows.placement == scope.placement
    if definition.window_days is not None:
        allowed &= rows.timestamp < rows.first_at + ibis.interval(
            days=definition.window_days
        )
    if definition.attribution == "recommended":
        windows = [
            (name, timedelta(minutes=definition.window_minutes(name)))
            for name in definition.events
        ]
        allowed &= attribution.belongs(rows, windows)
    return allowed


def _holds(rows: Table, condition: Filter) -> BooleanValue:  # noqa: PLR0911 - a table
    column, value = rows[condition.field], condition.value
    match condition.operator:
        case "is":
            return column == value
        case "is_not":
            return column != value
        case "in":
            return column.isin(value)
        case "above":
            return column > value
        case "at_least":
            return column >= value
        case "below":
            return column < value
        case "at_most":
            return column <= value
        case "set":
            return column.notnull()
        case "missing":
            return column.isnull()


def _day(table: Table, column: str, scope: Scope) -> IntegerColumn:
    """Return full days since the start; the last moment belongs to the last day."""
    start = ibis.literal(scope.started_at, type="timestamp('UTC')")
    passed = table[column].delta(start, unit="microsecond")
    return ibis.least((passed // DAY_MICROSECONDS).cast("int64"), scope.days - 1)


def _capped(total: IntegerColumn, definition: MetricDefinition) -> IntegerColumn:
    ceiling = definition.ceiling
    if ceiling is None:
        return total
    return ibis.least(total, ibis.literal(ceiling).cast(total.type()))


def _coarse(total: IntegerColumn, definition: MetricDefinition) -> IntegerColumn:
    divisor = cube_divisor(definition)
    if divisor == 1:
        return total
    return (total.cast("int64") // divisor).cast(WHOLE)


def _distinct(metrics: Definitions, name: str) -> str | None:
    definition = list(metrics.values())[int(name[1:])]
    return definition.distinct if isinstance(definition, Count) else None


def _widened(table: Table, keys: tuple[str, ...], names: list[str]) -> Table:
    zero = ibis.literal(0, type="int64")
    return table.select(
        *keys,
        **{n: table[n].cast("int64") if n in table.columns else zero for n in names},
    )
