"""From rows of the event log to what a ranker learns from, cleaned and counted.

A pure function of a table: the same rows, in whatever order the files give them,
yield the same interactions.
"""

from dataclasses import asdict, dataclass

import duckdb
import numpy as np
import pyarrow as pa

from scoring.engine.protocol import Interactions
from scoring.training.parameters import RunParameters

COLUMNS = (
    "event_id",
    "name",
    "unit_key",
    "timestamp",
    "item_id",
    "order_id",
    "test",
)
REFUND = "refund"

_WANTED = """
CREATE TEMP TABLE wanted AS
SELECT event_id, name, unit_key, item_id, order_id,
       epoch_us(CAST(timestamp AS TIMESTAMPTZ)) AS us
FROM log
WHERE item_id IS NOT NULL AND item_id <> ''
  AND NOT coalesce(test, false)
  AND list_contains($names, name)
"""
_NON_STOCK = "DELETE FROM wanted WHERE regexp_full_match(item_id, $pattern)"
_CANCELLED = """
DELETE FROM wanted WHERE name = 'purchase' AND (order_id, item_id) IN (
    SELECT (order_id, item_id) FROM log
    WHERE name = 'refund' AND order_id IS NOT NULL AND item_id IS NOT NULL
)
"""
_DUPLICATES = """
DELETE FROM wanted WHERE event_id NOT IN (
    SELECT min(event_id) FROM wanted
    GROUP BY unit_key, item_id, name, us, coalesce(order_id, '')
)
"""
_TOO_OLD = """
DELETE FROM wanted WHERE us < (SELECT max(us) FROM wanted) - $microseconds
"""
_IN_ORDER = """
SELECT unit_key, item_id, name, us FROM wanted ORDER BY us, event_id
"""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How many rows each step took out."""

    read: int
    non_stock: int
    cancelled: int
    duplicates: int
    too_old: int
    kept: int

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


def names_read(parameters: RunParameters) -> tuple[str, ...]:
    """Event names a run needs from the log."""
    names = {*parameters.weights}
    if parameters.drop_cancelled:
        names.add(REFUND)
    return tuple(sorted(names))


def clean(log: pa.Table, parameters: RunParameters) -> tuple[Interactions, Cleaning]:
    """Interactions of a log in time order, and what was left out.

    Args:
        log: Rows with ``COLUMNS``.
        parameters: Which rows count, and how strongly.
    """
    with duckdb.connect() as database:
        database.execute("SET threads = 1")
        database.register("log", log)
        (read,) = database.execute("SELECT count(*) FROM log").fetchall()[0]
        database.execute(_WANTED, {"names": list(parameters.weights)})

        def drop(*, wanted: bool, query: str, **values: object) -> int:
            if not wanted:
                return 0
            return int(database.execute(query, values or None).fetchall()[0][0])

        pattern = parameters.non_stock
        microseconds = int(parameters.log_days * 86_400_000_000)
        non_stock = drop(wanted=bool(pattern), query=_NON_STOCK, pattern=pattern)
        cancelled = drop(wanted=parameters.drop_cancelled, query=_CANCELLED)
        duplicates = drop(wanted=parameters.drop_duplicates, query=_DUPLICATES)
        too_old = drop(
            wanted=microseconds > 0, query=_TOO_OLD, microseconds=microseconds
        )
        rows = database.sql(_IN_ORDER).to_arrow_table()
    cleaning = Cleaning(read, non_stock, cancelled, duplicates, too_old, rows.num_rows)
    return _indexed(rows, parameters), cleaning


def _indexed(rows: pa.Table, parameters: RunParameters) -> Interactions:
    units = rows["unit_key"].combine_chunks().dictionary_encode()
    items = rows["item_id"].combine_chunks().dictionary_encode()
    names = rows["name"].combine_chunks().dictionary_encode()
    ids = items.dictionary.to_pylist()
    order = sorted(range(len(ids)), key=ids.__getitem__)
    rank = np.empty(len(ids), dtype=np.int32)
    rank[order] = np.arange(len(ids), dtype=np.int32)
    strengths = [parameters.weights[name] for name in names.dictionary.to_pylist()]
    return Interactions(
        unit=_codes(units).astype(np.int32),
        item=rank[_codes(items)],
        timestamp=rows["us"].to_numpy().astype(np.float64) / 1e6,
        weight=np.array(strengths, dtype=np.float32)[_codes(names)],
        n_units=len(units.dictionary),
        item_ids=tuple(ids[i] for i in order),
    )


def _codes(encoded: pa.DictionaryArray) -> np.ndarray:
    codes: np.ndarray = encoded.indices.to_numpy(zero_copy_only=False)
    return codes.astype(np.int64)
