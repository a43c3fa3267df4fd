"""The contract between data, trainers, scorers and those who call them."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from scoring.engine.artifact import Artifact
from scoring.engine.errors import EngineError, InvalidInteractionsError

SECONDS_PER_DAY = 86_400.0


class TrainingCancelled(EngineError):  # noqa: N818 - an outcome, not a fault
    """Training stopped because the context said so; the checkpoint is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """What units did with items, in time order.

    Attributes:
        unit: int32[n], index of the unit, below `n_units`.
        item: int32[n], index into `item_ids`.
        timestamp: float64[n], seconds since the epoch, ascending; ties keep the
            order of the log.
        weight: float32[n], implicit feedback strength, finite and at least 0.
        n_units: Number of units, with or without interactions.
        item_ids: The vocabulary: index to item id, unique.

    Raises:
        InvalidInteractionsError: A column breaks one of these rules.
    """

    unit: NDArray[np.int32]
    item: NDArray[np.int32]
    timestamp: NDArray[np.float64]
    weight: NDArray[np.float32]
    n_units: int
    item_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {
            name: len(getattr(self, name))
            for name in ("unit", "item", "timestamp", "weight")
        }
        if len(set(lengths.values())) != 1:
            raise InvalidInteractionsError(
                f"columns differ in length: {lengths}; pass one value per interaction"
            )
        if len(set(self.item_ids)) != len(self.item_ids):
            raise InvalidInteractionsError(
                "item_ids holds an id twice; pass each item of the vocabulary once"
            )
        self._check_index("unit", self.unit, self.n_units, "n_units")
        self._check_index("item", self.item, len(self.item_ids), "len(item_ids)")
        if not np.isfinite(self.timestamp).all():
            raise InvalidInteractionsError(
                "timestamp holds NaN or infinity; drop those rows"
            )
        if (np.diff(self.timestamp) < 0).any():
            raise InvalidInteractionsError(
                "timestamp goes backwards; sort the log by time, stable"
            )
        if not (np.isfinite(self.weight).all() and (self.weight >= 0).all()):
            raise InvalidInteractionsError(
                "weight holds a negative or non-finite value; use 0 or more"
            )

    @staticmethod
    def _check_index(
        name: str, values: NDArray[np.int32], bound: int, bound_name: str
    ) -> None:
        if len(values) and not 0 <= values.min() <= values.max() < bound:
            raise InvalidInteractionsError(
                f"{name} spans {values.min()} to {values.max()}; "
                f"it must lie in 0 to {bound_name} - 1 = {bound - 1}"
            )

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def n_items(self) -> int:
        """Size of the vocabulary."""
        return len(self.item_ids)

    def require_some(self) -> None:
        """Refuse to train on nothing.

        Raises:
            InvalidInteractionsError: There is no interaction with a weight.
        """
        if not len(self) or not self.weight.any():
            raise InvalidInteractionsError(
                "0 interactions with a weight above 0; widen the time window or "
                "check the event names that count"
            )

    def by_unit(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows grouped by unit, each unit's in time order.

        Returns:
            order int64[n] and offsets int64[n_units + 1]: the rows of unit u are
            `order[offsets[u]:offsets[u + 1]]`.
        """
        order = np.argsort(self.unit, kind="stable")
        counts = np.bincount(self.unit, minlength=self.n_units)
        return order, np.concatenate(([0], np.cumsum(counts))).astype(np.int64)

    def fingerprint(self) -> str:
        """SHA-256 of every value, so that a version can name its data."""
        digest = hashlib.sha256(f"{self.n_units}\n".encode())
        for column, dtype in (
            (self.unit, "<i4"),
            (self.item, "<i4"),
            (self.timestamp, "<f8"),
            (self.weight, "<f4"),
        ):
            digest.update(np.ascontiguousarray(column, dtype=dtype).tobytes())
        for item_id in self.item_ids:
            digest.update(f"{len(item_id)}:{item_id}".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class History:
    """What one unit did before now, oldest first.

    Attributes:
        item_ids: Items met, oldest first; ids the model has never seen are allowed.
        timestamps: Seconds since the epoch, one per item.
        now: The moment of the question, seconds since the epoch.
    """

    item_ids: tuple[str, ...]
    timestamps: tuple[float, ...]
    now: float

    def __post_init__(self) -> None:
        if len(self.item_ids) != len(self.timestamps):
            raise ValueError(
                f"{len(self.item_ids)} items but {len(self.timestamps)} timestamps; "
                "pass one timestamp per item"
            )


@dataclass(frozen=True, slots=True)
class Ranked:
    """A list, best first; shorter than asked when the ranker knows no more.

    Attributes:
        item_ids: Best first.
        scores: One per item, descending, on the ranker's own scale.
    """

    item_ids: list[str]
    scores: list[float]

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(zip(self.item_ids, self.scores, strict=True))


class TrainingContext(Protocol):
    """What a trainer is told and how it answers while it runs."""

    @property
    def seed(self) -> int:
        """Fixes every random draw of the run."""

    @property
    def checkpoint(self) -> Path | None:
        """The file a long run resumes from, or None to keep no state."""

    def report(self, fraction: float, message: str, **figures: float) -> None:
        """Say how far the run is (0 to 1), in words and figures."""

    def cancelled(self) -> bool:
        """Whether someone asked the run to stop."""


@dataclass(frozen=True, slots=True)
class QuietContext:
    """A context for scripts and tests: silent, never cancelled."""

    seed: int = 0
    checkpoint: Path | None = None

    def report(self, fraction: float, message: str, **figures: float) -> None:
        """Say nothing."""

    def cancelled(self) -> bool:
        """Never."""
        return False


class Trainer(Protocol):
    """Turns interactions into an artifact; runs in workers, may need torch."""

    kind: ClassVar[str]

    def fit(self, interactions: Interactions, context: TrainingContext) -> Artifact:
        """Learn.

        Raises:
            InvalidInteractionsError: The data hold too little to learn from.
            TrainingCancelled: The context asked to stop.
            TrainingDivergedError: The loss left the finite numbers.
        """


class ScoresCatalogue(Protocol):
    """The part of a scorer that evaluation needs.

    A score of minus infinity says that the ranker has no evidence for an item (or
    has never seen it); such items are never listed. Items and units it has never
    seen are ignored, never an error.
    """

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The catalogue it can rank, in the order of `catalogue_scores`."""

    def catalogue_scores(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Score the whole catalogue: a fresh float32[histories, items]."""


class Scorer(ScoresCatalogue, Protocol):
    """Ranks the catalogue for units; never needs torch."""

    kind: ClassVar[str]

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """Make the scorer ready to answer.

        Raises:
            ArtifactError: The artifact is of another kind or lacks a part.
        """

    def recommend(
        self,
        histories: Sequence[History],
        k: int,
        exclude: Sequence[Collection[str]],
        *,
        candidates: Sequence[str] | None = None,
    ) -> list[Ranked]:
        """List the best k items for each history.

        Args:
            histories: One per list.
            k: Longest list, at least 1.
            exclude: Item ids left out, one collection per history (seen items are
                left out only if named here).
            candidates: Rank only these; None ranks the whole catalogue.
        """

    def score(self, history: History, candidates: Sequence[str]) -> NDArray[np.float32]:
        """Score the candidates, float32[len(candidates)], in their order."""

    def explain(self, history: History, item_id: str) -> list[tuple[str, float]]:
        """Past items that moved this item's score, largest contribution first."""
