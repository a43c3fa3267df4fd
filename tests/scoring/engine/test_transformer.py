"""The transformer: loss, causality, resume, export, bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from scoring.engine import losses
from scoring.engine.artifact import Artifact, ArtifactError
from scoring.engine.errors import (
    InvalidInteractionsError,
    TrainingDivergedError,
)
from scoring.engine.losses import blocked_cross_entropy
from scoring.engine.protocol import QuietContext, TrainingCancelled
from scoring.engine.rankers import transformer_trainer
from scoring.engine.rankers.transformer import TransformerParameters, TransformerScorer
from scoring.engine.rankers.transformer_network import Network, alibi
from scoring.engine.rankers.transformer_trainer import TransformerTrainer
from tests.scoring.engine.contract import Recorder
from tests.scoring.engine.data import history, interactions, walks

TINY = TransformerParameters(width=16, layers=2, length=6, epochs=3)


def _random(seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "hidden": torch.randn(70, 8, generator=draw),
        "embedding": torch.randn(33, 8, generator=draw),
        "target": torch.randint(33, (70,), generator=draw),
        "weight": torch.rand(70, generator=draw),
    }


@pytest.mark.parametrize("cells", [1, 33 * 64, 1_000_000])
def test_the_blocked_loss_and_its_gradients_are_torchs(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "BLOCK_CELLS", cells)
    ours, theirs = _random(), _random()
    for case in (ours, theirs):
        case["hidden"].requires_grad_()
        case["embedding"].requires_grad_()
    loss = blocked_cross_entropy(**ours)
    (3 * loss).backward()  # type: ignore[no-untyped-call]
    each = functional.cross_entropy(
        theirs["hidden"] @ theirs["embedding"].T, theirs["target"], reduction="none"
    )
    wanted = (each * theirs["weight"]).sum() / theirs["weight"].sum()
    (3 * wanted).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, wanted)
    for name in ("hidden", "embedding"):
        torch.testing.assert_close(ours[name].grad, theirs[name].grad)


def test_alibi_slopes_are_the_papers() -> None:
    bias = alibi(8, 3)[0]
    assert bias[:, 2, 0].tolist() == [-2 * 2.0**-power for power in range(1, 9)]
    assert bias[:, 2, 2].tolist() == [0.0] * 8
    assert (bias[:, 0, 1] <= -1e9).all()


def test_no_position_sees_its_future() -> None:
    torch.manual_seed(0)
    network = Network(TINY, 20).eval()
    items = torch.randint(20, (1, 6))
    changed = items.clone()
    changed[0, 4:] = (changed[0, 4:] + 1) % 20
    with torch.no_grad():
        before, after = network(items), network(changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def _fit(context: Recorder, parameters: TransformerParameters = TINY) -> Artifact:
    return TransformerTrainer(parameters).fit(walks(), context)


@pytest.mark.parametrize("cancel_after", [1, 5])
def test_a_cancelled_run_resumes_to_the_same_weights(
    tmp_path: Path, cancel_after: int
) -> None:
    whole = _fit(Recorder())
    path = tmp_path / "run.safetensors"
    with pytest.raises(TrainingCancelled, match="resumes"):
        _fit(Recorder(checkpoint=path, cancel_after=cancel_after))
    second = Recorder(checkpoint=path)
    resumed = _fit(second)
    assert second.asked < 3 * 5, "it did not start anew"
    np.testing.assert_array_equal(
        resumed.arrays["embedding"], whole.arrays["embedding"]
    )
    assert resumed.files == whole.files


@pytest.mark.parametrize("content", [b"", b"torn", None])
def test_a_foreign_or_torn_checkpoint_is_not_resumed(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "run.safetensors"
    if content is None:  # of another seed
        with pytest.raises(TrainingCancelled):
            _fit(Recorder(seed=1, checkpoint=path, cancel_after=1))
    else:
        path.write_bytes(content)
    fresh = _fit(Recorder(checkpoint=path))
    np.testing.assert_array_equal(
        fresh.arrays["embedding"], _fit(Recorder()).arrays["embedding"]
    )


def test_another_seed_gives_another_model() -> None:
    a, b = _fit(Recorder(seed=0)), _fit(Recorder(seed=1))
    assert not np.array_equal(a.arrays["embedding"], b.arrays["embedding"])


def test_training_leaves_torchs_own_random_state_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    _fit(Recorder())
    torch.testing.assert_close(torch.get_rng_state(), before)


def test_a_time_budget_ends_training() -> None:
    parameters = TransformerParameters(width=16, length=6, epochs=10_000, seconds=0.2)
    context = Recorder()
    _fit(context, parameters)
    assert context.fractions[-1] == 1.0


def test_the_export_is_compared_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    error = _fit(Recorder()).facts["export_error"]
    assert isinstance(error, float)
    assert 0 <= error < 1e-4
    monkeypatch.setattr(transformer_trainer, "EXPORT_TOLERANCE", -1.0)
    with pytest.raises(ArtifactError, match="differs from torch"):
        _fit(Recorder())


def test_a_diverging_loss_is_named_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def diverged(*tensors: torch.Tensor) -> torch.Tensor:
        return tensors[0].sum() * torch.nan

    monkeypatch.setattr(transformer_trainer, "blocked_cross_entropy", diverged)
    with pytest.raises(TrainingDivergedError, match="lower it"):
        _fit(Recorder())


def test_units_with_one_item_cannot_teach_a_sequence_model() -> None:
    for rows in (
        [(0, "a", 0.0)],
        [(0, "a", 0.0), (0, "a", 1.0)],
        [(0, "a", 0.0), (1, "b", 1.0)],
    ):
        with pytest.raises(InvalidInteractionsError, match="use popularity"):
            TransformerTrainer(TINY).fit(interactions(rows), QuietContext())


def test_one_unit_with_two_items_gives_a_model() -> None:
    log = interactions([(0, "a", 0.0), (0, "b", 1.0)])
    scorer = TransformerScorer.load(TransformerTrainer(TINY).fit(log, QuietContext()))
    assert scorer.recommend([history("a")], 2, [("a",)])[0].item_ids == ["b"]


def test_a_history_longer_than_the_model_keeps_its_end() -> None:
    scorer = TransformerScorer.load(_fit(Recorder()))
    long = history("b4", "b5", "a0", "a1", "a2", "a3", "a4", "a5")
    short = history("a0", "a1", "a2", "a3", "a4", "a5")
    a, b = scorer.catalogue_scores([long, short])
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_repeats_in_a_row_are_one_step() -> None:
    scorer = TransformerScorer.load(_fit(Recorder()))
    a, b = scorer.catalogue_scores([history("a0", "a0", "a1"), history("a0", "a1")])
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_model_that_does_not_load_is_an_artifact_error() -> None:
    whole = _fit(Recorder())
    for files, arrays in (
        ({"model.onnx": b"garbage"}, whole.arrays),
        ({}, whole.arrays),
        (whole.files, {"embedding": whole.arrays["embedding"][:-1]}),
    ):
        broken = Artifact(
            whole.kind, whole.parameters, arrays, whole.item_ids, files=files
        )
        with pytest.raises(ArtifactError, match="train the version again"):
            TransformerScorer.load(broken)
