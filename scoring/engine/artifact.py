"""What a trained ranker is on disk: weights, manifest, vocabulary, never pickle."""

import hashlib
import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from numpy.typing import NDArray

from scoring.engine.errors import EngineError

Scalar: TypeAlias = int | float | str | bool
Json: TypeAlias = (
    str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"] | None
)
Tensor: TypeAlias = NDArray[np.number]

WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"
VOCABULARY = "vocabulary.parquet"

FORMAT: Literal[1] = 1
HEADER_LIMIT = 1_000_000  # bytes; safetensors itself takes 100 MB
MANIFEST_LIMIT = 1_000_000  # bytes
_DTYPES: dict[str, Literal["F32", "F64", "I32", "I64"]] = {
    "float32": "F32",
    "float64": "F64",
    "int32": "I32",
    "int64": "I64",
}
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_]*\.[a-z0-9]+")


class ArtifactError(EngineError):
    """An artifact's files are missing, altered or not what the manifest says."""


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor as the manifest promises it, in safetensors' own type names."""

    dtype: Literal["F32", "F64", "I32", "I64"]
    shape: tuple[int, ...]


class _HeaderEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: Literal["F32", "F64", "I32", "I64"]
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON page that says what an artifact is and holds every file's hash."""

    format: Literal[1]
    kind: str
    parameters: dict[str, Scalar]
    facts: dict[str, Any]
    items: int
    tensors: dict[str, TensorSpec]
    files: dict[str, str]


@dataclass(frozen=True, eq=False)
class Artifact:
    """An immutable trained ranker.

    Attributes:
        kind: The ranker's name in the registry.
        parameters: Hyper-parameters by name.
        arrays: Weights by name: finite float32 or float64, int32 or int64.
        item_ids: The vocabulary: index to item id.
        files: Further files by plain name, such as `model.onnx`.
        facts: Seed, library versions, data fingerprint, split: how it was made.
    """

    kind: str
    parameters: Mapping[str, Scalar]
    arrays: Mapping[str, Tensor]
    item_ids: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)

    def with_facts(self, **facts: Json) -> Self:
        """The same artifact with more facts, such as the split it was judged on."""
        return replace(self, facts={**self.facts, **facts})

    def to_files(self) -> dict[str, bytes]:
        """Serialise; the same artifact gives the same bytes.

        Raises:
            ArtifactError: A weight is not finite, or a type or name is not allowed.
        """
        arrays: dict[str, Tensor] = {
            name: np.ascontiguousarray(array) for name, array in self.arrays.items()
        }
        _check_tensors(arrays)
        for name in self.files:
            _check_file_name(name)
        files = {
            WEIGHTS: safetensors.numpy.save(dict(arrays)),
            VOCABULARY: _write_vocabulary(self.item_ids),
            **self.files,
        }
        manifest = Manifest(
            format=FORMAT,
            kind=self.kind,
            parameters=dict(self.parameters),
            facts=dict(self.facts),
            items=len(self.item_ids),
            tensors={name: _spec(array) for name, array in arrays.items()},
            files={name: _sha256(data) for name, data in files.items()},
        )
        encoded = msgspec.json.encode(manifest, order="deterministic")
        files[MANIFEST] = msgspec.json.format(encoded, indent=1)
        return files

    @classmethod
    def from_files(
        cls, files: Mapping[str, bytes], *, expected_hash: str | None = None
    ) -> Self:
        """Read back, every hash verified before anything else is parsed.

        Args:
            files: Every file by name.
            expected_hash: `content_hash` noted at registration; without it an
                altered manifest that is still well formed is not noticed.

        Raises:
            ArtifactError: A file is missing, extra, altered or malformed.
        """
        if expected_hash is not None and content_hash(files) != expected_hash:
            raise ArtifactError(
                f"{MANIFEST} is not the registered one (its SHA-256 differs); "
                "restore the version's files"
            )
        manifest = _read_manifest(files)
        _verify_hashes(files, manifest.files)
        arrays = _read_weights(files[WEIGHTS], manifest.tensors)
        item_ids = _read_vocabulary(files[VOCABULARY])
        if len(item_ids) != manifest.items:
            raise ArtifactError(
                f"{VOCABULARY} holds {len(item_ids)} items, the manifest says "
                f"{manifest.items}; register the version again"
            )
        own = {WEIGHTS, VOCABULARY, MANIFEST}
        return cls(
            kind=manifest.kind,
            parameters=manifest.parameters,
            arrays=arrays,
            item_ids=item_ids,
            files={name: data for name, data in files.items() if name not in own},
            facts=manifest.facts,
        )

    def array(self, name: str) -> Tensor:
        """One tensor.

        Raises:
            ArtifactError: The artifact has none of that name.
        """
        if name not in self.arrays:
            raise ArtifactError(
                f"a {self.kind} artifact needs the tensor {name}; it has "
                f"{', '.join(sorted(self.arrays)) or 'none'}"
            )
        return self.arrays[name]


