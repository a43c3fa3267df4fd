"""Small logs with a known answer."""

import numpy as np

from scoring.engine.protocol import History, Interactions


def interactions(
    rows: list[tuple[int, str, float]],
    *,
    n_units: int | None = None,
    weights: list[float] | None = None,
    item_ids: tuple[str, ...] | None = None,
) -> Interactions:
    """Rows of (unit, item id, time), in time order."""
    item_ids = item_ids or tuple(sorted({item for _, item, _ in rows}))
    units = [unit for unit, _, _ in rows]
    return Interactions(
        unit=np.array(units, dtype=np.int32),
        item=np.array([item_ids.index(i) for _, i, _ in rows], dtype=np.int32),
        timestamp=np.array([t for _, _, t in rows], dtype=np.float64),
        weight=np.array(weights or [1.0] * len(rows), dtype=np.float32),
        n_units=n_units or max(units, default=-1) + 1,
        item_ids=item_ids,
    )


def history(*item_ids: str) -> History:
    """One item a minute, asked a minute after the last."""
    times = tuple(60.0 * step for step in range(len(item_ids)))
    return History(item_ids, times, 60.0 * len(item_ids))


def walks(units: int = 60) -> Interactions:
    """Units walk two paths in order: most a0 to a5, the others b0 to b5.

    Whoever stopped at a2 goes on to a3, at b2 to b3; path a is also more popular, and
    a3 the most popular item of all.
    """
    rows = []
    for unit in range(units):
        path = "b" if unit % 3 == 2 else "a"
        rows += [(unit, f"{path}{step}", 100.0 * step + unit) for step in range(6)]
    rows += [(unit, "a3", 590.0) for unit in range(2, units, 3)]
    return interactions(sorted(rows, key=lambda row: row[2]))
