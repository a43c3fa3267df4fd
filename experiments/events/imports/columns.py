"""Columns of text become columns of values, all rows at once (pure).

A file repeats itself: values are worked out once per distinct text and taken by
index. ``Column.ok`` tells which rows could be read.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from experiments.events.imports.mapping import Timestamp

Flags = npt.NDArray[np.bool_]
Wholes = npt.NDArray[np.int64]
MAX_SCALED = 10**18 - 1  # decimal(18, 4) in ten-thousandths
EARLIEST_US, LATEST_US = 31_536_000_000_000, 7_258_118_400_000_000  # 1971, 2200


@dataclass(frozen=True, slots=True)
class Text:
    """A text column by its distinct values.

    Attributes:
        values: Distinct texts, stripped; may hold invalid UTF-8 as None.
        index: Of each row, its text.
    """

    values: list[str | None]
    index: npt.NDArray[np.int32]

    def flags(self, test: Callable[[str | None], bool]) -> Flags:
        """Of each row, whether its text passes the test."""
        found = np.fromiter((test(v) for v in self.values), bool, len(self.values))
        return found[self.index] if len(found) else np.zeros(len(self.index), bool)

    @property
    def filled(self) -> Flags:
        """Of each row, whether it has a text."""
        return self.flags(bool)

    def at(self, row: int) -> str:
        """The text of one row, for a message."""
        value = self.values[self.index[row]]
        return "(not UTF-8)" if value is None else value

    def arrow(self, rows: Flags) -> pa.Array:
        """The texts of some rows; null where empty."""
        values = pa.array([value or None for value in self.values], pa.string())
        return values.take(pa.array(self.index[rows]))


def text_column(column: pa.ChunkedArray) -> Text:
    """Distinct, stripped texts of a column; those that are not UTF-8 become None."""
    encoded = pc.dictionary_encode(column.cast(pa.binary())).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    raw = encoded.dictionary.to_pylist()
    return Text([_decoded(value) for value in raw], encoded.indices.to_numpy())


def first_filled(columns: list[Text]) -> Text:
    """Of each row, the first text that is not empty."""
    first = columns[0]
    for other in columns[1:]:
        offset = np.int32(len(first.values))
        index = np.where(first.filled, first.index, other.index + offset)
        first = Text([*first.values, *other.values], index.astype(np.int32))
    return first


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        return None


def whole_numbers(text: Text) -> tuple[Wholes, Flags]:
    """Whole numbers, and which rows hold one; empty is 0 and not ok."""
    numbers, ok = _numbers(text)
    whole = ok & (numbers == np.floor(numbers)) & (np.abs(numbers) <= 2**53)
    return np.where(whole, numbers, 0).astype(np.int64), whole


def numbers(text: Text) -> tuple[npt.NDArray[np.float64], Flags]:
    """Finite numbers, and which rows hold one."""
    return _numbers(text)


def scaled_money(text: Text) -> tuple[Wholes, Flags]:
    """Money in ten-thousandths, and which rows hold an amount."""
    amounts, ok = _numbers(text)
    ok &= np.abs(amounts) < 1e11
    return np.rint(np.where(ok, amounts, 0) * 10_000).astype(np.int64), ok


def _numbers(text: Text) -> tuple[npt.NDArray[np.float64], Flags]:
    series = pd.Series(text.values, dtype=object)
    parsed = pd.to_numeric(series, errors="coerce").to_numpy(np.float64)
    ok = np.isfinite(parsed)
    taken = np.where(ok, parsed, 0.0)[text.index]
    return taken, ok[text.index]


def moments(text: Text, how: Timestamp) -> tuple[Wholes, Flags]:
    """Microseconds since 1970 (UTC), and which rows hold a moment after 1971."""
    series = pd.Series(text.values, dtype=object)
    if how.format in {"unix_s", "unix_ms"}:
        factor = 1_000_000 if how.format == "unix_s" else 1000
        parsed = pd.to_numeric(series, errors="coerce").to_numpy(np.float64)
        in_range = np.abs(parsed) < LATEST_US / factor  # False for NaN
        stamps = (np.where(in_range, parsed, 0) * factor).astype(np.int64)
    else:
        stamps = _calendar(series, how)
    ok = (stamps >= EARLIEST_US) & (stamps <= LATEST_US)
    return stamps[text.index], ok[text.index]


def _calendar(series: pd.Series, how: Timestamp) -> Wholes:
    form = "ISO8601" if how.format == "iso8601" else how.format
    parsed = pd.to_datetime(
        series, format=form, errors="coerce", utc=how.timezone == "UTC"
    )
    if how.timezone != "UTC":
        if parsed.dt.tz is None:
            parsed = parsed.dt.tz_localize(
                how.timezone, ambiguous="NaT", nonexistent="shift_forward"
            )
        parsed = parsed.dt.tz_convert("UTC")
    naive = parsed.dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.where(np.isnat(naive), 0, naive.astype(np.int64))


def money_array(scaled: Wholes, present: Flags) -> pa.Array:
    """Ten-thousandths as decimal(18, 4); null where not present."""
    words = np.empty((len(scaled), 2), np.int64)  # little-endian 128 bits
    words[:, 0] = scaled
    words[:, 1] = scaled >> 63
    mask = pa.array(present).buffers()[1]
    return pa.Array.from_buffers(
        pa.decimal128(18, 4), len(scaled), [mask, pa.py_buffer(words.tobytes())]
    )