def content_hash(files: Mapping[str, bytes]) -> str:
    """SHA-256 of the manifest, which itself names the hash of every other file.

    Raises:
        ArtifactError: There is no manifest.
    """
    if MANIFEST not in files:
        raise ArtifactError(f"{MANIFEST} is missing; restore the version's files")
    return _sha256(files[MANIFEST])


def library_versions(*names: str) -> dict[str, str]:
    """Installed versions of the distributions that shaped a model."""
    return {name: importlib.metadata.version(name) for name in names}


def _check_file_name(name: str) -> None:
    if not _FILE_NAME.fullmatch(name) or name in {WEIGHTS, MANIFEST, VOCABULARY}:
        raise ArtifactError(
            f"file name {name!r} is not allowed; use a plain name such as model.onnx"
        )


def _check_tensors(arrays: Mapping[str, Tensor]) -> None:
    for name, array in arrays.items():
        if str(array.dtype) not in _DTYPES:
            raise ArtifactError(
                f"tensor {name} is {array.dtype}; use one of {', '.join(_DTYPES)}"
            )
        if not np.isfinite(array).all():
            raise ArtifactError(
                f"tensor {name} holds NaN or infinity; train the version again"
            )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _spec(array: Tensor) -> TensorSpec:
    return TensorSpec(dtype=_DTYPES[str(array.dtype)], shape=array.shape)


def _read_manifest(files: Mapping[str, bytes]) -> Manifest:
    data = files.get(MANIFEST, b"")
    if len(data) > MANIFEST_LIMIT:
        raise ArtifactError(
            f"{MANIFEST} has {len(data)} bytes, more than {MANIFEST_LIMIT}; "
            "restore the version's files"
        )
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(
            f"{MANIFEST} is missing or malformed ({error}); restore the version's files"
        ) from error


def _verify_hashes(files: Mapping[str, bytes], hashes: Mapping[str, str]) -> None:
    promised = {WEIGHTS, VOCABULARY, *hashes}
    missing = sorted(promised - set(files))
    extra = sorted(set(files) - set(hashes) - {MANIFEST})
    if missing or extra:
        raise ArtifactError(
            f"missing files: {', '.join(missing) or 'none'}; files the manifest does "
            f"not name: {', '.join(extra) or 'none'}; restore the version's files"
        )
    for name, promised_hash in hashes.items():
        if _sha256(files[name]) != promised_hash:
            raise ArtifactError(
                f"{name} was altered (its SHA-256 differs from the manifest's); "
                "restore the version's files"
            )


def _read_header(data: bytes) -> dict[str, TensorSpec]:
    length = int.from_bytes(data[:8], "little")
    if length > HEADER_LIMIT:
        raise ArtifactError(
            f"{WEIGHTS} has a header of {length} bytes, more than {HEADER_LIMIT}; "
            "register the version again"
        )
    try:
        header = msgspec.json.decode(data[8 : 8 + length], type=dict[str, _HeaderEntry])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{WEIGHTS} has a malformed header ({error}); register the version again"
        ) from error
    return {
        name: TensorSpec(dtype=entry.dtype, shape=entry.shape)
        for name, entry in header.items()
    }


def _read_weights(data: bytes, specs: Mapping[str, TensorSpec]) -> dict[str, Tensor]:
    header = _read_header(data)
    if header != specs:
        different = sorted(
            name for name in {*header, *specs} if header.get(name) != specs.get(name)
        )
        raise ArtifactError(
            f"tensors {', '.join(different)} are not as the manifest says; "
            "register the version again"
        )
    try:
        arrays: dict[str, Tensor] = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise ArtifactError(
            f"{WEIGHTS} is malformed ({error}); register the version again"
        ) from error
    _check_tensors(arrays)
    return arrays


def _write_vocabulary(item_ids: tuple[str, ...]) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"item_id": pa.array(item_ids, type=pa.string())})
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _read_vocabulary(data: bytes) -> tuple[str, ...]:
    try:
        # Not read_table: it imports pandas, which a serving process can do without.
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        item_ids = tuple(table.column("item_id").to_pylist())
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ArtifactError(
            f"{VOCABULARY} is malformed ({error}); register the version again"
        ) from error
    if len(set(item_ids)) != len(item_ids) or not all(
        isinstance(item_id, str) for item_id in item_ids
    ):
        raise ArtifactError(
            f"{VOCABULARY} holds an id twice or not as text; register it again"
        )
    return item_ids
