"""Item to item: what goes together and what follows, summed over a decayed history.

Two matrices over items are added and each row keeps its K largest entries:

* similarity S: cosine of the items' columns of the unit-item matrix (the largest
  weight of each pair), optionally after TF-IDF, where a unit that met many items says
  less about each of them;
* transitions M[a, b]: sum over pairs at distance 1..w in a unit's sequence of
  1 / distance, divided by (n_a n_b)^alpha, n being interactions of an item.

Score of item i = sum over history items j of decay^(visits since j) (S + c M)[j, i].
A visit is a distinct timestamp: the items of one basket weigh the same.

References:
    Sarwar et al., Item-based collaborative filtering, WWW 2001 (cosine).
    Robertson & Zaragoza, The probabilistic relevance framework, 2009 (the idf).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scoring.engine.artifact import Artifact, ArtifactError, Tensor, library_versions
from scoring.engine.catalogue import CatalogueScorer
from scoring.engine.parameters import Parameters, parameter
from scoring.engine.protocol import (
    History,
    Interactions,
    TrainingCancelled,
    TrainingContext,
)

KIND = "item_knn"
BLOCK_CELLS = 4_000_000  # dense cells held at once while neighbours are chosen


@dataclass(frozen=True)
class ItemKnnParameters(Parameters):
    """How items are compared and how a history is read."""

    similarity: str = parameter(
        "tfidf", "how co-occurrence is compared", choices=("cosine", "tfidf")
    )
    neighbours: int = parameter(200, "neighbours kept per item", low=1, high=10_000)
    transition_weight: float = parameter(
        10.0, "weight of transitions beside similarity; 0: none", low=0, high=1000
    )
    transition_window: int = parameter(
        5, "longest distance of a transition, in interactions", low=1, high=100
    )
    popularity_power: float = parameter(
        0.4, "how much popular items are damped in transitions", low=0, high=1
    )
    history_decay: float = parameter(
        0.8, "weight of a visit relative to the next one", low=0.01, high=1
    )
    history_length: int = parameter(
        50, "latest interactions of a history that count", low=1, high=1000
    )


class ItemKnnTrainer:
    """Compares items and keeps each one's nearest neighbours."""

    kind: ClassVar[str] = KIND

    def __init__(self, parameters: ItemKnnParameters | None = None) -> None:
        self.parameters = parameters or ItemKnnParameters()

    def fit(self, interactions: Interactions, context: TrainingContext) -> Artifact:
        """Build the neighbour matrix, a block of items at a time.

        Raises:
            InvalidInteractionsError: There is no interaction with a weight.
            TrainingCancelled: The context asked to stop.
        """
        interactions.require_some()
        p = self.parameters
        context.report(0.0, "counting co-occurrences and transitions")
        columns = unit_item_matrix(interactions)
        if p.similarity == "tfidf":
            columns = tfidf(columns)
        columns = unit_columns(columns)
        transitions = p.transition_weight * transition_matrix(
            interactions, window=p.transition_window, power=p.popularity_power
        )
        neighbours = self._nearest(columns, transitions.tocsr(), context)
        context.report(1.0, f"kept {neighbours.nnz} neighbours")
        return Artifact(
            kind=KIND,
            parameters=p.as_dict(),
            arrays={
                "indptr": neighbours.indptr.astype(np.int64),
                "indices": neighbours.indices.astype(np.int32),
                "weights": neighbours.data.astype(np.float32),
            },
            item_ids=interactions.item_ids,
            facts={
                "seed": context.seed,
                "data": interactions.fingerprint(),
                "interactions": len(interactions),
                "versions": library_versions("numpy", "scipy"),
            },
        )

    def _nearest(
        self, columns: sp.csc_array, transitions: sp.csr_array, context: TrainingContext
    ) -> sp.csr_array:
        n_items = columns.shape[1]
        rows = columns.T.tocsr()
        block = max(1, BLOCK_CELLS // n_items)
        kept = []
        for start in range(0, n_items, block):
            if context.cancelled():
                raise TrainingCancelled(
                    f"cancelled after {start} of {n_items} items; nothing was made"
                )
            stop = min(start + block, n_items)
            dense = (rows[start:stop] @ columns + transitions[start:stop]).toarray()
            dense[np.arange(stop - start), np.arange(start, stop)] = 0.0
            kept.append(largest_per_row(dense, self.parameters.neighbours))
            context.report(stop / n_items, f"compared {stop} of {n_items} items")
        return sp.csr_array(sp.vstack(kept, format="csr"))


def unit_item_matrix(interactions: Interactions) -> sp.csc_array:
    """The largest weight of each unit-item pair, [n_units, n_items].

    The largest and not the sum: a purchase outweighs the views before it, and
    reloading a page is no evidence.
    """
    pair = interactions.unit.astype(np.int64) * interactions.n_items
    pair += interactions.item
    order = np.argsort(pair, kind="stable")
    pairs, starts = np.unique(pair[order], return_index=True)
    weights = np.maximum.reduceat(interactions.weight[order], starts)
    shape = (interactions.n_units, interactions.n_items)
    coordinates = np.divmod(pairs, interactions.n_items)
    matrix = sp.csc_array((weights.astype(np.float64), coordinates), shape=shape)
    matrix.eliminate_zeros()
    return matrix


def tfidf(matrix: sp.csc_array) -> sp.csc_array:
    """Square-root weights times the unit's idf ln(1 + (N - df + .5)/(df + .5)).

    N is the number of items, df the number of items the unit met. The plain ln(N/df)
    is zero or negative on small catalogues and would erase nearly everything.
    """
    met = np.bincount(matrix.indices, minlength=matrix.shape[0])
    idf = np.log1p((matrix.shape[1] - met + 0.5) / (met + 0.5))
    weighted = matrix.copy()
    weighted.data = np.sqrt(matrix.data) * idf[matrix.indices]
    return weighted


def unit_columns(matrix: sp.csc_array) -> sp.csc_array:
    """Columns scaled to length 1, so that X'X holds cosines; empty ones stay 0."""
    scaled = matrix.copy()
    sizes = np.diff(matrix.indptr)
    owner = np.repeat(np.arange(matrix.shape[1]), sizes)
    squares = np.bincount(owner, weights=matrix.data**2, minlength=matrix.shape[1])
    scaled.data = matrix.data / np.sqrt(squares)[owner]
    return scaled


def transition_matrix(
    interactions: Interactions, *, window: int, power: float
) -> sp.csr_array:
    """Damped counts of what follows what, [n_items, n_items]; see the module."""
    order, _ = interactions.by_unit()
    unit, item = interactions.unit[order], interactions.item[order]
    heads, tails, values = [], [], []
    for distance in range(1, window + 1):
        pairs = unit[:-distance] == unit[distance:]
        pairs &= item[:-distance] != item[distance:]
        heads.append(item[:-distance][pairs])
        tails.append(item[distance:][pairs])
        values.append(np.full(int(pairs.sum()), 1.0 / distance))
    head, tail = np.concatenate(heads), np.concatenate(tails)
    count = np.bincount(interactions.item, minlength=interactions.n_items)
    damped = np.concatenate(values)
    damped /= (count[head].astype(np.float64) * count[tail]) ** power
    shape = (interactions.n_items, interactions.n_items)
    return sp.coo_array((damped, (head, tail)), shape=shape).tocsr()


def largest_per_row(dense: NDArray[np.float64], k: int) -> sp.csr_array:
    """Keep the k largest positive entries of each row."""
    n_rows, n_columns = dense.shape
    if k < n_columns:
        columns = np.argpartition(-dense, k - 1, axis=1)[:, :k]
        columns.sort(axis=1)
    else:
        columns = np.broadcast_to(np.arange(n_columns), dense.shape)
    values = np.take_along_axis(dense, columns, axis=1)
    positive = values > 0
    indptr = np.concatenate(([0], np.cumsum(positive.sum(axis=1))))
    return sp.csr_array(
        (values[positive], columns[positive], indptr), shape=(n_rows, n_columns)
    )


class ItemKnnScorer(CatalogueScorer):
    """Adds up the neighbours of a decayed history; exact about why."""

    kind: ClassVar[str] = KIND

    def __init__(
        self,
        neighbours: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
        parameters: ItemKnnParameters,
        item_ids: tuple[str, ...],
    ) -> None:
        super().__init__(item_ids)
        self._indptr, self._indices, self._weights = neighbours
        self._parameters = parameters

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """Make the scorer ready to answer.

        Raises:
            ArtifactError: The neighbour matrix is missing or does not fit.
        """
        indptr = artifact.array("indptr").astype(np.int64, copy=False)
        indices = artifact.array("indices").astype(np.int32, copy=False)
        weights = artifact.array("weights").astype(np.float32, copy=False)
        _check_rows(indptr, indices, weights, len(artifact.item_ids))
        parameters = ItemKnnParameters.from_mapping(artifact.parameters)
        return cls((indptr, indices, weights), parameters, artifact.item_ids)

    def catalogue_scores(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Decayed sums; minus infinity where no past item is a neighbour."""
        scores = np.full((len(histories), len(self.catalogue)), -np.inf, np.float32)
        for row, history in zip(scores, histories, strict=True):
            items, weights = self._decayed(history)
            if len(items):
                self._add_neighbours(row, items, weights)
        return scores

    def _add_neighbours(
        self,
        row: NDArray[np.float32],
        items: NDArray[np.int64],
        weights: NDArray[np.float64],
    ) -> None:
        starts, stops = self._indptr[items], self._indptr[items + 1]
        spans = list(zip(starts.tolist(), stops.tolist(), strict=True))
        columns = np.concatenate([self._indices[a:b] for a, b in spans])
        values = np.concatenate([self._weights[a:b] for a, b in spans])
        values = values * np.repeat(weights, stops - starts)
        sums = np.bincount(columns, weights=values, minlength=len(row))
        evident = sums > 0
        row[evident] = sums[evident]

    def _decayed(
        self, history: History
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Known items of the history and their weights, oldest first."""
        met = [
            (index, timestamp)
            for item_id, timestamp in zip(
                history.item_ids, history.timestamps, strict=True
            )
            if (index := self.catalogue.find(item_id)) is not None
        ][-self._parameters.history_length :]
        items = np.array([index for index, _ in met], dtype=np.int64)
        times = np.array([timestamp for _, timestamp in met])
        later_visits = np.cumsum(np.diff(times, append=times[-1:])[::-1] != 0)[::-1]
        return items, self._parameters.history_decay**later_visits

    def explain(self, history: History, item_id: str) -> list[tuple[str, float]]:
        """Exact contributions: they add up to the item's score."""
        target = self.catalogue.find(item_id)
        contributions: dict[str, float] = {}
        items, weights = self._decayed(history)
        for item, weight in zip(items.tolist(), weights.tolist(), strict=True):
            span = slice(self._indptr[item], self._indptr[item + 1])
            for value in self._weights[span][self._indices[span] == target]:
                past = self.item_ids[item]
                contributions[past] = contributions.get(past, 0.0) + weight * value
        return sorted(
            ((past, float(moved)) for past, moved in contributions.items()),
            key=lambda pair: -pair[1],
        )


def _check_rows(indptr: Tensor, indices: Tensor, weights: Tensor, n_items: int) -> None:
    fits = (
        indptr.shape == (n_items + 1,)
        and indices.shape == weights.shape == (indptr[-1],)
        and indptr[0] == 0
        and bool((np.diff(indptr) >= 0).all())
        and bool(((indices >= 0) & (indices < n_items)).all())
    )
    if not fits:
        raise ArtifactError(
            f"the neighbour matrix does not fit {n_items} items; "
            "train the version again"
        )
