"""Importing a shop's log or catalogue: bulk speed, resumable, safe to repeat.

A file is a shard of its own, its chunks are the batches: a chunk that was committed
is passed by when the same file is imported again. Rows of another file that the log
holds already (a corrected or longer export) are passed by too, by their event ids.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from django.conf import settings

from experiments.events.catalogue import upsert_items
from experiments.events.history import write_entries
from experiments.events.imports.catalogue import SeenItems
from experiments.events.imports.identity import ContentIds
from experiments.events.imports.mapping import Mapping, load_mapping
from experiments.events.imports.problems import Problem, Problems
from experiments.events.imports.reading import UnusableFileError, read_chunks
from experiments.events.imports.recent import RecentHistory
from experiments.events.imports.transform import transform
from experiments.events.lake import Lake, read_twice
from experiments.events.query import connect
from experiments.events.services import open_lake, open_redis
from experiments.gateway.units import UnitHasher

Progress = Callable[[float, str], None]
UPSERT_ITEMS = 1000


@dataclass(slots=True)
class ImportReport:
    """What became of a file.

    Attributes:
        read: Rows read.
        accepted: Rows that are in the log now, by this import or before.
        known: Of these, rows that were in the log before.
        rejected_by_reason: Rows left out, by reason.
        samples: The first few of each reason.
        file_problems: What is wrong with the file as a whole.
        shard: Of the rows in the log.
        units: Distinct units among the accepted rows.
        items: Items of the catalogue updated.
    """

    shard: str = ""
    read: int = 0
    accepted: int = 0
    known: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    samples: list[Problem] = field(default_factory=list)
    file_problems: list[Problem] = field(default_factory=list)
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    units: int = 0
    items: int = 0

    @property
    def exit_status(self) -> int:
        """0: all good; 1: some was rejected; 2: nothing was usable."""
        if self.accepted == 0 and self.items == 0:
            return 2
        return 1 if self.rejected_by_reason or self.file_problems else 0


def import_events(
    path: Path | str,
    mapping: Mapping | str,
    *,
    progress: Progress = lambda _share, _said: None,
    items: bool = True,
) -> ImportReport:
    """Put a file's rows into the log, its items into the catalogue.

    Args:
        path: CSV (plain or gzipped) or Parquet.
        mapping: What its columns mean, or the name or path of a mapping.
        progress: Told the share done (0 to 1) and, in words, how far that is.
        items: Also update the catalogue, if the mapping has columns for it.

    Raises:
        InvalidError: There is no such mapping.
    """
    path = Path(path)
    mapping = load_mapping(mapping) if isinstance(mapping, str) else mapping
    problems, report = Problems(), ImportReport()
    try:
        report.shard = _shard(path, mapping)
        run = _Import(path, mapping, problems, report, progress)
        run.events()
    except UnusableFileError as error:
        problems.add(error.problem)
    else:
        write_entries(open_redis(), run.recent.entries())
        report.units = run.recent.units
        if items:
            report.items = _update_catalogue(run.seen)
    return _closed(report, problems)


def import_items(
    path: Path | str,
    mapping: Mapping | str,
    *,
    progress: Progress = lambda _share, _said: None,
) -> ImportReport:
    """Put a file's items into the catalogue; later rows of an item win.

    Args and Raises: as of ``import_events``.
    """
    path = Path(path)
    mapping = load_mapping(mapping) if isinstance(mapping, str) else mapping
    problems, report = Problems(), ImportReport()
    seen = SeenItems(mapping)
    share = [0.0]
    try:
        for chunk in read_chunks(
            path, mapping, mapping.item_columns(), problems, share.append
        ):
            report.read += len(chunk.rows)
            seen.see(chunk)
            progress(share[-1], f"{report.read:,} rows")
    except UnusableFileError as error:
        problems.add(error.problem)
    else:
        report.items = _update_catalogue(seen)
    return _closed(report, problems)


class _Import:
    """One run over one file."""

    def __init__(
        self,
        path: Path,
        mapping: Mapping,
        problems: Problems,
        report: ImportReport,
        progress: Progress,
    ) -> None:
        self._path, self._mapping, self._problems = path, mapping, problems
        self._report, self._progress = report, progress
        self._lake = open_lake()
        self.recent, self.seen = RecentHistory(), SeenItems(mapping)

    def events(self) -> None:
        """Read, transform and commit chunk by chunk."""
        report, share = self._report, [0.0]
        hasher, ids, now = (
            UnitHasher(settings.UNIT_KEY),
            ContentIds(),
            datetime.now(UTC),
        )
        self._lake.refresh()
        done = self._lake.committed_version(report.shard)
        for chunk in read_chunks(
            self._path,
            self._mapping,
            self._mapping.columns(),
            self._problems,
            share.append,
        ):
            report.read += len(chunk.rows)
            rows = transform(
                chunk,
                self._mapping,
                self._problems,
                hasher=hasher,
                ids=ids,
                shard=report.shard,
                now=now,
            )
            self._account(rows)
            self.seen.see(chunk)
            if chunk.number > done:
                new = _unknown(self._lake, rows, report.shard)
                report.known += rows.num_rows - new.num_rows
                self._lake.append(new, report.shard, chunk.number)
            else:
                report.known += rows.num_rows
            self._progress(share[-1], f"{report.read:,} rows")

    def _account(self, rows: pa.Table) -> None:
        report = self._report
        report.accepted += rows.num_rows
        if rows.num_rows:
            span = pc.min_max(rows.column("timestamp")).as_py()
            first, last = report.first_timestamp, report.last_timestamp
            report.first_timestamp = min(span["min"], first or span["min"])
            report.last_timestamp = max(span["max"], last or span["max"])
            self.recent.see(rows)


def _unknown(lake: Lake, rows: pa.Table, shard: str) -> pa.Table:
    """Rows whose event ids the log does not hold under their dates.

    Rows of the import's own earlier chunks can't be among them: ids count up.
    """
    if rows.num_rows == 0:
        return rows
    span: dict[str, date] = pc.min_max(rows.column("date")).as_py()

    def known() -> pa.Array:
        files = lake.active_files(
            span["min"], span["max"], predicate=f"shard != '{shard}'"
        )
        if not files:
            return pa.array([], pa.string())
        with connect(lake.url, threads=2) as database:
            database.register("imported", rows.select(["event_id"]))
            return (
                database.sql(
                    "SELECT event_id FROM read_parquet($files) "
                    "SEMI JOIN imported USING (event_id)",
                    params={"files": files},
                )
                .to_arrow_table()
                .column("event_id")
                .combine_chunks()
            )

    found = read_twice(known)
    if len(found) == 0:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows.column("event_id"), found)))


def _update_catalogue(seen: SeenItems) -> int:
    items = list(seen.items())
    for start in range(0, len(items), UPSERT_ITEMS):
        upsert_items(items[start : start + UPSERT_ITEMS])
    return len(items)


def _shard(path: Path, mapping: Mapping) -> str:
    """The shard's name: from the file's bytes and what they are taken to mean."""
    digest = hashlib.sha256(msgspec.json.encode(mapping, order="deterministic"))
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        remedy = f"it can't be opened: {error.strerror}"
        raise UnusableFileError(
            Problem(None, "file", "", "unreadable", remedy)
        ) from None
    return f"import-{digest.hexdigest()[:16]}"


def _closed(report: ImportReport, problems: Problems) -> ImportReport:
    if report.read == 0 and not problems.file_problems:
        problems.add(Problem(None, "file", "", "empty", "it has a header but no rows"))
    report.rejected_by_reason = problems.by_reason
    report.samples = problems.samples
    report.file_problems = problems.file_problems
    return report
