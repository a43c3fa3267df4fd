"""Artifact files, addressed by the hash of their manifest and verified on every load.

``manifest.json`` names the SHA-256 of every other file, and the manifest's own SHA-256
is the address, so that nothing can be altered unnoticed. The store is a folder or an
object store; a private copy named by its hash lies on each machine, so that a process
can start while the store is away.

No ORM here: the fronts load artifacts through this module.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage

from models_registry.errors import ShipworthyError

MANIFEST = "manifest.json"
MANIFEST_LIMIT = 1_000_000  # bytes
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*\.[a-z0-9]+")
LOGGER = logging.getLogger(__name__)


class ArtifactUnusableError(ShipworthyError):
    """An artifact's files are missing, altered or not what their manifest says."""

    code = "artifact_unusable"
    status = 503


def put(files: Mapping[str, bytes]) -> str:
    """Store an artifact; storing it again changes nothing.

    Args:
        files: By plain name; ``manifest.json`` must hold ``files``: name to SHA-256
            (hex) of every other file.

    Returns:
        Its digest: the address to fetch it by.

    Raises:
        ArtifactUnusableError: The files are not what the manifest says.
    """
    if MANIFEST not in files:
        raise ArtifactUnusableError(f"{MANIFEST} is missing; save the artifact again.")
    digest = _sha256(files[MANIFEST])
    _verify(files, digest)
    storage = _storage()
    # The manifest comes last: an artifact with a manifest is whole.
    for name in sorted(files, key=lambda name: name == MANIFEST):
        _store(storage, f"{_folder(digest)}/{name}", files[name])
    return digest


def fetch(digest: str) -> dict[str, bytes]:
    """An artifact's files, every hash verified.

    Raises:
        ArtifactUnusableError: It is nowhere to be had unaltered.
    """
    if not _DIGEST.fullmatch(digest):
        raise ArtifactUnusableError(
            f"{digest!r} is no artifact digest; use 64 hexadecimal digits."
        )
    cached = Path(settings.ARTIFACT_CACHE) / digest
    if cached.is_dir():
        try:
            return _read_cache(cached, digest)
        except ArtifactUnusableError as error:
            LOGGER.warning("cached copy dropped: %s", error.message)
            shutil.rmtree(cached, ignore_errors=True)
    files = _read_store(digest)
    _write_cache(cached, files)
    return files


def size_of(files: Mapping[str, bytes]) -> int:
    """Bytes of all files together."""
    return sum(len(content) for content in files.values())


def _storage() -> Storage:
    """The store at ``ARTIFACTS_URL``."""
    url = str(settings.ARTIFACTS_URL)
    parts = urlsplit(url)
    if parts.scheme == "s3":
        from storages.backends.s3 import S3Storage  # optional: needs boto3

        location = parts.path.strip("/")
        bucket: Storage = S3Storage(
            bucket_name=parts.netloc, location=location, file_overwrite=True
        )
        return bucket
    return FileSystemStorage(location=parts.path if parts.scheme == "file" else url)


def _folder(digest: str) -> str:
    return f"{digest[:2]}/{digest}"


def _store(storage: Storage, path: str, content: bytes) -> None:
    if storage.exists(path):
        with storage.open(path) as file:
            if file.read() == content:
                return
        storage.delete(path)  # torn by a crash: the address says what it must be
    storage.save(path, ContentFile(content))


def _read_store(digest: str) -> dict[str, bytes]:
    storage = _storage()
    try:
        files = {MANIFEST: _read(storage, digest, MANIFEST, limit=MANIFEST_LIMIT)}
        for name in _named(files[MANIFEST], digest):
            files[name] = _read(storage, digest, name)
    except OSError as error:
        raise ArtifactUnusableError(
            f"Artifact {digest[:12]} can't be read from the store ({error}); check "
            "ARTIFACTS_URL, or train the version again."
        ) from error
    _verify(files, digest)
    return files


def _read(
    storage: Storage, digest: str, name: str, *, limit: int | None = None
) -> bytes:
    with storage.open(f"{_folder(digest)}/{name}") as file:
        content: bytes = file.read(-1 if limit is None else limit + 1)
    return content


def _read_cache(folder: Path, digest: str) -> dict[str, bytes]:
    try:
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
    except OSError as error:
        raise ArtifactUnusableError(f"{folder}: {error}") from error
    _verify(files, digest)
    return files


def _write_cache(folder: Path, files: Mapping[str, bytes]) -> None:
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        partial.mkdir(parents=True)
        for name, content in files.items():
            (partial / name).write_bytes(content)
        partial.rename(folder)
    except OSError as error:
        # Another process was first, or the disk is full: a cache may be missing.
        LOGGER.info("artifact not cached: %s", error)
        shutil.rmtree(partial, ignore_errors=True)


def _verify(files: Mapping[str, bytes], digest: str) -> None:
    """Check every hash before anything of the content is parsed.

    Raises:
        ArtifactUnusableError: A file is missing, extra or altered.
    """
    short = digest[:12]
    named = _named(files.get(MANIFEST, b""), digest)
    found = set(files) - {MANIFEST}
    if found != set(named):
        wrong = ", ".join(sorted(found ^ set(named)))
        raise ArtifactUnusableError(
            f"Artifact {short} does not hold the files of its manifest ({wrong}); "
            "train the version again."
        )
    for name, expected in named.items():
        if _sha256(files[name]) != expected:
            raise ArtifactUnusableError(
                f"{name} of artifact {short} was altered; train the version again."
            )


def _named(manifest: bytes, digest: str) -> dict[str, str]:
    """Name to SHA-256 of every file a manifest names.

    Raises:
        ArtifactUnusableError: It is no manifest, or names a file outside its folder.
    """
    if _sha256(manifest) != digest:
        raise ArtifactUnusableError(
            f"{MANIFEST} of artifact {digest[:12]} was altered; train the version "
            "again."
        )
    try:
        named = json.loads(manifest)["files"]
        good = all(
            isinstance(name, str) and _NAME.fullmatch(name) and _DIGEST.fullmatch(value)
            for name, value in named.items()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good, named = False, {}
    if not good:
        raise ArtifactUnusableError(
            f'{MANIFEST} of artifact {digest[:12]} has no usable "files" (plain name '
            "to SHA-256); save the artifact again."
        )
    return dict(named)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
