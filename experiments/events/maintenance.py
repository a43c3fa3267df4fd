"""Care of the lake's tables: fewer files, no waste, quick to open.

One worker at a time, under a lease. Appends beside it are fine; a delete beside it is
refused by Delta and tried again the next time. Files that a reader of an older
snapshot may still hold are kept for the retention, longer than any report takes.
"""

import logging
from datetime import timedelta

from deltalake.exceptions import CommitFailedError
from redis import Redis

from experiments.events.lake import EVENTS, ITEMS, UNITS, WRITER, Lake
from experiments.events.lease import lease

LEASE = timedelta(minutes=30)
RETENTION_HOURS = 7 * 24
FILES_WORTH_IT = 8  # small files of one partition
SMALL_BYTES = 32 * 1024 * 1024
VACUUM_EVERY = timedelta(hours=12)
LOGGER = logging.getLogger(__name__)


def maintain(lake: Lake, redis: Redis) -> bool:
    """Do what is due on each table; False if another worker is at it."""
    with lease(redis, "maintain", LEASE) as held:
        if held is None:
            return False
        for name in (EVENTS, ITEMS, UNITS):
            try:
                compact(lake, name)
            except CommitFailedError as error:
                LOGGER.info("compaction of %s waits for the next time: %s", name, error)
            if redis.set(f"shipworthy:vacuumed:{name}", 1, nx=True, ex=VACUUM_EVERY):
                clean(lake, name)
            held.renew()
        return True


def compact(lake: Lake, name: str) -> int:
    """Join the small files of each partition that has many; partitions compacted."""
    lake.refresh(name)
    table = lake.table(name)
    crowded = [date for date, count in _small_files(lake, name).items()
               if count >= FILES_WORTH_IT]  # fmt: skip
    for date in crowded:
        filters = [("date", "=", date)] if date else None
        table.optimize.compact(partition_filters=filters, writer_properties=WRITER)
    if crowded:
        table.create_checkpoint()
    return len(crowded)


def clean(lake: Lake, name: str) -> None:
    """Remove files that no snapshot within the retention needs, and old log entries."""
    table = lake.table(name)
    lake.refresh(name)
    table.vacuum(RETENTION_HOURS, dry_run=False)
    table.cleanup_metadata()


def _small_files(lake: Lake, name: str) -> dict[str, int]:
    """Of each partition (text of its date, or empty), how many files are small."""
    counts: dict[str, int] = {}
    for row in lake.files(name):
        if int(str(row["size_bytes"])) < SMALL_BYTES:
            date = str(row.get("partition.date") or "")
            counts[date] = counts.get(date, 0) + 1
    return counts
