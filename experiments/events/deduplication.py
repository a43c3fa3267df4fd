"""Each event once: what of a batch the log does not hold yet.

Ids received within a day stand in memory and reflect a known version of the log;
commits after it, by whomever, are added first. An event that happened outside that
window is looked up in the log under its date.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from experiments.events.identifiers import RecentIds, hash_ids
from experiments.events.lake import Lake
from experiments.events.query import connect
from experiments.events.rows import EventRow

CLOCK_SLACK = timedelta(minutes=10)
ONE_DAY = timedelta(days=1)


class Deduplicator:
    """Knows which event ids the log holds."""

    def __init__(self, lake: Lake, now: datetime) -> None:
        self._lake = lake
        self._recent = RecentIds(now)
        self._version = -1
        self._files: set[str] = set()

    def catch_up(self, now: datetime) -> None:
        """Take in the log's commits since the version we reflect."""
        version = self._lake.refresh()
        if version == self._version:
            return
        start = self._recent.start
        files = self._lake.active_files(predicate=f"received_at >= '{start:%F %T}'")
        new = sorted(set(files) - self._files)
        if new:
            with connect(self._lake.url, threads=1) as database:
                found = database.sql(
                    "SELECT event_id FROM read_parquet($files) "
                    "WHERE received_at >= $start",
                    params={"files": new, "start": start},
                ).to_arrow_table()
            ids = found.column("event_id").to_pylist()
            self._recent.add(hash_ids(ids), now)
        self._files = set(files)
        self._version = int(self._lake.table().version())

    def committed(self, rows: Sequence[EventRow], now: datetime) -> None:
        """Remember rows just appended through the same lake.

        If others committed in between, ``catch_up`` finds their commits.
        """
        self._recent.add(hash_ids([row.event_id for row in rows]), now)
        version = int(self._lake.table().version())
        if version == self._version + 1:
            self._version = version

    def unknown(self, rows: Sequence[EventRow]) -> npt.NDArray[np.bool_]:
        """For each row, whether it is new: not in the log, nor earlier in ``rows``.

        Call ``catch_up`` first.
        """
        hashes = hash_ids([row.event_id for row in rows])
        new: npt.NDArray[np.bool_] = np.zeros(len(rows), bool)
        new[np.unique(hashes, return_index=True)[1]] = True
        new &= ~self._recent.contains(hashes)
        start = self._recent.start
        distant = [
            i
            for i in np.flatnonzero(new).tolist()
            if not start + CLOCK_SLACK
            <= rows[i].timestamp
            <= rows[i].received_at + CLOCK_SLACK
        ]
        known = self._in_log([rows[i] for i in distant], start) if distant else set()
        for i in distant:
            new[i] &= rows[i].event_id not in known
        return new

    def _in_log(self, rows: Sequence[EventRow], start: datetime) -> set[str]:
        """Ids of rows that the log received before the window, near their dates."""
        dates = sorted({row.timestamp.date() for row in rows})
        near = sorted({d + ONE_DAY * n for d in dates for n in (-1, 0, 1)})
        listed = ", ".join(f"'{d.isoformat()}'" for d in near)
        files = self._lake.active_files(
            predicate=f"date IN ({listed}) AND received_at < '{start:%F %T}'"
        )
        if not files:
            return set()
        with connect(self._lake.url, threads=1) as database:
            found = database.execute(
                "SELECT event_id FROM read_parquet($files) "
                "WHERE event_id IN (SELECT unnest($ids))",
                {"files": files, "ids": [row.event_id for row in rows]},
            ).fetchall()
        return {event_id for (event_id,) in found}
