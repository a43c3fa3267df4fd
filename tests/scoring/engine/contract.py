"""What every ranker must do, whatever it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from scoring.engine.artifact import Artifact, Scalar
from scoring.engine.errors import InvalidInteractionsError
from scoring.engine.protocol import History, QuietContext, Scorer, TrainingCancelled
from scoring.engine.registry import load_scorer, make_trainer
from tests.scoring.engine.data import history, interactions, walks

HISTORIES = [history("a0", "a1", "a2"), history("b0", "b1", "b2"), history("a5")]
NOTHING: list[tuple[str, ...]] = [(), (), ()]


@dataclass
class Recorder:
    """A context that remembers what it was told and may cancel."""

    seed: int = 0
    checkpoint: Path | None = None
    cancel_after: int | None = None
    asked: int = 0
    fractions: list[float] = field(default_factory=list)

    def report(self, fraction: float, message: str, **figures: float) -> None:
        assert message
        assert all(np.isfinite(value) for value in figures.values())
        self.fractions.append(fraction)

    def cancelled(self) -> bool:
        self.asked += 1
        return self.cancel_after is not None and self.asked > self.cancel_after


class RankerContract:
    """Subclass with a kind; each test must hold for every ranker."""

    kind: ClassVar[str]
    parameters: ClassVar[Mapping[str, Scalar]] = {}
    learns_from_history: ClassVar[bool] = True

    @pytest.fixture(scope="class")
    @classmethod
    def artifact(cls) -> Artifact:
        return cls.fit()

    @pytest.fixture
    def scorer(self, artifact: Artifact) -> Scorer:
        return load_scorer(artifact)

    @classmethod
    def fit(cls, seed: int = 0) -> Artifact:
        return make_trainer(cls.kind, cls.parameters).fit(
            walks(), QuietContext(seed=seed)
        )

    def test_a_held_out_item_wins(self, scorer: Scorer) -> None:
        past = HISTORIES[0]
        (ranked,) = scorer.recommend([past], 1, [past.item_ids])
        assert ranked.item_ids == ["a3"]

    def test_the_history_decides_where_the_ranker_reads_it(
        self, scorer: Scorer
    ) -> None:
        past = HISTORIES[1]
        (ranked,) = scorer.recommend([past], 1, [past.item_ids])
        assert ranked.item_ids == (["b3"] if self.learns_from_history else ["a3"])

    def test_a_batch_ranks_as_single_calls_do(self, scorer: Scorer) -> None:
        many = HISTORIES * 50
        together = scorer.recommend(many, 5, NOTHING * 50)
        alone = [scorer.recommend([past], 5, [()])[0] for past in HISTORIES] * 50
        for a, b in zip(together, alone, strict=True):
            assert a.item_ids == b.item_ids
            assert a.scores == pytest.approx(b.scores, abs=1e-4)

    def test_scores_fall_along_the_list(self, scorer: Scorer) -> None:
        for ranked in scorer.recommend(HISTORIES, 12, NOTHING):
            assert ranked.scores == sorted(ranked.scores, reverse=True)
            assert len(set(ranked.item_ids)) == len(ranked.item_ids)
            assert np.isfinite(ranked.scores).all()

    def test_excluded_items_never_appear(self, scorer: Scorer) -> None:
        exclude = [{"a3"}, {"b3", "a3"}, {"a0", "unheard of"}]
        for ranked, gone in zip(
            scorer.recommend(HISTORIES, 12, exclude), exclude, strict=True
        ):
            assert not gone & set(ranked.item_ids)

    def test_seen_items_stay_unless_the_caller_excludes_them(
        self, scorer: Scorer
    ) -> None:
        (ranked,) = scorer.recommend([history("a2", "a3", "a4")], 12, [()])
        assert "a3" in ranked.item_ids

    def test_only_candidates_appear(self, scorer: Scorer) -> None:
        candidates = ["a4", "b3", "a3", "a3", "unheard of"]
        (ranked,) = scorer.recommend(HISTORIES[:1], 9, [{"a4"}], candidates=candidates)
        assert set(ranked.item_ids) <= {"a3", "b3"}
        assert ranked.item_ids[0] == "a3"
        (none,) = scorer.recommend(HISTORIES[:1], 9, [()], candidates=[])
        assert none.item_ids == []

    def test_scores_of_candidates_are_those_of_the_list(self, scorer: Scorer) -> None:
        past = HISTORIES[0]
        (ranked,) = scorer.recommend([past], 12, [()])
        scores = scorer.score(past, [*ranked.item_ids, "unheard of"])
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores[:-1], ranked.scores, atol=1e-4)
        assert scores[-1] == -np.inf

    def test_catalogue_scores_are_fresh_and_never_nan(self, scorer: Scorer) -> None:
        first = scorer.catalogue_scores(HISTORIES)
        kept = first.copy()
        assert first.shape == (3, len(scorer.item_ids))
        assert first.dtype == np.float32
        assert not np.isnan(first).any()
        first[:] = 0
        np.testing.assert_array_equal(scorer.catalogue_scores(HISTORIES), kept)

    def test_unknown_items_do_not_change_the_answer(self, scorer: Scorer) -> None:
        known = history("a0", "a1", "a2")
        times = (*known.timestamps[:2], known.timestamps[2], known.timestamps[2])
        mixed = History(("a0", "a1", "unheard of", "a2"), times, known.now)
        a, b = scorer.recommend([known, mixed], 5, [(), ()])
        assert a.item_ids == b.item_ids

    @pytest.mark.parametrize("past", [history(), history("unheard of")])
    def test_a_stranger_gets_a_list_only_from_a_ranker_that_has_one(
        self, scorer: Scorer, past: History
    ) -> None:
        (ranked,) = scorer.recommend([past], 3, [()])
        assert len(ranked.item_ids) == (0 if self.learns_from_history else 3)

    def test_a_stranger_in_a_batch_does_not_disturb_others(
        self, scorer: Scorer
    ) -> None:
        past = HISTORIES[0]
        _, ranked, _ = scorer.recommend([history(), past, history("?")], 5, NOTHING)
        (alone,) = scorer.recommend([past], 5, [()])
        assert ranked.item_ids == alone.item_ids

    def test_no_histories_give_no_lists(self, scorer: Scorer) -> None:
        assert scorer.recommend([], 5, []) == []

    def test_a_saved_artifact_ranks_as_before(
        self, artifact: Artifact, scorer: Scorer
    ) -> None:
        files = artifact.to_files()
        again = load_scorer(Artifact.from_files(files))
        np.testing.assert_array_equal(
            again.catalogue_scores(HISTORIES), scorer.catalogue_scores(HISTORIES)
        )
        assert Artifact.from_files(files).to_files() == files

    def test_the_same_seed_gives_the_same_model(self, artifact: Artifact) -> None:
        again = self.fit()
        for name, array in artifact.arrays.items():
            np.testing.assert_array_equal(again.arrays[name], array)
        assert again.to_files() == artifact.to_files()

    def test_an_artifact_says_how_it_was_made(self, artifact: Artifact) -> None:
        assert artifact.kind == self.kind
        assert artifact.facts["seed"] == 0
        assert artifact.facts["data"] == walks().fingerprint()
        assert artifact.facts["versions"]
        assert set(self.parameters) <= set(artifact.parameters)

    def test_progress_rises_to_one(self) -> None:
        context = Recorder()
        make_trainer(self.kind, self.parameters).fit(walks(), context)
        assert context.fractions == sorted(context.fractions)
        assert context.fractions[-1] == 1.0

    def test_training_stops_when_asked(self) -> None:
        with pytest.raises(TrainingCancelled):
            make_trainer(self.kind, self.parameters).fit(
                walks(), Recorder(cancel_after=0)
            )

    def test_explanations_name_past_items_largest_first(self, scorer: Scorer) -> None:
        past = HISTORIES[0]
        moved = scorer.explain(past, "a3")
        assert {item for item, _ in moved} <= set(past.item_ids)
        values = [value for _, value in moved]
        assert values == sorted(values, reverse=True)
        assert bool(moved) == self.learns_from_history
        assert scorer.explain(past, "unheard of") == []
        assert scorer.explain(history(), "a3") == []

    def test_nothing_to_learn_from_is_refused_with_a_remedy(self) -> None:
        for empty in (
            interactions([]),
            interactions([(0, "a", 1.0)], weights=[0.0]),
        ):
            with pytest.raises(InvalidInteractionsError, match=r"widen|check"):
                make_trainer(self.kind, self.parameters).fit(empty, QuietContext())

    @pytest.mark.parametrize("k", [0, -1])
    def test_a_list_of_no_length_is_refused(self, scorer: Scorer, k: int) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            scorer.recommend(HISTORIES, k, NOTHING)

    def test_one_exclude_collection_per_history_is_required(
        self, scorer: Scorer
    ) -> None:
        with pytest.raises(ValueError, match="exclude"):
            scorer.recommend(HISTORIES, 3, [()])
