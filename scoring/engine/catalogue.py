"""What every scorer shares: the vocabulary, the top k, candidates and exclusion."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scoring.engine.protocol import History, Ranked

BATCH = 128  # histories scored at once: bounds memory at BATCH x catalogue floats


class Catalogue:
    """Item ids and their indices."""

    def __init__(self, item_ids: tuple[str, ...]) -> None:
        self.item_ids = item_ids
        self._index = {item_id: i for i, item_id in enumerate(item_ids)}

    def __len__(self) -> int:
        return len(self.item_ids)

    def find(self, item_id: str) -> int | None:
        """Index of one item, None if unknown."""
        return self._index.get(item_id)

    def indices(self, item_ids: Iterable[str]) -> NDArray[np.int64]:
        """Indices of the known items, in order, unknown ones dropped."""
        index = self._index
        return np.array([index[i] for i in item_ids if i in index], dtype=np.int64)


def top_k(
    scores: NDArray[np.float32], k: int, behind: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Indices of the k best scores, best first.

    Ties go to the lower index, so that a list is the same on every machine. Items
    scored minus infinity or NaN are left out.

    Args:
        scores: float32[items].
        k: Longest result.
        behind: bool[items], items that stand behind all others of the same score.
    """
    worst = -np.inf
    if k < len(scores):
        # Negated, since partition is slow where many equal values are the smallest.
        worst = -np.partition(-scores, k - 1)[k - 1]
        if np.isnan(worst):
            worst = -np.inf
    above = np.flatnonzero(scores > worst)
    level = np.flatnonzero(scores == worst) if worst > -np.inf else above[:0]
    if behind is None:
        order = np.argsort(-scores[above], kind="stable")
    else:
        order = np.lexsort((behind[above], -scores[above]))
        level = level[np.argsort(behind[level], kind="stable")]
    return np.concatenate((above[order], level))[:k]


class CatalogueScorer(ABC):
    """A scorer that can score its whole catalogue; the rest follows from that."""

    kind: ClassVar[str]

    def __init__(self, item_ids: tuple[str, ...]) -> None:
        self.catalogue = Catalogue(item_ids)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The catalogue it can rank, in the order of `catalogue_scores`."""
        return self.catalogue.item_ids

    @abstractmethod
    def catalogue_scores(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """A fresh float32[len(histories), len(item_ids)]; see `Scorer`."""

    @abstractmethod
    def explain(self, history: History, item_id: str) -> list[tuple[str, float]]:
        """Past items that moved this item's score, largest contribution first."""

    def recommend(
        self,
        histories: Sequence[History],
        k: int,
        exclude: Sequence[Collection[str]],
        *,
        candidates: Sequence[str] | None = None,
    ) -> list[Ranked]:
        """List the best k items for each history; see `Scorer`.

        Raises:
            ValueError: k is below 1, or `exclude` has another length.
        """
        if k < 1:
            raise ValueError(f"k = {k}; ask for at least 1 item")
        if len(exclude) != len(histories):
            raise ValueError(
                f"{len(histories)} histories but {len(exclude)} exclude collections; "
                "pass one each"
            )
        allowed = None if candidates is None else self.catalogue.indices(candidates)
        lists = []
        for start in range(0, len(histories), BATCH):
            batch = histories[start : start + BATCH]
            rows = self.catalogue_scores(batch)
            for row, excluded in zip(rows, exclude[start:], strict=False):
                lists.append(self._list(row, k, excluded, allowed))
        return lists

    def _list(
        self,
        scores: NDArray[np.float32],
        k: int,
        excluded: Collection[str],
        allowed: NDArray[np.int64] | None,
    ) -> Ranked:
        if excluded:
            scores[self.catalogue.indices(excluded)] = -np.inf
        if allowed is None:
            best = top_k(scores, k)
        else:
            allowed = np.unique(allowed)
            best = allowed[top_k(scores[allowed], k)]
        item_ids = self.catalogue.item_ids
        return Ranked([item_ids[i] for i in best], scores[best].tolist())

    def score(self, history: History, candidates: Sequence[str]) -> NDArray[np.float32]:
        """Score the candidates, float32[len(candidates)]; unknown ones -inf."""
        scores = self.catalogue_scores([history])[0]
        found = [self.catalogue.find(item_id) for item_id in candidates]
        return np.array(
            [-np.inf if i is None else scores[i] for i in found], dtype=np.float32
        )
