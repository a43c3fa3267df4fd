"""Sequence transformer, training side (torch); the scorer is `transformer`.

Every position predicts the next item by full softmax cross-entropy; AdamW at a
constant rate, then linearly to 0. A run is fixed by its seed (unless a time budget
ends it), stops when asked and resumes from its checkpoint to the same weights.
"""

import hashlib
import io
import math
import time
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from scoring.engine.artifact import Artifact, ArtifactError, library_versions
from scoring.engine.checkpoints import Position, load_checkpoint, save_checkpoint
from scoring.engine.errors import TrainingDivergedError
from scoring.engine.losses import blocked_cross_entropy
from scoring.engine.protocol import (
    History,
    Interactions,
    TrainingCancelled,
    TrainingContext,
)
from scoring.engine.rankers.transformer import (
    EMBEDDING,
    KIND,
    MODEL_FILE,
    TransformerParameters,
    TransformerScorer,
)
from scoring.engine.rankers.transformer_network import LastHidden, Network
from scoring.engine.sequences import Batch, Sequences

LEAST_STEPS = 32  # steps an epoch where the data allow: small shops learn too
LEAST_TOKENS = 128  # positions a step, at least
CHECKPOINT_EVERY = 30.0  # seconds
REPORT_EVERY = 1.0  # seconds
EXPORT_TOLERANCE = 1e-4
OPSET = 18


@dataclass(slots=True)
class _Progress:
    """The moving figures of a run."""

    position: Position
    loss: float = math.nan
    tokens: int = 0
    reported: float = 0.0
    saved: float = 0.0


