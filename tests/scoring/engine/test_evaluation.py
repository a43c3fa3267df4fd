"""Evaluation: whole catalogue, exclusion, ties, intervals, pairs."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from scoring.engine.catalogue import CatalogueScorer, top_k
from scoring.engine.errors import EvaluationError
from scoring.engine.evaluation import EvaluationCase, evaluate, paired_difference
from scoring.engine.protocol import History
from tests.scoring.engine.data import history


class Fixed(CatalogueScorer):
    """Scores laid down per history, keyed by its only item."""

    kind = "fixed"

    def __init__(self, item_ids: Sequence[str], rows: dict[str, list[float]]) -> None:
        super().__init__(tuple(item_ids))
        self.rows = rows

    def catalogue_scores(self, histories: Sequence[History]) -> NDArray[np.float32]:
        rows = [self.rows[each.item_ids[0]] for each in histories]
        return np.array(rows, dtype=np.float32)

    def explain(self, history: History, item_id: str) -> list[tuple[str, float]]:
        return []


def case(unit: str, relevant: str, exclude: str = "") -> EvaluationCase:
    return EvaluationCase(history(unit), frozenset(relevant), frozenset(exclude))


def test_the_published_lists_give_the_published_figures() -> None:
    # Each unit's list is its first five letters; the rest of the alphabet trails.
    letters = "abcdefghijklmnopqrstuvwxyz"

    def listing(first: str) -> list[float]:
        return [
            float(30 - first.index(i)) if i in first else -float(n)
            for n, i in enumerate(letters)
        ]

    scorer = Fixed(
        letters,
        {"1": listing("abcde"), "2": listing("fghij"), "3": listing("klmno")},
    )
    cases = [case("1", "acz"), case("2", "gy"), case("3", "w")]
    result = evaluate(scorer, cases, k=5)
    published = {
        "precision@5": 0.2,
        "recall@5": 0.388889,
        "f1@5": 0.261905,
        "hit_rate@5": 0.666667,
        "mrr@5": 0.5,
        "ndcg@5": 0.363590,
        "map@5": 0.268519,
    }
    for name, value in published.items():
        assert result.figures[name].value == pytest.approx(value, abs=1e-6), name
    assert result.per_unit["recall@5"] == pytest.approx([2 / 3, 0.5, 0])
    assert result.figures["coverage@5"].value == pytest.approx(15 / 26)
    assert result.users == 3


@pytest.mark.parametrize("relevant", "abcd")
def test_the_target_loses_ties(relevant: str) -> None:
    scorer = Fixed("abcd", {"1": [1.0] * 4})
    result = evaluate(scorer, [case("1", relevant)], k=4)
    assert result.figures["mrr@4"].value == 0.25
    assert evaluate(scorer, [case("1", relevant)], k=3).figures["mrr@3"].value == 0


def test_excluded_items_are_not_ranked() -> None:
    scorer = Fixed("abcd", {"1": [4.0, 3.0, 2.0, 1.0]})
    alone = evaluate(scorer, [case("1", "c")], k=1)
    without = evaluate(scorer, [case("1", "c", "ab")], k=1)
    assert alone.figures["hit_rate@1"].value == 0
    assert without.figures["hit_rate@1"].value == 1
    assert "exclude" in without.exclusion_rule
    assert "behind" in without.tie_rule


@pytest.mark.parametrize("score", [float("nan"), float("-inf")])
def test_a_target_without_a_score_is_a_miss(score: float) -> None:
    scorer = Fixed("ab", {"1": [score, 1.0]})
    result = evaluate(scorer, [case("1", "a")], k=2)
    assert result.figures["hit_rate@2"].value == 0
    assert result.figures["accuracy@2"].value == 0


def test_a_target_outside_the_vocabulary_is_a_miss_that_counts() -> None:
    scorer = Fixed("ab", {"1": [2.0, 1.0]})
    result = evaluate(scorer, [case("1", "az")], k=1)
    assert result.figures["recall@1"].value == 0.5
    assert result.figures["accuracy@1"].value == pytest.approx(2 / 3)


def test_nobody_listed_counts_as_zero_not_as_absent() -> None:
    scorer = Fixed("ab", {"1": [1.0, 2.0], "2": [-np.inf, -np.inf]})
    result = evaluate(scorer, [case("1", "b"), case("2", "b")], k=1)
    assert result.figures["hit_rate@1"].value == 0.5


def test_cases_without_anything_relevant_left_are_skipped_and_counted() -> None:
    scorer = Fixed("ab", {"1": [1.0, 2.0]})
    result = evaluate(scorer, [case("1", "b"), case("1", "a", "a")], k=1)
    assert (result.users, result.skipped) == (1, 1)
    with pytest.raises(EvaluationError, match="none of 1 cases"):
        evaluate(scorer, [case("1", "a", "a")], k=1)


def test_k_below_one_is_refused() -> None:
    with pytest.raises(EvaluationError, match="at least 1"):
        evaluate(Fixed("a", {"1": [1.0]}), [case("1", "a")], k=0)


def _coin(seed: int, chance: float) -> tuple[Fixed, list[EvaluationCase]]:
    rng = np.random.default_rng(seed)
    right = rng.random(400) < chance
    rows = {str(n): [2.0, 1.0] if ok else [1.0, 2.0] for n, ok in enumerate(right)}
    return Fixed("ab", rows), [case(str(n), "a") for n in range(400)]


def test_the_interval_agrees_with_the_normal_one() -> None:
    result = evaluate(*_coin(0, 0.3), k=1)
    value, lower, upper = result.figures["hit_rate@1"]
    half = 1.96 * np.sqrt(value * (1 - value) / 400)
    assert lower == pytest.approx(value - half, abs=0.01)
    assert upper == pytest.approx(value + half, abs=0.01)
    assert result.figures["coverage@1"].lower is None


def test_the_same_seed_gives_the_same_interval() -> None:
    scorer, cases = _coin(0, 0.3)
    assert evaluate(scorer, cases, k=1).figures == evaluate(scorer, cases, k=1).figures


def test_a_paired_difference_is_tighter_than_two_intervals() -> None:
    scorer, cases = _coin(0, 0.3)
    better = Fixed("ab", dict(scorer.rows))
    for n in range(0, 400, 20):
        better.rows[str(n)] = [2.0, 1.0]
    a, b = evaluate(better, cases, k=1), evaluate(scorer, cases, k=1)
    value, lower, upper = paired_difference(a, b, "hit_rate@1")
    gap = a.figures["hit_rate@1"].value - b.figures["hit_rate@1"].value
    assert value == pytest.approx(gap)
    assert lower is not None
    assert upper is not None
    assert 0 < lower < value < upper
    apart = a.figures["hit_rate@1"]
    assert apart.lower is not None
    assert value - lower < apart.value - apart.lower


def test_only_the_same_cases_may_be_paired() -> None:
    scorer, cases = _coin(0, 0.3)
    a, b = evaluate(scorer, cases, k=1), evaluate(scorer, cases[1:], k=1)
    with pytest.raises(EvaluationError, match="same split"):
        paired_difference(a, b, "hit_rate@1")
    with pytest.raises(EvaluationError, match="known are accuracy@1"):
        paired_difference(a, a, "coverage@1")


def test_top_k_equals_a_full_sort() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 50):
        for levels in (1, 3, 1000):
            scores = rng.integers(levels, size=n).astype(np.float32)
            scores[rng.random(n) < 0.3] = -np.inf
            behind = rng.random(n) < 0.4
            for k in (1, 2, 7, 50, 60):
                finite = [i for i in range(n) if scores[i] > -np.inf]
                plain = sorted(finite, key=lambda i: (-scores[i], i))[:k]
                assert top_k(scores, k).tolist() == plain
                last = sorted(finite, key=lambda i: (-scores[i], behind[i], i))[:k]
                assert top_k(scores, k, behind).tolist() == last
