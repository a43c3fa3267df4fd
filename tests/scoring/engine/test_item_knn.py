"""Item to item: published cosines, exact explanations."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics.pairwise import cosine_similarity

from scoring.engine.artifact import ArtifactError
from scoring.engine.protocol import History, QuietContext
from scoring.engine.rankers.item_knn import (
    ItemKnnParameters,
    ItemKnnScorer,
    ItemKnnTrainer,
    largest_per_row,
    tfidf,
    transition_matrix,
    unit_columns,
    unit_item_matrix,
)
from tests.scoring.engine.data import history, interactions, walks

ROWS = np.array([[3, 0, 1], [1, 2, 0], [0, 1, 1], [2, 0, 0]], dtype=np.float64)


def _rows() -> sp.csc_array:
    pairs = [(u, i) for u in range(4) for i in range(3) if ROWS[u, i]]
    log = interactions(
        [(u, "abc"[i], float(n)) for n, (u, i) in enumerate(pairs)],
        weights=[float(ROWS[pair]) for pair in pairs],
    )
    return unit_item_matrix(log)


def test_cosines_are_the_published_ones() -> None:
    columns = unit_columns(_rows())
    similarity = (columns.T @ columns).toarray()
    assert similarity[0, 1] == pytest.approx(0.239046, abs=1e-6)
    assert similarity[0, 2] == pytest.approx(0.566947, abs=1e-6)
    assert similarity[1, 2] == pytest.approx(0.316228, abs=1e-6)
    np.testing.assert_allclose(similarity, cosine_similarity(ROWS.T))


def test_a_pair_counts_with_its_largest_weight() -> None:
    log = interactions(
        [(0, "a", 0.0), (0, "a", 1.0), (0, "b", 2.0), (1, "b", 3.0)],
        weights=[1.0, 5.0, 2.0, 0.0],
    )
    np.testing.assert_array_equal(unit_item_matrix(log).toarray(), [[5, 2], [0, 0]])


def test_tfidf_trusts_units_with_few_items_more() -> None:
    weighted = tfidf(_rows()).toarray()
    met = (ROWS > 0).sum(axis=1)
    idf = np.log1p((3 - met + 0.5) / (met + 0.5))
    np.testing.assert_allclose(weighted, np.sqrt(ROWS) * idf[:, None])
    assert idf[3] > idf[0] > 0


def test_transitions_count_what_follows_by_distance() -> None:
    log = interactions(
        [(0, "a", 0.0), (1, "a", 0.5), (0, "b", 1.0), (0, "c", 2.0), (1, "c", 3.0)]
    )
    plain = transition_matrix(log, window=2, power=0.0).toarray()
    np.testing.assert_allclose(plain, np.array([[0, 1, 1.5], [0, 0, 1], [0, 0, 0]]))
    near = transition_matrix(log, window=1, power=0.0).toarray()
    np.testing.assert_allclose(near, [[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    damped = transition_matrix(log, window=1, power=0.5).toarray()
    assert damped[0, 2] == pytest.approx(1 / 2)


def test_a_window_longer_than_the_log_is_harmless() -> None:
    log = interactions([(0, "a", 0.0), (0, "b", 1.0)])
    assert transition_matrix(log, window=100, power=0.4).nnz == 1


def test_only_the_largest_neighbours_are_kept() -> None:
    dense = np.array([[0.0, 3.0, 2.0, 1.0], [0.0, 0.0, -1.0, 0.5]])
    np.testing.assert_array_equal(
        largest_per_row(dense, 2).toarray(), [[0, 3, 2, 0], [0, 0, 0, 0.5]]
    )
    np.testing.assert_array_equal(
        largest_per_row(dense, 9).toarray(), np.maximum(dense, 0)
    )


def test_contributions_add_up_to_the_score() -> None:
    scorer = ItemKnnScorer.load(ItemKnnTrainer().fit(walks(), QuietContext()))
    past = history("a0", "a1", "a0", "a2")
    moved = scorer.explain(past, "a3")
    assert sum(value for _, value in moved) == pytest.approx(
        float(scorer.score(past, ["a3"])[0]), rel=1e-6
    )
    assert len({item for item, _ in moved}) == len(moved)


def test_a_later_visit_weighs_more_and_a_basket_weighs_the_same() -> None:
    parameters = ItemKnnParameters(history_decay=0.5, transition_weight=0.0)
    log = interactions([(u, i, float(u)) for u in range(3) for i in "abc"])
    scorer = ItemKnnScorer.load(ItemKnnTrainer(parameters).fit(log, QuietContext()))
    apart = dict(scorer.explain(History(("a", "b"), (0.0, 9.0), 10.0), "c"))
    basket = dict(scorer.explain(History(("a", "b"), (9.0, 9.0), 10.0), "c"))
    assert apart["a"] == pytest.approx(0.5 * apart["b"])
    assert basket["a"] == pytest.approx(basket["b"])


def test_items_without_evidence_are_not_listed() -> None:
    log = interactions([(0, "a", 0.0), (1, "c", 0.5), (0, "b", 1.0), (1, "d", 2.0)])
    scorer = ItemKnnScorer.load(ItemKnnTrainer().fit(log, QuietContext()))
    (ranked,) = scorer.recommend([history("a")], 10, [()])
    assert ranked.item_ids == ["b"]


def test_a_neighbour_matrix_that_does_not_fit_is_refused() -> None:
    artifact = ItemKnnTrainer().fit(walks(), QuietContext())
    for name, wrong in (
        ("indptr", artifact.arrays["indptr"][:-1]),
        ("indices", artifact.arrays["indices"] + 5),
        ("weights", artifact.arrays["weights"][1:]),
    ):
        arrays = {**artifact.arrays, name: wrong}
        broken = type(artifact)(
            artifact.kind, artifact.parameters, arrays, artifact.item_ids
        )
        with pytest.raises(ArtifactError, match="does not fit"):
            ItemKnnScorer.load(broken)
