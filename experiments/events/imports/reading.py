"""A file as chunks of text columns, however large it is, and whatever is wrong.

Chunks have a fixed number of rows, so that the same file always falls into the same
chunks: their numbers make an import resumable.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from experiments.events.imports.mapping import Mapping
from experiments.events.imports.problems import Problem, Problems

CHUNK_ROWS = 200_000
READ_BYTES = 1 << 18
BLOCK_BYTES = 4 << 20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a file.

    Attributes:
        number: From 1.
        columns: Text columns; empty text where the file has nothing.
        rows: Of each row, its number in the file; the header is row 1.
    """

    number: int
    columns: pa.Table
    rows: npt.NDArray[np.int64]


class UnusableFileError(Exception):
    """Nothing of the file can be read; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.remedy)
        self.problem = problem


class ByteSource:
    """A plain or gzipped file, read as whole lines, also if its end is missing.

    Attributes:
        size: Bytes of the file.
        consumed: Bytes of the file read so far.
        damaged: What is wrong with the compression, once it is met.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")
        self._gzip = self._file.read(2) == b"\x1f\x8b"
        self._file.seek(0)
        self._inflate = zlib.decompressobj(wbits=31)
        self._held = b""
        self._ended = False
        self.size = max(path.stat().st_size, 1)
        self.consumed = 0
        self.damaged = ""
        self.closed = False

    def readable(self) -> bool:
        """Part of the file protocol."""
        return True

    def seekable(self) -> bool:
        """Part of the file protocol."""
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self.closed = True

    def read(self, size: int = -1) -> bytes:
        """At least one line and at most ``size`` bytes; empty at the end."""
        while not self._ended and (size < 0 or len(self._held) < 2 * size):
            data = self._next()  # at a damaged end it shortens what is held
            self._held += data
        end = len(self._held) if size < 0 else min(size, len(self._held))
        data, self._held = self._held[:end], self._held[end:]
        return data

    @property
    def exhausted(self) -> bool:
        """Whether nothing but blanks is left."""
        return self._ended and not self._held.strip()

    def unread(self, data: bytes) -> None:
        """Put back what was read ahead."""
        self._held = data + self._held

    def _next(self) -> bytes:
        raw = self._file.read(READ_BYTES)
        self.consumed += len(raw)
        if not self._gzip:
            self._ended = not raw
            return raw
        try:
            if not raw:
                return self._end(whole=self._inflate.eof)
            data = self._inflate.decompress(raw)
            while self._inflate.eof and self._inflate.unused_data:
                rest = self._inflate.unused_data
                self._inflate = zlib.decompressobj(wbits=31)
                data += self._inflate.decompress(rest)
        except zlib.error as error:
            self.damaged = f"the gzip data is damaged ({error})"
            return self._end(whole=False)
        else:
            return data

    def _end(self, *, whole: bool) -> bytes:
        """Close the books; of a cut-off file, the last, partial line is left out."""
        self._ended = True
        if not whole:
            self.damaged = self.damaged or "the gzip data ends in the middle"
            self._held = self._held[: self._held.rfind(b"\n") + 1]
        return b""


Progress = Callable[[float], None]


def read_chunks(
    path: Path,
    mapping: Mapping,
    wanted: dict[str, bool],
    problems: Problems,
    progress: Progress = lambda _: None,
) -> Iterator[Chunk]:
    """The file's rows, chunk by chunk; what is wrong goes to ``problems``.

    Args:
        path: A CSV file, plain or gzipped, or a Parquet file.
        mapping: How it is written.
        wanted: Columns -> whether the file must have them.
        problems: Where faults are reported.
        progress: Told the share of the file read, after each chunk is dealt with.

    Raises:
        UnusableFileError: There is nothing to read, or a column is missing.
    """
    if path.suffix == ".parquet":
        batches = _parquet_batches(path, mapping, wanted, progress)
    else:
        batches = _csv_batches(path, mapping, wanted, problems, progress)
    number, held, held_rows = 0, [], []
    count = 0
    for table, rows in batches:
        held.append(table)
        held_rows.append(rows)
        count += len(rows)
        while count >= CHUNK_ROWS:
            number += 1
            together, all_rows = pa.concat_tables(held), np.concatenate(held_rows)
            yield Chunk(number, together.slice(0, CHUNK_ROWS), all_rows[:CHUNK_ROWS])
            held, held_rows = [together.slice(CHUNK_ROWS)], [all_rows[CHUNK_ROWS:]]
            count -= CHUNK_ROWS
    if count:
        yield Chunk(number + 1, pa.concat_tables(held), np.concatenate(held_rows))


def _csv_batches(
    path: Path,
    mapping: Mapping,
    wanted: dict[str, bool],
    problems: Problems,
    progress: Progress,
) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    with closing(_open(path)) as source:
        header = _header(mapping, wanted, source)
        if not source.exhausted:
            yield from _csv_rows(source, header, mapping, wanted, problems, progress)
    if source.damaged:
        remedy = (
            f"{source.damaged}; the rows up to there were read; get the file anew and "
            "import it again: rows that are in the log already are passed by"
        )
        problems.add(Problem(None, "file", "", "damaged", remedy))


