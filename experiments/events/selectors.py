"""Reading the log: what other wings and apps ask of it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import pyarrow as pa
from django.conf import settings

from experiments.events.lake import Lake, read_twice
from experiments.events.query import connect
from experiments.events.schema import EVENTS_SCHEMA


def event_files(
    date_from: date | None = None, date_to: date | None = None
) -> list[str]:
    """Parquet files of the newest snapshot that hold events of these UTC dates."""
    return Lake(settings.LAKE_URL).active_files(date_from, date_to)


def read_events(
    names: Sequence[str],
    columns: Sequence[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    batches: Mapping[str, int] | None = None,
) -> pa.Table:
    """Rows of the log by event name.

    Args:
        names: Event names.
        columns: Columns wanted, in the log's types.
        since: Only events at or after it (aware).
        until: Only events before it (aware).
        batches: Last batch of each shard to read, as a report keeps it; shards not
            named are left out. None: everything there is now.
    """
    conditions = ["list_contains($names, name)"]
    parameters: dict[str, object] = {"names": list(names)}
    for moment, condition in ((since, "timestamp >="), (until, "timestamp <")):
        if moment is not None:
            name = f"moment{len(parameters)}"
            conditions.append(f"{condition} CAST(${name} AS TIMESTAMPTZ)")
            parameters[name] = moment
    if batches is not None:
        conditions.append("batch <= map($shards, $batches)[shard]")
        parameters |= {"shards": list(batches), "batches": list(batches.values())}
    wanted = pa.schema([EVENTS_SCHEMA.field(name) for name in columns])
    return _select(
        f"SELECT {', '.join(columns)} FROM read_parquet($files, "  # noqa: S608 # our columns
        f"hive_partitioning=true) WHERE {' AND '.join(conditions)}",
        parameters,
        wanted,
        since.date() if since else None,
        until.date() if until else None,
    )


def count_events() -> int:
    """Rows in the log."""
    counted = _select(
        "SELECT count(*) AS n FROM read_parquet($files)", {}, _COUNT, None, None
    )
    return _one(counted)


def count_lists(placement: str) -> int:
    """Recommendation lists served at a placement that are in the log."""
    counted = _select(
        "SELECT count(DISTINCT request_id) AS n FROM read_parquet($files) "
        "WHERE name = 'served' AND placement = $placement",
        {"placement": placement},
        _COUNT,
        None,
        None,
    )
    return _one(counted)


_COUNT = pa.schema([pa.field("n", pa.int64())])


def _one(counted: pa.Table) -> int:
    return int(counted.column("n")[0].as_py()) if counted.num_rows else 0


def _select(
    query: str,
    parameters: Mapping[str, object],
    schema: pa.Schema,
    date_from: date | None,
    date_to: date | None,
) -> pa.Table:
    lake = Lake(settings.LAKE_URL)

    def read() -> pa.Table:
        files = lake.active_files(date_from, date_to)
        if not files:
            return schema.empty_table()
        with connect(lake.url) as database:
            found = database.sql(query, params={"files": files, **parameters})
            return found.to_arrow_table().cast(schema)

    return read_twice(read)
