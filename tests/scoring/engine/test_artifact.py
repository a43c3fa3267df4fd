"""Artifacts: verified before parsed, never pickle."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.engine.artifact import (
    MANIFEST,
    VOCABULARY,
    WEIGHTS,
    Artifact,
    ArtifactError,
    content_hash,
)
from scoring.engine.registry import load_scorer


def _artifact() -> Artifact:
    return Artifact(
        kind="popularity",
        parameters={"half_life_days": 14.0, "window_days": 0.0},
        arrays={"scores": np.array([3, 2, 1], np.float32), "n": np.arange(2)},
        item_ids=("a", "ü", "日本"),
        files={"model.onnx": b"graph"},
        facts={"seed": 1, "split": {"cut": 5.5, "gap": None}, "versions": ["x"]},
    )


FILES = _artifact().to_files()


def _resealed(files: dict[str, bytes], **changes: bytes) -> dict[str, bytes]:
    """Replace files and write their new hashes into the manifest."""
    manifest = json.loads(files[MANIFEST])
    altered = dict(files)
    for name, data in changes.items():
        altered[name] = data
        manifest["files"][name] = hashlib.sha256(data).hexdigest()
    altered[MANIFEST] = json.dumps(manifest).encode()
    return altered


def _manifest(**changes: object) -> dict[str, bytes]:
    manifest = json.loads(FILES[MANIFEST]) | changes
    return {**FILES, MANIFEST: json.dumps(manifest).encode()}


def test_what_was_written_is_read_back() -> None:
    again = Artifact.from_files(FILES, expected_hash=content_hash(FILES))
    before = _artifact()
    assert again.kind == before.kind
    assert again.parameters == before.parameters
    assert again.item_ids == before.item_ids
    assert again.files == before.files
    assert again.facts == before.facts
    assert set(again.arrays) == set(before.arrays)
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
        assert again.arrays[name].dtype == array.dtype


def test_the_same_artifact_gives_the_same_bytes() -> None:
    assert _artifact().to_files() == FILES


def test_the_manifest_names_every_other_file_and_its_hash() -> None:
    manifest = json.loads(FILES[MANIFEST])
    assert set(manifest["files"]) == set(FILES) - {MANIFEST}
    for name, promised in manifest["files"].items():
        assert hashlib.sha256(FILES[name]).hexdigest() == promised
    assert manifest["tensors"]["scores"] == {"dtype": "F32", "shape": [3]}


def test_nothing_is_pickled() -> None:
    for data in FILES.values():
        assert not data.startswith((b"\x80", b"PK"))


def test_facts_can_be_added_without_touching_the_original() -> None:
    before = _artifact()
    after = before.with_facts(split="late")
    assert after.facts["split"] == "late"
    assert after.facts["seed"] == 1
    assert before.facts["split"] != "late"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named(name: str) -> None:
    files = {key: data for key, data in FILES.items() if key != name}
    with pytest.raises(ArtifactError, match=name):
        Artifact.from_files(files)


def test_an_extra_file_is_refused() -> None:
    with pytest.raises(ArtifactError, match=r"evil\.so"):
        Artifact.from_files({**FILES, "evil.so": b""})


@pytest.mark.parametrize("name", [WEIGHTS, VOCABULARY, "model.onnx"])
def test_an_altered_file_is_noticed_before_it_is_parsed(name: str) -> None:
    with pytest.raises(ArtifactError, match=f"{name} was altered"):
        Artifact.from_files({**FILES, name: b"garbage"})


def test_an_altered_manifest_is_noticed_by_its_registered_hash() -> None:
    files = _manifest(kind="item_knn")
    with pytest.raises(ArtifactError, match="not the registered one"):
        Artifact.from_files(files, expected_hash=content_hash(FILES))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"kind": 3},
        {"items": "3"},
        {"parameters": {"a": [1]}},
        {"tensors": {"scores": {"dtype": "F16", "shape": [3]}}},
        {"files": {WEIGHTS: 1}},
        {"surprise": 1},
    ],
)
def test_a_manifest_of_another_shape_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="malformed"):
        Artifact.from_files(_manifest(**changes))


def test_tensors_must_be_exactly_the_manifests() -> None:
    spec = {"dtype": "F32", "shape": [3]}
    for tensors in ({"scores": spec}, {"other": spec}, {}):
        with pytest.raises(ArtifactError, match="not as the manifest says"):
            Artifact.from_files(_manifest(tensors=tensors))


def test_a_vocabulary_of_another_length_is_refused() -> None:
    with pytest.raises(ArtifactError, match="holds 3 items, the manifest says 4"):
        Artifact.from_files(_manifest(items=4))


def test_a_giant_header_is_refused_unread() -> None:
    data = (2_000_000).to_bytes(8, "little") + FILES[WEIGHTS][8:]
    with pytest.raises(ArtifactError, match="header of 2000000 bytes"):
        Artifact.from_files(_resealed(FILES, **{WEIGHTS: data}))


@pytest.mark.parametrize("cut", [0, 4, 8, 40, -1])
def test_truncated_weights_are_refused(cut: int) -> None:
    files = _resealed(FILES, **{WEIGHTS: FILES[WEIGHTS][:cut]})
    with pytest.raises(ArtifactError):
        Artifact.from_files(files)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_must_be_finite_when_written_and_when_read(value: float) -> None:
    bad = np.array([value, 0, 0], np.float32)
    with pytest.raises(ArtifactError, match="scores holds NaN or infinity"):
        Artifact("popularity", {}, {"scores": bad}, ("a", "b", "c")).to_files()
    data = FILES[WEIGHTS].replace(np.float32(3).tobytes(), np.float32(value).tobytes())
    with pytest.raises(ArtifactError, match="scores holds NaN or infinity"):
        Artifact.from_files(_resealed(FILES, **{WEIGHTS: data}))


def test_only_plain_types_and_names_are_written() -> None:
    halves = np.zeros(1, np.float16)
    with pytest.raises(ArtifactError, match="float16"):
        Artifact("x", {}, {"w": halves}, ()).to_files()
    for name in ("../model.onnx", "a/b.onnx", MANIFEST, "model"):
        with pytest.raises(ArtifactError, match="not allowed"):
            Artifact("x", {}, {}, (), files={name: b""}).to_files()


def test_an_empty_artifact_survives() -> None:
    again = Artifact.from_files(Artifact("x", {}, {}, ()).to_files())
    assert again.item_ids == ()
    assert dict(again.arrays) == {}


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(ArtifactError, match="needs the tensor scores; it has none"):
        load_scorer(Artifact("popularity", {}, {}, ("a",)))
    with pytest.raises(ArtifactError, match="shape"):
        load_scorer(Artifact("popularity", {}, {"scores": np.zeros(2)}, ("a",)))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_mutated_file_never_loads_wrong(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    original = FILES[name]
    position = data.draw(st.integers(0, len(original) - 1))
    flip = data.draw(st.integers(1, 255))
    mutated = bytearray(original)
    mutated[position] ^= flip
    files = {**FILES, name: bytes(mutated)}
    with pytest.raises(ArtifactError):
        Artifact.from_files(files, expected_hash=content_hash(FILES))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_content_with_true_hashes_raises_nothing_but_artifact_errors(
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    original = FILES[name]
    position = data.draw(st.integers(0, len(original) - 1))
    mutated = bytearray(original)
    mutated[position] ^= data.draw(st.integers(1, 255))
    if name == MANIFEST:
        files = {**FILES, name: bytes(mutated)}
    else:
        files = _resealed(FILES, **{name: bytes(mutated)})
    try:
        read = Artifact.from_files(files)
    except ArtifactError:
        return
    assert len(read.item_ids) == 3
