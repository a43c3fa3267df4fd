"""Published digits; sklearn as second opinion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn

from scoring.engine import metrics

# Lists a..e, f..j, k..o with relevant {a, c, z}, {g, y}, {w}.
HITS = np.array([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=bool)
RELEVANT = np.array([3, 2, 1])

# Lists abc, abd, aed over the catalogue a..f; item n was met by this many of 5 units.
LISTS = ["abc", "abd", "aed"]
UNITS = {"a": 5, "b": 4, "c": 3, "d": 2, "e": 1}
LISTED = np.array([3, 2, 1, 2, 1, 0])

TRUTH = np.array([1, 0, 1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.35, 0.3, 0.2, 0.1])


def test_precision_divides_by_k() -> None:
    values = metrics.precision(HITS)
    assert values == pytest.approx([0.4, 0.2, 0])
    assert values.mean() == pytest.approx(0.2)


def test_recall_divides_by_all_relevant_items() -> None:
    values = metrics.recall(HITS, RELEVANT)
    assert values == pytest.approx([2 / 3, 0.5, 0])
    assert values.mean() == pytest.approx(0.388889, abs=1e-6)


def test_f1_is_the_mean_of_the_units_f1() -> None:
    values = metrics.f1(HITS, RELEVANT)
    assert values.mean() == pytest.approx(0.261905, abs=1e-6)
    p, r = metrics.precision(HITS), metrics.recall(HITS, RELEVANT)
    harmonic = np.divide(2 * p * r, p + r, out=np.zeros(3), where=p + r > 0)
    assert values == pytest.approx(harmonic)


def test_hit_rate_and_reciprocal_rank() -> None:
    assert metrics.hit_rate(HITS).mean() == pytest.approx(2 / 3)
    assert metrics.reciprocal_rank(HITS).mean() == pytest.approx(0.5)
    assert metrics.reciprocal_rank(HITS[:, :1]).mean() == pytest.approx(1 / 3)


def test_ndcg_is_ideal_over_the_smaller_of_k_and_relevant() -> None:
    values = metrics.ndcg(HITS, RELEVANT)
    assert values == pytest.approx([0.703918, 0.386853, 0], abs=1e-6)
    assert values.mean() == pytest.approx(0.363590, abs=1e-6)
    assert metrics.ndcg(HITS[:, :2], RELEVANT).mean() == pytest.approx(1 / 3)
    lone = np.zeros((1, 10), dtype=bool)
    lone[0, 1] = True
    assert metrics.ndcg(lone, np.array([1])) == pytest.approx([0.630930], abs=1e-6)


def test_graded_ndcg_has_linear_gain() -> None:
    gains = np.array([[3, 0, 1, 0, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, 0]], float)
    ideal = np.array([[3, 1, 2], [2, 3, 0], [1, 0, 0]], float)
    values = metrics.graded_ndcg(gains, ideal)
    assert values.mean() == pytest.approx(0.343696, abs=1e-6)
    exponential = metrics.graded_ndcg(2**gains - 1, 2**ideal - 1)
    assert exponential.mean() == pytest.approx(0.337110, abs=1e-6)


def test_average_precision_divides_by_all_relevant_items_not_by_hits() -> None:
    values = metrics.average_precision(HITS, RELEVANT)
    assert values[0] == pytest.approx(0.555556, abs=1e-6)
    assert values.mean() == pytest.approx(0.268519, abs=1e-6)
    short = metrics.average_precision(HITS[:, :2], RELEVANT)
    assert short.mean() == pytest.approx(0.194444, abs=1e-6)


def test_accuracy_counts_true_negatives_beside_the_always_no_rate() -> None:
    hits = np.array([[1, 0], [0, 0]], dtype=bool)
    relevant, listed = np.array([2, 1]), np.array([2, 1])
    candidates = np.array([10, 10])
    values = metrics.accuracy(hits, relevant, listed, candidates)
    for row, (yes, true) in enumerate([({0, 1}, {0, 5}), ({3}, {7})]):
        predicted = [i in yes for i in range(10)]
        truth = [i in true for i in range(10)]
        assert values[row] == pytest.approx(sklearn.accuracy_score(truth, predicted))
    no = metrics.always_no_accuracy(relevant, candidates)
    assert no == pytest.approx([0.8, 0.9])


def test_coverage_and_gini_span_the_whole_catalogue() -> None:
    assert metrics.catalogue_coverage(LISTED) == pytest.approx(0.833333, abs=1e-6)
    assert metrics.gini(LISTED) == pytest.approx(0.351852, abs=1e-6)
    assert metrics.gini(LISTED[LISTED > 0]) == pytest.approx(0.222222, abs=1e-6)
    assert metrics.gini(np.zeros(4, dtype=np.int64)) == 0


def test_novelty_is_mean_self_information() -> None:
    assert metrics.novelty(LISTS, UNITS, 5) == pytest.approx(0.705178, abs=1e-6)
    assert metrics.novelty([], UNITS, 5) == 0


def test_confusion_at_a_threshold_agrees_with_sklearn() -> None:
    confusion = metrics.Confusion.at_threshold(TRUTH, SCORES, 0.5)
    assert confusion == metrics.Confusion(tp=3, fp=2, fn=1, tn=4)
    predicted = SCORES >= 0.5
    figures = {
        "accuracy": (0.7, sklearn.accuracy_score(TRUTH, predicted)),
        "precision": (0.6, sklearn.precision_score(TRUTH, predicted)),
        "recall": (0.75, sklearn.recall_score(TRUTH, predicted)),
        "f1": (0.666667, sklearn.f1_score(TRUTH, predicted)),
        "macro_f1": (0.696970, sklearn.f1_score(TRUTH, predicted, average="macro")),
        "matthews": (0.408248, sklearn.matthews_corrcoef(TRUTH, predicted)),
    }
    for name, (published, second_opinion) in figures.items():
        assert getattr(confusion, name) == pytest.approx(published, abs=1e-6), name
        assert getattr(confusion, name) == pytest.approx(second_opinion), name
    assert confusion.always_no_accuracy == pytest.approx(0.6)


def test_a_confusion_without_cases_is_zero_not_an_error() -> None:
    empty = metrics.Confusion(0, 0, 0, 0)
    assert empty.precision == empty.recall == empty.f1 == empty.matthews == 0


@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 12))),
    st.integers(0, 5),
)
def test_ranking_metrics_lie_between_zero_and_one(
    hits: np.ndarray, missed: int
) -> None:
    relevant = np.maximum(hits.sum(axis=1) + missed, 1)
    for values in (
        metrics.precision(hits),
        metrics.recall(hits, relevant),
        metrics.f1(hits, relevant),
        metrics.hit_rate(hits),
        metrics.reciprocal_rank(hits),
        metrics.ndcg(hits, relevant),
        metrics.average_precision(hits, relevant),
    ):
        assert (values >= 0).all()
        assert (values <= 1 + 1e-12).all()


@given(st.integers(1, 8), st.integers(1, 20), st.integers(0, 2**16))
def test_ndcg_agrees_with_sklearn(relevant: int, items: int, seed: int) -> None:
    items = max(items, relevant, 2)
    truth = np.zeros(items)
    truth[:relevant] = 1
    order = np.random.default_rng(seed).permutation(items)
    scores = np.empty(items)
    scores[order] = np.arange(items, 0, -1)
    hits = np.zeros((1, 10), dtype=bool)
    listed = truth[order][:10] > 0
    hits[0, : len(listed)] = listed
    ours = metrics.ndcg(hits, np.array([relevant]))[0]
    assert ours == pytest.approx(sklearn.ndcg_score([truth], [scores], k=10))
