"""Offline evaluation: the whole catalogue, seen items excluded, ties against us.

Sampled candidates reorder models (Krichene & Rendle, KDD 2020), so every item is
ranked. The interval of a figure is the percentile bootstrap over units; the same
units judge every model, so that two models are compared by paired differences.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.engine import metrics
from scoring.engine.catalogue import top_k
from scoring.engine.errors import EvaluationError
from scoring.engine.protocol import History, ScoresCatalogue

CHUNK_CELLS = 4_000_000  # scores held at once
DRAWS_AT_ONCE = 4_000_000  # bootstrap draws held at once
EXCLUSION_RULE = "items in the case's exclude set are neither ranked nor relevant"
TIE_RULE = "a relevant item stands behind every other item of the same score"


@dataclass(frozen=True, slots=True)
class EvaluationCase:
    """One unit at one moment.

    Attributes:
        history: What the ranker may know.
        relevant: Items that turned out right; those the ranker cannot know are misses.
        exclude: Items taken out of the ranking, usually those of the history.
    """

    history: History
    relevant: frozenset[str]
    exclude: frozenset[str]


class Figure(NamedTuple):
    """A value and its interval; no interval where units cannot be resampled."""

    value: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """How a ranker did.

    Attributes:
        figures: By name: `accuracy`, `always_no_accuracy`, `precision`, `recall`,
            `f1`, `hit_rate`, `ndcg`, `map`, `mrr` (means over units) and `coverage`,
            `gini` (of all lists together, without interval), each as `name@k`.
        per_unit: The values behind each mean, float64[users], in the cases' order.
        users: Cases judged.
        skipped: Cases left out because nothing relevant was left after exclusion.
        k: Length of the lists.
        confidence: Of the intervals.
        cases: Hash of the judged cases; equal hashes may be compared in pairs.
        exclusion_rule: What was taken out of the ranking.
        tie_rule: How equal scores were ranked.
    """

    figures: Mapping[str, Figure]
    per_unit: Mapping[str, NDArray[np.float64]]
    users: int
    skipped: int
    k: int
    confidence: float
    cases: str
    exclusion_rule: str = EXCLUSION_RULE
    tie_rule: str = TIE_RULE


@dataclass(slots=True, eq=False)
class _Judged:
    """Everything the metrics read, one row per case."""

    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]
    listed: NDArray[np.int64]
    candidates: NDArray[np.int64]
    times_listed: NDArray[np.int64]


def evaluate(
    scorer: ScoresCatalogue,
    cases: Sequence[EvaluationCase],
    k: int = 10,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge a ranker on cases.

    Raises:
        EvaluationError: k is below 1 or no case has a relevant item.
    """
    if k < 1:
        raise EvaluationError(f"k = {k}; use at least 1")
    kept = [case for case in cases if case.relevant - case.exclude]
    if not kept:
        raise EvaluationError(
            f"none of {len(cases)} cases has a relevant item outside its exclude set; "
            "choose another split"
        )
    judged = _judge(scorer, kept, k)
    per_unit = _per_unit(judged, k)
    names = list(per_unit)
    lower, upper = _intervals(
        np.stack([per_unit[name] for name in names], axis=1),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    figures = {
        name: Figure(float(per_unit[name].mean()), float(low), float(high))
        for name, low, high in zip(names, lower, upper, strict=True)
    }
    shares = judged.times_listed
    figures[f"coverage@{k}"] = Figure(metrics.catalogue_coverage(shares), None, None)
    figures[f"gini@{k}"] = Figure(metrics.gini(shares), None, None)
    return Evaluation(
        figures=figures,
        per_unit=per_unit,
        users=len(kept),
        skipped=len(cases) - len(kept),
        k=k,
        confidence=confidence,
        cases=_hash(kept),
    )


def paired_difference(
    a: Evaluation,
    b: Evaluation,
    metric: str,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Figure:
    """Mean of a - b over the same units, with its bootstrap interval.

    Raises:
        EvaluationError: The metric is unknown or the cases differ.
    """
    if metric not in a.per_unit or metric not in b.per_unit:
        known = ", ".join(name for name in a.per_unit if name in b.per_unit)
        raise EvaluationError(f"{metric} has no values per unit; known are {known}")
    if a.cases != b.cases:
        raise EvaluationError(
            f"evaluations of {a.users} and {b.users} units judged different cases; "
            "evaluate both models on the same split"
        )
    difference = a.per_unit[metric] - b.per_unit[metric]
    lower, upper = _intervals(
        difference[:, None], confidence=a.confidence, resamples=resamples, seed=seed
    )
    return Figure(float(difference.mean()), float(lower[0]), float(upper[0]))


def _judge(scorer: ScoresCatalogue, cases: Sequence[EvaluationCase], k: int) -> _Judged:
    index = {item_id: i for i, item_id in enumerate(scorer.item_ids)}
    n, n_items = len(cases), len(index)
    judged = _Judged(
        hits=np.zeros((n, k), dtype=bool),
        relevant=np.zeros(n, dtype=np.int64),
        listed=np.zeros(n, dtype=np.int64),
        candidates=np.zeros(n, dtype=np.int64),
        times_listed=np.zeros(n_items, dtype=np.int64),
    )
    chunk = max(1, CHUNK_CELLS // max(n_items, 1))
    for start in range(0, n, chunk):
        batch = cases[start : start + chunk]
        rows = scorer.catalogue_scores([case.history for case in batch])
        for row, (case, scores) in enumerate(zip(batch, rows, strict=True), start):
            _judge_one(judged, row, case, scores, index)
    return judged


def _judge_one(
    judged: _Judged,
    row: int,
    case: EvaluationCase,
    scores: NDArray[np.float32],
    index: Mapping[str, int],
) -> None:
    wanted = case.relevant - case.exclude
    excluded = [index[i] for i in case.exclude if i in index]
    scores[excluded] = -np.inf
    relevant = np.zeros(len(scores), dtype=bool)
    known = [index[i] for i in wanted if i in index]
    relevant[known] = True
    best = top_k(scores, judged.hits.shape[1], behind=relevant)
    judged.hits[row, : len(best)] = relevant[best]
    judged.relevant[row] = len(wanted)
    judged.listed[row] = len(best)
    unknown = len(wanted) - len(known)
    judged.candidates[row] = len(scores) - len(excluded) + unknown
    judged.times_listed[best] += 1


def _per_unit(judged: _Judged, k: int) -> dict[str, NDArray[np.float64]]:
    hits, relevant = judged.hits, judged.relevant
    listed, candidates = judged.listed, judged.candidates
    values = {
        "accuracy": metrics.accuracy(hits, relevant, listed, candidates),
        "always_no_accuracy": metrics.always_no_accuracy(relevant, candidates),
        "precision": metrics.precision(hits),
        "recall": metrics.recall(hits, relevant),
        "f1": metrics.f1(hits, relevant),
        "hit_rate": metrics.hit_rate(hits),
        "ndcg": metrics.ndcg(hits, relevant),
        "map": metrics.average_precision(hits, relevant),
        "mrr": metrics.reciprocal_rank(hits),
    }
    return {f"{name}@{k}": value for name, value in values.items()}


def _intervals(
    values: NDArray[np.float64], *, confidence: float, resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile bootstrap of column means, values float64[units, columns]."""
    n = len(values)
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    step = max(1, DRAWS_AT_ONCE // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(n, size=(rows, n))
        drawn += np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        means[start : start + rows] = counts @ values / n
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(means, [tail, 1 - tail], axis=0)
    return lower, upper


def _hash(cases: Sequence[EvaluationCase]) -> str:
    digest = hashlib.sha256()
    for case in cases:
        for ids in (
            case.history.item_ids,
            sorted(case.relevant),
            sorted(case.exclude),
        ):
            digest.update("\x1f".join(ids).encode())
            digest.update(b"\x1e")
    return digest.hexdigest()
