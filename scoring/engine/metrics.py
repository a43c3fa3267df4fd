"""Metric definitions, pure: arrays in, one value per unit (or one figure) out.

Ranking metrics read `hits`, bool[units, k]: whether the item at each place (best
first, False beyond the list's end) is relevant, and `relevant`, int[units], how many
items are relevant in all, at least 1.

References:
    Järvelin & Kekäläinen, Cumulated gain-based evaluation, TOIS 2002 (NDCG).
    Manning, Raghavan & Schütze, Introduction to information retrieval, chapter 8.
    Castells, Hurley & Vargas, Novelty and diversity, RecSys handbook, 2nd edition.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
PerUnit = NDArray[np.float64]


def precision(hits: Hits) -> PerUnit:
    """Hits / k, also where fewer than k items could be listed."""
    values: PerUnit = _found(hits) / hits.shape[1]
    return values


def recall(hits: Hits, relevant: Counts) -> PerUnit:
    """Hits / relevant items."""
    return _found(hits) / relevant


def f1(hits: Hits, relevant: Counts) -> PerUnit:
    """Harmonic mean of a unit's precision and recall: 2 hits / (k + relevant)."""
    values: PerUnit = 2 * _found(hits) / (hits.shape[1] + relevant)
    return values


def hit_rate(hits: Hits) -> PerUnit:
    """1 where any listed item is relevant."""
    return np.minimum(_found(hits), 1.0)


def reciprocal_rank(hits: Hits) -> PerUnit:
    """1 / place of the first relevant item, 0 without one."""
    values: PerUnit = hit_rate(hits) / (hits.argmax(axis=1) + 1)
    return values


def ndcg(hits: Hits, relevant: Counts) -> PerUnit:
    """Binary NDCG: DCG over the DCG of min(k, relevant) hits at the top."""
    k = hits.shape[1]
    ideal = np.cumsum(_discounts(k))
    values: PerUnit = (hits @ _discounts(k)) / ideal[np.minimum(relevant, k) - 1]
    return values


def graded_ndcg(
    gains: NDArray[np.float64], ideal_gains: NDArray[np.float64]
) -> PerUnit:
    """NDCG of graded relevance, linear gain.

    Args:
        gains: float64[units, k], gain of the item at each place.
        ideal_gains: float64[units, any], gains of all the unit's items; padding is 0.
    """
    k = gains.shape[1]
    best = -np.sort(-ideal_gains, axis=1)[:, :k]
    ideal = best @ _discounts(best.shape[1])
    values: PerUnit = (gains @ _discounts(k)) / ideal
    return values


def average_precision(hits: Hits, relevant: Counts) -> PerUnit:
    """Precision at each hit, summed, over ALL relevant items (not the hits found)."""
    places = np.arange(1, hits.shape[1] + 1)
    at_place = np.cumsum(hits, axis=1) / places
    values: PerUnit = (at_place * hits).sum(axis=1) / relevant
    return values


def accuracy(
    hits: Hits, relevant: Counts, listed: Counts, candidates: Counts
) -> PerUnit:
    """Share of candidates judged right when the list says yes and all else no.

    Nearly all candidates are true negatives, so it is near 1 for any ranker: show it
    beside `always_no_accuracy`, never sort by it.

    Args:
        hits: See the module.
        relevant: See the module.
        listed: int[units], length of each list.
        candidates: int[units], items that could be listed or are relevant.
    """
    found = _found(hits)
    wrong = (listed - found) + (relevant - found)
    return 1.0 - wrong / candidates


def always_no_accuracy(relevant: Counts, candidates: Counts) -> PerUnit:
    """Accuracy of recommending nothing."""
    return 1.0 - relevant / candidates


def catalogue_coverage(listed: NDArray[np.int64]) -> float:
    """Share of the catalogue in at least one list.

    Args:
        listed: int64[items], in how many lists each item of the catalogue stands.
    """
    return float((listed > 0).mean())


def gini(listed: NDArray[np.int64]) -> float:
    """Inequality of exposure over the whole catalogue: 0 equal, near 1 all on one.

    Args:
        listed: int64[items], in how many lists each item of the catalogue stands.
    """
    ascending = np.sort(listed).astype(np.float64)
    n = len(ascending)
    total = ascending.sum()
    if not total:
        return 0.0
    ranks = 2 * np.arange(1, n + 1) - n - 1
    return float(ranks @ ascending / (n * total))


def novelty(lists: Iterable[Sequence[str]], units: Mapping[str, int], n: int) -> float:
    """Mean self-information of listed items, -log2(share of units who met them).

    Args:
        lists: Listed item ids, one sequence per unit.
        units: Training units who met each item; an item nobody met counts as one.
        n: Training units in all.
    """
    bits = [-math.log2(max(units.get(i, 0), 1) / n) for each in lists for i in each]
    return sum(bits) / len(bits) if bits else 0.0


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of a yes/no prediction; a ratio without cases is 0."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def at_threshold(
        cls, truth: NDArray[np.bool_], scores: NDArray[np.float64], threshold: float
    ) -> "Confusion":
        """Say yes from the threshold on."""
        yes = scores >= threshold
        return cls(
            tp=int((yes & truth).sum()),
            fp=int((yes & ~truth).sum()),
            fn=int((~yes & truth).sum()),
            tn=int((~yes & ~truth).sum()),
        )

    @property
    def accuracy(self) -> float:
        """Share judged right."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def always_no_accuracy(self) -> float:
        """Accuracy of always saying no."""
        return _ratio(self.fp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def precision(self) -> float:
        """Share of yes that is right."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of true cases found."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def macro_f1(self) -> float:
        """Mean of F1 of yes and F1 of no."""
        no = _ratio(2 * self.tn, 2 * self.tn + self.fp + self.fn)
        return (self.f1 + no) / 2

    @property
    def matthews(self) -> float:
        """Matthews correlation coefficient, -1 to 1."""
        sides = (
            (self.tp + self.fp)
            * (self.tp + self.fn)
            * (self.tn + self.fp)
            * (self.tn + self.fn)
        )
        return _ratio(self.tp * self.tn - self.fp * self.fn, math.sqrt(sides))


def _found(hits: Hits) -> PerUnit:
    found: PerUnit = hits.sum(axis=1, dtype=np.float64)
    return found


def _discounts(k: int) -> PerUnit:
    return 1.0 / np.log2(np.arange(2, k + 2))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
