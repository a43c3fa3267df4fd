"""Recent history of the units of a file, gathered chunk by chunk (pure)."""

import pandas as pd
import pyarrow as pa

from experiments.events.history import MAX_ENTRIES, NAMES, member

_COLUMNS = ["unit_key", "name", "item_id", "timestamp"]


class RecentHistory:
    """Each unit's last 200 entries; all units are also counted."""

    def __init__(self) -> None:
        self._frame = pd.DataFrame(columns=_COLUMNS)
        self._units: set[bytes] = set()

    def see(self, rows: pa.Table) -> None:
        """Take in rows of the log."""
        frame = pd.DataFrame(
            {name: rows.column(name).to_pandas() for name in _COLUMNS[:3]}
        )
        stamps = rows.column("timestamp").cast(pa.int64()).to_pandas()
        frame["timestamp"] = stamps // 1000
        self._units.update(frame["unit_key"].unique())
        frame = frame[frame["name"].isin(NAMES) & frame["item_id"].notna()]
        together = pd.concat([self._frame, frame]) if len(self._frame) else frame
        self._frame = (
            together.sort_values("timestamp", kind="stable")
            .groupby("unit_key", sort=False)
            .tail(MAX_ENTRIES)
        )

    @property
    def units(self) -> int:
        """Number of distinct units seen."""
        return len(self._units)

    def entries(self) -> dict[bytes, dict[str, float]]:
        """History members with their milliseconds, by unit."""
        by_unit: dict[bytes, dict[str, float]] = {}
        columns = (self._frame[name].tolist() for name in _COLUMNS)
        for unit_key, name, item_id, stamp in zip(*columns, strict=True):
            by_unit.setdefault(unit_key, {})[member(stamp, name, item_id)] = stamp
        return by_unit