class TransformerTrainer:
    """Trains the network and exports it for serving."""

    kind: ClassVar[str] = KIND

    def __init__(self, parameters: TransformerParameters | None = None) -> None:
        self.parameters = parameters or TransformerParameters()

    def fit(self, interactions: Interactions, context: TrainingContext) -> Artifact:
        """Train, export, compare the export with torch.

        Raises:
            InvalidInteractionsError: No unit has two different items.
            TrainingCancelled: The context asked to stop; the checkpoint is kept.
            TrainingDivergedError: The loss left the finite numbers.
            ArtifactError: The exported model scores otherwise than torch.
        """
        interactions.require_some()
        sequences = Sequences.from_interactions(
            interactions, learn_repeats=self.parameters.learn_repeats
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            network = Network(self.parameters, interactions.n_items)
            data = interactions.fingerprint()
            _Run(self.parameters, sequences, network, context, data).train()
        network.eval()
        artifact = Artifact(
            kind=KIND,
            parameters=self.parameters.as_dict(),
            arrays={EMBEDDING: network.embedding.weight.detach().numpy().copy()},
            item_ids=interactions.item_ids,
            files={MODEL_FILE: export(network)},
            facts={
                "seed": context.seed,
                "data": data,
                "interactions": len(interactions),
                "weights": sum(p.numel() for p in network.parameters()),
                "versions": library_versions("numpy", "torch", "onnx", "onnxruntime"),
            },
        )
        return artifact.with_facts(export_error=compare(network, artifact, sequences))


class _Run:
    """One training run: network, optimiser, budget and where it stands."""

    def __init__(
        self,
        parameters: TransformerParameters,
        sequences: Sequences,
        network: Network,
        context: TrainingContext,
        data: str,
    ) -> None:
        self.parameters = parameters
        self.sequences = sequences
        self.network = network
        self.context = context
        self.optimizer = _optimizer(network, parameters)
        self.run = hashlib.sha256(
            f"{data} {parameters} {context.seed}".encode()
        ).hexdigest()
        # Fewer positions a step on small data, so that an epoch has enough steps.
        self.batch_tokens = min(
            parameters.batch_tokens,
            max(LEAST_TOKENS, sequences.n_targets // LEAST_STEPS),
        )

    def train(self) -> None:
        position = Position(self.run)
        if self.context.checkpoint is not None:
            position = load_checkpoint(
                self.context.checkpoint, self.run, self.network, self.optimizer
            )
        progress = _Progress(position)
        self.network.train()
        for epoch in range(position.epoch, self.parameters.epochs):
            if not self._epoch(epoch, progress):
                break
        self._report(1.0, progress)

    def _epoch(self, epoch: int, progress: _Progress) -> bool:
        """Make the epoch's remaining steps; False once the budget is spent."""
        # Dealt from seed and epoch alone: a resumed run deals the same batches.
        rng = np.random.default_rng([self.context.seed, epoch])
        batches = self.sequences.batches(self.parameters.length, self.batch_tokens, rng)
        begin = progress.position.step if progress.position.epoch == epoch else 0
        for step in range(begin, len(batches)):
            before = time.perf_counter()
            done = self._fraction(epoch, step / len(batches), progress)
            if done >= 1.0:
                return False
            if self.context.cancelled():
                self._save(progress)
                raise TrainingCancelled(
                    f"cancelled in epoch {epoch + 1} of {self.parameters.epochs}; "
                    "the same run resumes from its checkpoint"
                )
            self._step(self.sequences.pad(batches[step]), done, progress)
            spent = time.perf_counter() - before
            self._advance(epoch, step + 1, spent, progress)
            self._tell(done, progress)
        self._advance(epoch + 1, 0, 0.0, progress)
        return True

    def _fraction(self, epoch: int, of_epoch: float, progress: _Progress) -> float:
        """Share of the budget spent: of epochs or of seconds, whichever is more."""
        done = (epoch + of_epoch) / self.parameters.epochs
        if self.parameters.seconds:
            done = max(done, progress.position.elapsed / self.parameters.seconds)
        return done

    def _step(self, batch: Batch, done: float, progress: _Progress) -> None:
        learned = torch.from_numpy(batch.weights.reshape(-1) > 0).nonzero()[:, 0]
        if not len(learned):
            return
        constant = self.parameters.constant_share
        factor = 1.0 if done < constant else (1 - done) / max(1 - constant, 1e-9)
        for group in self.optimizer.param_groups:
            group["lr"] = self.parameters.learning_rate * factor
        hidden = self.network(torch.from_numpy(batch.inputs)).flatten(0, 1)
        loss = blocked_cross_entropy(
            hidden.index_select(0, learned),
            self.network.embedding.weight,
            torch.from_numpy(batch.targets).flatten().index_select(0, learned),
            torch.from_numpy(batch.weights).flatten().index_select(0, learned),
        )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingDivergedError(
                f"the loss became {value} at learning_rate "
                f"{self.parameters.learning_rate}; lower it"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        progress.tokens += len(learned)
        known = math.isfinite(progress.loss)
        progress.loss += 0.05 * (value - progress.loss) if known else 0.0
        progress.loss = progress.loss if known else value

    def _advance(
        self, epoch: int, step: int, spent: float, progress: _Progress
    ) -> None:
        elapsed = progress.position.elapsed + spent
        progress.position = replace(
            progress.position, epoch=epoch, step=step, elapsed=elapsed
        )

    def _tell(self, done: float, progress: _Progress) -> None:
        elapsed = progress.position.elapsed
        if elapsed - progress.reported >= REPORT_EVERY:
            self._report(done, progress)
            progress.reported = elapsed
        if elapsed - progress.saved >= CHECKPOINT_EVERY:
            self._save(progress)
            progress.saved = elapsed

    def _report(self, done: float, progress: _Progress) -> None:
        position = progress.position
        figures = {"epoch": float(position.epoch), "seconds": position.elapsed}
        if math.isfinite(progress.loss):
            figures["loss"] = progress.loss
        if position.elapsed:
            figures["tokens_per_second"] = progress.tokens / position.elapsed
        self.context.report(
            done, f"epoch {position.epoch} of {self.parameters.epochs}", **figures
        )

    def _save(self, progress: _Progress) -> None:
        if self.context.checkpoint is not None:
            save_checkpoint(
                self.context.checkpoint, progress.position, self.network, self.optimizer
            )


def _optimizer(
    network: Network, parameters: TransformerParameters
) -> torch.optim.AdamW:
    matrices = [p for p in network.parameters() if p.dim() > 1]
    scales = [p for p in network.parameters() if p.dim() < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": parameters.weight_decay},
            {"params": scales, "weight_decay": 0.0},
        ],
        lr=parameters.learning_rate,
        betas=(0.9, 0.98),
        foreach=True,
    )


def export(network: Network) -> bytes:
    """The blocks as ONNX, batch and length free."""
    width = network.embedding.embedding_dim
    model = LastHidden(network).eval()
    sample = (torch.zeros(2, 2, width), torch.tensor([0, 3]))
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The older exporter on purpose: 0.3 s against 6 s, and its graph runs in two
        # thirds of the time; torch is pinned and `compare` guards the result.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            sample,
            file,  # type: ignore[arg-type]  # a buffer works; the stub names paths only
            dynamo=False,
            opset_version=OPSET,
            input_names=["inputs", "last"],
            output_names=["hidden"],
            dynamic_axes={"inputs": {0: "rows", 1: "length"}, "last": {0: "rows"}},
        )
    return file.getvalue()


def compare(network: Network, artifact: Artifact, sequences: Sequences) -> float:
    """Largest difference of scores between torch and the served model.

    Raises:
        ArtifactError: It is above 1e-4.
    """
    length = TransformerParameters.from_mapping(artifact.parameters).length
    scorer = TransformerScorer.load(artifact)
    longest = sorted(sequences.spans, key=lambda span: span[0] - span[1])[:4]
    worst = 0.0
    for start, stop in (*longest, *sequences.spans[:4]):
        items = sequences.items[start:stop][-length:]
        ids = tuple(artifact.item_ids[i] for i in items)
        served = scorer.catalogue_scores([History(ids, (0.0,) * len(ids), 0.0)])[0]
        with torch.no_grad():
            hidden = network(torch.from_numpy(items)[None])[0, -1]
            wanted = network.embedding.weight @ hidden
        worst = max(worst, float(np.abs(served - wanted.numpy()).max()))
    if not worst <= EXPORT_TOLERANCE:
        raise ArtifactError(
            f"the exported model differs from torch by {worst:.2g}, more than "
            f"{EXPORT_TOLERANCE}; check the versions of torch and onnxruntime"
        )
    return worst
