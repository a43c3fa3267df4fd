"""One history to one list: what may not be shown is taken out before the top k (pure).

Unlike a scorer's own ``recommend``, the items that are out of stock are kept as
indices, so that a long list of them costs a request nothing.
"""

import time
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.assignment.plan import VersionPlan
from scoring.engine.catalogue import Catalogue, top_k
from scoring.engine.protocol import History, Ranked, Scorer

INLINE_SECONDS = 0.001
WARM_UP_CALLS = 5
WARM_UP_HISTORY = 50


class Ranker:
    """A loaded model version, ready to rank.

    Attributes:
        version: Which one.
        seconds: What one list takes, measured when it was loaded (median of 5).
    """

    def __init__(self, version: VersionPlan, scorer: Scorer) -> None:
        self.version = version
        self._scorer = scorer
        self._catalogue = Catalogue(scorer.item_ids)
        self._out: tuple[frozenset[str], NDArray[np.int64]] = (
            frozenset(),
            np.empty(0, dtype=np.int64),
        )
        self.seconds = self._warm_up()

    @property
    def inline(self) -> bool:
        """Whether a list is made faster than a thread is handed one."""
        return self.seconds < INLINE_SECONDS

    def rank(
        self,
        history: History,
        k: int,
        *,
        items_out: frozenset[str] = frozenset(),
        exclude: Iterable[str] = (),
        candidates: Sequence[str] | None = None,
    ) -> Ranked:
        """The best k items, best first; fewer when the model knows no more.

        Args:
            history: What the unit did, oldest first.
            k: Longest list, at least 1.
            items_out: Items nobody may be shown; the same object for many calls.
            exclude: Items this unit is not to be shown.
            candidates: Rank only these; None ranks the whole catalogue.
        """
        catalogue = self._catalogue
        scores = self._scorer.catalogue_scores([history])[0]
        scores[self._indices_out(items_out)] = -np.inf
        scores[catalogue.indices(exclude)] = -np.inf
        if candidates is None:
            best = top_k(scores, k)
        else:
            allowed = np.unique(catalogue.indices(candidates))
            best = allowed[top_k(scores[allowed], k)]
        ids = catalogue.item_ids
        return Ranked([ids[i] for i in best], scores[best].tolist())

    def _indices_out(self, items_out: frozenset[str]) -> NDArray[np.int64]:
        known, indices = self._out
        if known is not items_out:
            indices = self._catalogue.indices(items_out)
            self._out = (items_out, indices)
        return indices

    def _warm_up(self) -> float:
        """Make the first request as fast as the next; the median seconds of a list."""
        ids = self._catalogue.item_ids[:WARM_UP_HISTORY]
        history = History(ids, (0.0,) * len(ids), 0.0)
        self.rank(history, 10)
        times = []
        for _ in range(WARM_UP_CALLS):
            began = time.perf_counter()
            self.rank(history, 10)
            times.append(time.perf_counter() - began)
        return sorted(times)[WARM_UP_CALLS // 2]


def withheld(
    history: History, exclude: Collection[str], *, exclude_seen: bool
) -> set[str]:
    """What one unit is not to be shown: what it asked to leave out, and seen items."""
    return {*exclude, *history.item_ids} if exclude_seen else set(exclude)
