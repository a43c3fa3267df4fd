"""The lake: Delta tables, written through one handle, read as active files.

The transaction id of Delta refuses only a concurrent commit of the same app id, so
a collector reads ``committed_version`` and appends through the same ``Lake``: a
rival that committed in between makes the append fail (RELIABILITY section 3).
Open a ``Lake`` only after a fork: its runtime does not survive one.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, TypeVar

import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from experiments.events.schema import EVENTS_SCHEMA, TIME

T = TypeVar("T")
EVENTS = "events"
ITEMS = "items"
UNITS = "units"

ITEMS_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("description", pa.string()),
        pa.field("category", pa.string()),
        pa.field("price", pa.decimal128(18, 4)),
        pa.field("currency", pa.string()),
        pa.field("in_stock", pa.bool_()),
        pa.field("available_from", TIME),
        pa.field("image_url", pa.string()),
        pa.field("url", pa.string()),
        pa.field("attributes", pa.string()),  # JSON
        pa.field("valid_from", TIME, nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),  # of the outbox row
    ]
)
UNITS_SCHEMA = pa.schema(
    [
        pa.field("unit_key", pa.binary(16), nullable=False),
        pa.field("attributes", pa.string()),  # JSON
        pa.field("valid_from", TIME, nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
    ]
)
SCHEMAS: Mapping[str, pa.Schema] = {
    EVENTS: EVENTS_SCHEMA,
    ITEMS: ITEMS_SCHEMA,
    UNITS: UNITS_SCHEMA,
}
PARTITIONS: Mapping[str, list[str]] = {EVENTS: ["date"]}
# Statistics stand in the log in clear and outlive an erasure: never unit or text.
STATISTICS: Mapping[str, str] = {
    EVENTS: "name,timestamp,received_at,shard,batch",
    ITEMS: "valid_from",
    UNITS: "valid_from",
}
WRITER = WriterProperties(compression="ZSTD", compression_level=3)


class RivalCommitError(Exception):
    """Another process committed for this app id since we read its version."""


class Lake:
    """A folder or bucket of Delta tables; each table has one handle.

    Attributes:
        url: Folder, ``file:///path`` or ``s3://bucket/prefix``.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._tables: dict[str, DeltaTable] = {}

    def table(self, name: str = EVENTS) -> DeltaTable:
        """The handle of a table, made on first use (empty, if it did not exist)."""
        if name not in self._tables:
            uri = f"{self.url}/{name}"
            try:
                self._tables[name] = DeltaTable(uri)
            except TableNotFoundError:
                self._tables[name] = _create(uri, name)
        return self._tables[name]

    def refresh(self, name: str = EVENTS) -> int:
        """Take in what others committed; the table's version."""
        table = self.table(name)
        table.update_incremental()
        return int(table.version())

    def committed_version(self, app_id: str, name: str = EVENTS) -> int:
        """The last version committed for an app id, as of the last refresh; or 0."""
        return int(self.table(name).transaction_version(app_id) or 0)

    def append(
        self, rows: pa.Table, app_id: str, version: int, name: str = EVENTS
    ) -> None:
        """Append rows and move the app id to ``version``, in one commit.

        Raises:
            RivalCommitError: Another commit of the app id came first; nothing was
                written. Refresh and read ``committed_version`` again.
        """
        try:
            write_deltalake(
                self.table(name),
                rows,
                mode="append",
                writer_properties=WRITER,
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(app_id, version)]
                ),
            )
        except CommitFailedError as error:
            raise RivalCommitError(f"{app_id}: {error}") from error

    def add(self, rows: pa.Table, name: str) -> None:
        """Append rows to a table that has no offsets of its own."""
        write_deltalake(self.table(name), rows, mode="append", writer_properties=WRITER)

    def active_files(
        self,
        date_from: date | None = None,
        date_to: date | None = None,
        *,
        predicate: str = "",
        name: str = EVENTS,
    ) -> list[str]:
        """Parquet files of the table's newest snapshot.

        Args:
            date_from: First UTC date wanted.
            date_to: Last UTC date wanted.
            predicate: Further SQL over columns with statistics; files that may hold
                matching rows are given.
            name: The table.
        """
        self.refresh(name)
        parts = [
            *([f"date >= '{date_from.isoformat()}'"] if date_from else []),
            *([f"date <= '{date_to.isoformat()}'"] if date_to else []),
            *([predicate] if predicate else []),
        ]
        return self.table(name).file_uris(
            file_pruning_predicate=" AND ".join(parts) or None
        )

    def files(self, name: str = EVENTS) -> list[dict[str, Any]]:
        """Facts of each active file of the newest snapshot: path, size, statistics."""
        self.refresh(name)
        actions = pa.table(self.table(name).get_add_actions(flatten=True))
        facts: list[dict[str, Any]] = actions.to_pylist()
        return facts

    def batches(self) -> dict[str, int]:
        """The last batch of each shard in the newest snapshot: a report's vector."""
        newest: dict[str, int] = {}
        mixed = []
        for row in self.files():
            shard, last, batch = row["min.shard"], row["max.shard"], row["max.batch"]
            if shard != last:
                mixed.append(row["path"])
            else:
                newest[shard] = max(newest.get(shard, 0), batch)
        return self._batches_of(mixed, newest) if mixed else newest

    def _batches_of(self, paths: list[str], newest: dict[str, int]) -> dict[str, int]:
        """The vector with compacted files of several shards taken in."""
        from experiments.events.query import connect  # DuckDB: only where needed

        wanted = {path.rsplit("/", 1)[-1] for path in paths}
        files = [
            uri for uri in self.table().file_uris() if uri.rsplit("/", 1)[-1] in wanted
        ]
        with connect(self.url) as database:
            found = database.execute(
                "SELECT shard, max(batch) FROM read_parquet($files) GROUP BY shard",
                {"files": files},
            ).fetchall()
        for shard, batch in found:
            newest[shard] = max(newest.get(shard, 0), batch)
        return newest


def _create(uri: str, name: str) -> DeltaTable:
    try:
        return DeltaTable.create(
            uri,
            SCHEMAS[name],
            partition_by=PARTITIONS.get(name),
            configuration={"delta.dataSkippingStatsColumns": STATISTICS[name]},
        )
    except DeltaError:  # another process made it meanwhile
        return DeltaTable(uri)


def read_twice(read: Callable[[], T]) -> T:
    """Read; if vacuum took a file of the snapshot meanwhile, once more.

    ``read`` must ask for the active files itself.
    """
    from duckdb import IOException

    try:
        return read()
    except (OSError, IOException):
        return read()