def _csv_rows(
    source: ByteSource,
    header: list[str],
    mapping: Mapping,
    wanted: dict[str, bool],
    problems: Problems,
    progress: Progress,
) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    invalid: list[int] = []

    def keep_invalid(row: pa_csv.InvalidRow) -> str:
        number = row.number + 1  # of the file, whose first row is the header
        invalid.append(number)
        remedy = (
            f"the row has {row.actual_columns} columns, the header "
            f"{row.expected_columns}; quote values that hold a "
            f"{mapping.file.delimiter!r}"
        )
        problems.add(Problem(number, "row", row.text or "", "columns", remedy))
        return "skip"

    reader = pa_csv.open_csv(
        source,
        read_options=pa_csv.ReadOptions(
            use_threads=False,
            block_size=BLOCK_BYTES,
            encoding=mapping.file.encoding,
            column_names=header,
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=mapping.file.delimiter,
            newlines_in_values=True,
            invalid_row_handler=keep_invalid,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            include_columns=[c for c in wanted if c in header],
            check_utf8=False,
        ),
    )
    following = 2
    try:
        for batch in reader:
            rows = _number(batch.num_rows, following, invalid)
            following = int(rows[-1]) + 1 if len(rows) else following
            yield pa.Table.from_batches([batch]), rows
            progress(source.consumed / source.size)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        problems.add(_unreadable(error, following, mapping))


def _open(path: Path) -> ByteSource:
    try:
        return ByteSource(path)
    except OSError as error:
        remedy = f"it can't be opened: {error.strerror}"
        raise UnusableFileError(
            Problem(None, "file", "", "unreadable", remedy)
        ) from None


def _header(mapping: Mapping, wanted: dict[str, bool], source: ByteSource) -> list[str]:
    """The columns' names; the source then stands at the first row.

    Raises:
        UnusableFileError: There is no header, or a column is missing.
    """
    start = source.read(BLOCK_BYTES)
    if not start.strip():
        remedy = source.damaged or "the file is empty; export it again"
        raise UnusableFileError(Problem(None, "file", "", "empty", remedy))
    if start.startswith(_UTF16):
        remedy = "the file is UTF-16; save it as UTF-8"
        raise UnusableFileError(Problem(None, "file", "", "encoding", remedy))
    line, _, rest = start.partition(b"\n")
    try:
        text = line.decode(mapping.file.encoding).lstrip("\ufeff").rstrip("\r")
    except (UnicodeDecodeError, LookupError) as error:
        remedy = f"{error}; set file.encoding in the mapping"
        raise UnusableFileError(
            Problem(None, "header", "", "encoding", remedy)
        ) from None
    header = [name.strip().strip('"') for name in text.split(mapping.file.delimiter)]
    _check_columns(header, mapping, wanted)
    source.unread(rest)
    return header


def _check_columns(
    header: list[str], mapping: Mapping, wanted: dict[str, bool]
) -> None:
    """Refuse a file that lacks a column.

    Raises:
        UnusableFileError: It does.
    """
    missing = [c for c, must in wanted.items() if must and c not in header]
    if missing:
        remedy = (
            f"the mapping {mapping.title} needs this column; the file has "
            f"{', '.join(header)[:300]}"
        )
        raise UnusableFileError(
            Problem(None, "column", missing[0], "missing_column", remedy)
        )


def _number(count: int, first: int, invalid: list[int]) -> npt.NDArray[np.int64]:
    """The next ``count`` row numbers that are not of rows passed by."""
    skipped = np.array([n for n in invalid if n >= first], np.int64)
    numbers = np.arange(first, first + count + len(skipped), dtype=np.int64)
    return np.setdiff1d(numbers, skipped, assume_unique=True)[:count]


def _unreadable(error: Exception, row: int, mapping: Mapping) -> Problem:
    if isinstance(error, UnicodeDecodeError):
        remedy = (
            f"the text is not {mapping.file.encoding} ({error.reason}); set "
            "file.encoding in the mapping; the rows from here on were not read"
        )
        return Problem(None, f"row {row} or later", "", "encoding", remedy)
    remedy = f"{str(error)[:200]}; the rows from here on were not read"
    return Problem(None, f"row {row} or later", "", "unreadable", remedy)


def _parquet_batches(
    path: Path, mapping: Mapping, wanted: dict[str, bool], progress: Progress
) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        remedy = f"this is no Parquet file: {str(error)[:200]}"
        raise UnusableFileError(
            Problem(None, "file", "", "unreadable", remedy)
        ) from None
    with file:
        names = file.schema_arrow.names
        _check_columns(names, mapping, wanted)
        present = [c for c in wanted if c in names]
        first = 2
        for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=present):
            texts = [pc.fill_null(pc.cast(column, pa.string()), "") for column in batch]
            yield (
                pa.table(dict(zip(present, texts, strict=True))),
                np.arange(first, first + batch.num_rows, dtype=np.int64),
            )
            first += batch.num_rows
            progress((first - 2) / max(file.metadata.num_rows, 1))
