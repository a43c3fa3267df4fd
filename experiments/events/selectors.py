"""What others read of the log: how much of it there is."""

from django.conf import settings

from experiments.events.lake import Lake, read_twice
from experiments.events.query import connect


def count_events() -> int:
    """Rows in the event log."""
    return _count("TRUE", {})


def count_lists(placement: str) -> int:
    """Lists served at a placement that the log holds."""
    return _count(
        "name = 'served' AND placement = $placement",
        {"placement": placement},
        counted="DISTINCT request_id",
    )


def _count(condition: str, values: dict[str, object], *, counted: str = "*") -> int:
    lake = Lake(settings.LAKE_URL)

    def read() -> int:
        files = [name.removeprefix("file://") for name in lake.active_files()]
        if not files:
            return 0
        query = (
            f"SELECT count({counted}) FROM read_parquet($files, hive_partitioning=true) "  # noqa: S608 - our own words
            f"WHERE {condition}"
        )
        with connect(lake.url, threads=1) as database:
            found = database.sql(query, params={"files": files, **values}).fetchall()
        return int(found[0][0])

    return read_twice(read)
