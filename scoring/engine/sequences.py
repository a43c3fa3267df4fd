"""From interactions to padded batches of sequences for a next-item model."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scoring.engine.errors import InvalidInteractionsError
from scoring.engine.protocol import Interactions

LENGTH_JITTER = 0.1  # share of a chunk's length by which sorting is blurred


def without_repeats_in_a_row(items: NDArray[np.int64]) -> NDArray[np.int64]:
    """A view, a click and a purchase of one item in a row are one step."""
    kept: NDArray[np.int64] = items[np.diff(items, prepend=-1) != 0]
    return kept


@dataclass(frozen=True, slots=True)
class Batch:
    """One training step, padded on the right.

    Attributes:
        inputs: int64[rows, length], item indices; padding is 0.
        targets: int64[rows, length], the item after each input.
        weights: float32[rows, length], of each target; 0 for padding and for targets
            that are not to be learned.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sequences:
    """Every unit's items in time order, laid end to end.

    Attributes:
        items: int64[n], item indices.
        weights: float32[n], weight of each as a target.
        spans: Start and stop of each unit with at least one target.
    """

    items: NDArray[np.int64]
    weights: NDArray[np.float32]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def from_interactions(
        cls, interactions: Interactions, *, learn_repeats: bool
    ) -> Self:
        """Group by unit and collapse repeats in a row.

        Args:
            interactions: The log.
            learn_repeats: Whether an item the unit has met before is a target. Lists
                leave seen items out, so learning to predict them is usually wasted.

        Raises:
            InvalidInteractionsError: No unit has two different items.
        """
        order, _ = interactions.by_unit()
        unit = interactions.unit[order].astype(np.int64)
        item = interactions.item[order].astype(np.int64)
        weight = interactions.weight[order]
        starts = (np.diff(unit, prepend=-1) != 0) | (np.diff(item, prepend=-1) != 0)
        first = np.flatnonzero(starts)
        if len(first):
            weight = np.maximum.reduceat(weight, first)
        unit, item = unit[first], item[first]
        if not learn_repeats:
            pairs = unit * interactions.n_items + item
            new = np.zeros(len(pairs), dtype=bool)
            new[np.unique(pairs, return_index=True)[1]] = True
            weight = np.where(new, weight, np.float32(0))
        bounds = np.searchsorted(unit, np.arange(interactions.n_units + 1)).tolist()
        spans = tuple(
            (start, stop)
            for start, stop in pairwise(bounds)
            if stop - start > 1 and weight[start + 1 : stop].any()
        )
        if not spans:
            raise InvalidInteractionsError(
                "no unit has two different items in a row; a sequence model needs "
                "some, use popularity or more data"
            )
        return cls(item, weight.astype(np.float32), spans)

    @property
    def n_targets(self) -> int:
        """Positions with an item to predict."""
        return sum(stop - start - 1 for start, stop in self.spans)

    def batches(
        self, length: int, tokens: int, rng: np.random.Generator
    ) -> list[list[tuple[int, int]]]:
        """Deal one epoch: chunks of similar length, about `tokens` a batch.

        Long histories are cut at random offsets into chunks of at most `length`
        targets, so that all of a history is learned, not only its end.
        """
        chunks = self._chunks(length, rng)
        sizes = np.array([stop - start for start, stop in chunks], dtype=np.float64)
        sizes *= 1 + LENGTH_JITTER * rng.random(len(chunks))
        dealt: list[list[tuple[int, int]]] = [[]]
        longest = 0
        for index in np.argsort(sizes, kind="stable").tolist():
            start, stop = chunks[index]
            longest = max(longest, stop - start)
            if dealt[-1] and longest * (len(dealt[-1]) + 1) > tokens:
                dealt.append([])
                longest = stop - start
            dealt[-1].append((start, stop))
        return [dealt[i] for i in rng.permutation(len(dealt)).tolist()]

    def _chunks(self, length: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        chunks = []
        for start, stop in self.spans:
            last = stop - 1
            if last - start <= length:
                chunks.append((start, stop))
                continue
            cuts = range(start + int(rng.integers(1, length + 1)), last, length)
            edges = [start, *cuts, last]
            chunks.extend((a, b + 1) for a, b in pairwise(edges))
        return chunks

    def pad(self, chunks: list[tuple[int, int]]) -> Batch:
        """Lay chunks out as one batch."""
        longest = max(stop - start for start, stop in chunks) - 1
        shape = (len(chunks), longest)
        inputs, targets = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        weights = np.zeros(shape, np.float32)
        for row, (start, stop) in enumerate(chunks):
            steps = stop - start - 1
            inputs[row, :steps] = self.items[start : stop - 1]
            targets[row, :steps] = self.items[start + 1 : stop]
            weights[row, :steps] = self.weights[start + 1 : stop]
        return Batch(inputs, targets, weights)
