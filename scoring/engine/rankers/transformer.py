"""Sequence transformer, serving side: NumPy and ONNX Runtime, never torch.

The ONNX graph holds the blocks only: it takes embedded histories and gives the last
hidden state. The embedding table lies once, in the weights; scores are one
matrix-vector product over the catalogue. The trainer is `transformer_trainer`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from scoring.engine.artifact import Artifact, ArtifactError
from scoring.engine.catalogue import CatalogueScorer
from scoring.engine.errors import InvalidParametersError
from scoring.engine.parameters import Parameters, parameter
from scoring.engine.protocol import History
from scoring.engine.sequences import without_repeats_in_a_row

KIND = "transformer"
MODEL_FILE = "model.onnx"
EMBEDDING = "embedding"
BATCH_ROWS = 32  # histories run through the blocks at once


@dataclass(frozen=True)
class TransformerParameters(Parameters):
    """Size, regularisation and budget; the defaults suit a small shop and one core."""

    width: int = parameter(64, "size of an item's vector", low=8, high=1024)
    layers: int = parameter(1, "transformer blocks", low=1, high=16)
    heads: int = parameter(2, "attention heads, a divisor of width", low=1, high=16)
    length: int = parameter(50, "latest items that are read", low=2, high=1000)
    dropout: float = parameter(0.2, "dropout inside blocks", low=0, high=0.9)
    embedding_dropout: float = parameter(0.3, "dropout of the input", low=0, high=0.9)
    learning_rate: float = parameter(0.002, "AdamW step size", low=1e-6, high=0.1)
    weight_decay: float = parameter(0.02, "AdamW decay of matrices", low=0, high=1)
    constant_share: float = parameter(
        0.6, "share of the budget before the rate falls linearly to 0", low=0, high=1
    )
    epochs: int = parameter(20, "passes over the data", low=1, high=10_000)
    seconds: float = parameter(
        0.0, "time budget that may end training earlier; 0: none", low=0, high=604_800
    )
    batch_tokens: int = parameter(
        2048, "positions a step; less on small data", low=64, high=1_000_000
    )
    learn_repeats: bool = parameter(
        default=False, meaning="whether items met before are worth predicting"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise InvalidParametersError(
                f"width = {self.width} does not divide by heads = {self.heads}; "
                "use a multiple"
            )


class TransformerScorer(CatalogueScorer):
    """Runs the last items of a history through the blocks."""

    kind: ClassVar[str] = KIND

    def __init__(
        self,
        embedding: NDArray[np.float32],
        model: bytes,
        length: int,
        item_ids: tuple[str, ...],
    ) -> None:
        super().__init__(item_ids)
        self._embedding = embedding
        self._inputs = embedding * np.float32(np.sqrt(embedding.shape[1]))
        self._session = _session(model)
        self._length = length

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """Make the scorer ready to answer.

        Raises:
            ArtifactError: The embedding or the model is missing or does not fit.
        """
        parameters = TransformerParameters.from_mapping(artifact.parameters)
        embedding = artifact.array(EMBEDDING).astype(np.float32, copy=False)
        expected = (len(artifact.item_ids), parameters.width)
        if embedding.shape != expected or MODEL_FILE not in artifact.files:
            raise ArtifactError(
                f"embedding has shape {embedding.shape}, expected {expected}, "
                f"and files are {', '.join(artifact.files) or 'none'}, expected "
                f"{MODEL_FILE}; train the version again"
            )
        model = artifact.files[MODEL_FILE]
        return cls(embedding, model, parameters.length, artifact.item_ids)

    def catalogue_scores(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Logits of the next item; minus infinity for a history of unknown items."""
        return self._scores([self._read(history) for history in histories])

    def _read(self, history: History) -> NDArray[np.int64]:
        known = self.catalogue.indices(history.item_ids)
        return without_repeats_in_a_row(known)[-self._length :]

    def _scores(self, sequences: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        scores = np.full((len(sequences), len(self.catalogue)), -np.inf, np.float32)
        rows = [row for row, items in enumerate(sequences) if len(items)]
        rows.sort(key=lambda row: len(sequences[row]))
        for start in range(0, len(rows), BATCH_ROWS):
            batch = rows[start : start + BATCH_ROWS]
            hidden = self._hidden([sequences[row] for row in batch])
            # One product a row: a batched one rounds otherwise than a single one.
            for row, state in zip(batch, hidden, strict=True):
                np.dot(self._embedding, state, out=scores[row])
        return scores

    def _hidden(self, sequences: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Last hidden state of non-empty sequences, float32[rows, width]."""
        longest = max(len(items) for items in sequences)
        width = self._embedding.shape[1]
        inputs = np.zeros((len(sequences), longest, width), np.float32)
        for row, items in enumerate(sequences):
            inputs[row, : len(items)] = self._inputs[items]
        last = np.array(
            [row * longest + len(items) - 1 for row, items in enumerate(sequences)]
        )
        (hidden,) = self._session.run(None, {"inputs": inputs, "last": last})
        return np.asarray(hidden, dtype=np.float32)

    def explain(self, history: History, item_id: str) -> list[tuple[str, float]]:
        """Leave one item out: how much the item's lead over the mean item falls.

        Contributions need not add up to the score: items act together.
        """
        target = self.catalogue.find(item_id)
        items = self._read(history)
        if target is None or not len(items):
            return []
        past = np.unique(items)
        sequences = [items, *(items[items != left_out] for left_out in past)]
        rows = self._scores(sequences)
        # Without any history nothing is known: the lead is 0.
        rows[[not len(sequence) for sequence in sequences]] = 0.0
        leads = rows[:, target] - rows.mean(axis=1)
        moved = zip(past.tolist(), (leads[0] - leads[1:]).tolist(), strict=True)
        named = [(self.item_ids[index], change) for index, change in moved]
        return sorted(named, key=lambda pair: -pair[1])


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many unrelated classes
        raise ArtifactError(
            f"{MODEL_FILE} does not load ({error}); train the version again"
        ) from error
