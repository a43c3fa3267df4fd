"""Real data beside the repository; absent in a plain clone."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from experiments.statistics.numeric import FloatArray

FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def columns(name: str) -> dict[str, FloatArray]:
    """Return the columns of a gzipped CSV, or skip loudly; words become ranks."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"REAL DATA ABSENT: ../shared/data/{name}")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    table: dict[str, FloatArray] = {}
    for index, header in enumerate(rows[0]):
        cells = np.array([row[index] for row in rows[1:]])
        try:
            table[header] = cells.astype(np.float64)
        except ValueError:
            table[header] = np.unique(cells, return_inverse=True)[1].astype(np.float64)
    return table
