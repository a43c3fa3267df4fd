import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from models_registry import artifacts
from models_registry.artifacts import MANIFEST, ArtifactUnusableError


def artifact(**contents: bytes) -> dict[str, bytes]:
    files = {name.replace("__", "."): data for name, data in contents.items()}
    named = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return {**files, MANIFEST: json.dumps({"files": named}).encode()}


@pytest.fixture(autouse=True)
def cache(settings: Settings, tmp_path: Path, artifacts: Path) -> Path:
    settings.ARTIFACT_CACHE = tmp_path / "cache"
    return tmp_path / "cache"


@pytest.fixture
def files() -> dict[str, bytes]:
    return artifact(weights__safetensors=b"weights", vocabulary__parquet=b"words")


def stored(store: Path, digest: str, name: str) -> Path:
    return store / digest[:2] / digest / name


def test_what_was_put_is_fetched(files: dict[str, bytes]) -> None:
    digest = artifacts.put(files)
    assert digest == hashlib.sha256(files[MANIFEST]).hexdigest()
    assert artifacts.fetch(digest) == files


def test_the_same_content_is_stored_once(
    files: dict[str, bytes], artifacts: Path
) -> None:
    from models_registry.artifacts import put

    assert put(files) == put(files)
    assert len([p for p in artifacts.rglob("*") if p.is_file()]) == len(files)


def test_an_artifact_torn_by_a_crash_is_made_whole_when_stored_again(
    files: dict[str, bytes], artifacts: Path
) -> None:
    from models_registry.artifacts import fetch, put

    digest = put(files)
    stored(artifacts, digest, "weights.safetensors").write_bytes(b"wei")
    put(files)
    assert fetch(digest) == files


@pytest.mark.parametrize("name", ["weights.safetensors", MANIFEST])
def test_a_file_altered_in_the_store_is_refused(
    files: dict[str, bytes], artifacts: Path, name: str
) -> None:
    from models_registry.artifacts import fetch, put

    digest = put(files)
    path = stored(artifacts, digest, name)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ArtifactUnusableError, match="was altered"):
        fetch(digest)


def test_a_missing_file_is_named(files: dict[str, bytes], artifacts: Path) -> None:
    from models_registry.artifacts import fetch, put

    digest = put(files)
    stored(artifacts, digest, "vocabulary.parquet").unlink()
    with pytest.raises(ArtifactUnusableError, match=r"vocabulary\.parquet"):
        fetch(digest)


def test_a_file_altered_in_the_cache_is_fetched_anew(
    files: dict[str, bytes], cache: Path
) -> None:
    digest = artifacts.put(files)
    artifacts.fetch(digest)
    (cache / digest / "weights.safetensors").write_bytes(b"tampered")
    assert artifacts.fetch(digest) == files
    assert (cache / digest / "weights.safetensors").read_bytes() == b"weights"


def test_a_cached_artifact_is_served_while_the_store_is_away(
    files: dict[str, bytes], artifacts: Path
) -> None:
    from models_registry.artifacts import fetch, put

    digest = put(files)
    fetch(digest)
    shutil.rmtree(artifacts)
    assert fetch(digest) == files


def test_an_unknown_digest_says_where_to_look() -> None:
    with pytest.raises(ArtifactUnusableError, match="ARTIFACTS_URL"):
        artifacts.fetch("0" * 64)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_a_digest_never_becomes_another_path(digest: str) -> None:
    with pytest.raises(ArtifactUnusableError, match="64 hexadecimal"):
        artifacts.fetch(digest)


@pytest.mark.parametrize("name", ["../x.bin", "/etc/x.bin", "a/b.bin", "", ".bin"])
def test_a_manifest_cannot_name_a_file_outside_its_folder(name: str) -> None:
    content = b"x"
    named = {name: hashlib.sha256(content).hexdigest()}
    files = {name: content, MANIFEST: json.dumps({"files": named}).encode()}
    with pytest.raises(ArtifactUnusableError):
        artifacts.put(files)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_manifest_is_taken_for_one_by_chance(manifest: bytes) -> None:
    with pytest.raises(ArtifactUnusableError):
        artifacts.put({MANIFEST: manifest, "a.bin": b"a"})


def test_a_file_the_manifest_does_not_name_is_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(ArtifactUnusableError, match=r"extra\.bin"):
        artifacts.put({**files, "extra.bin": b"x"})
