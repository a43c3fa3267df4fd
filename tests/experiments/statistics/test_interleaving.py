"""Lists mixed from several rankings: who supplies what, and that nobody is favoured."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.interleaving import optimised, team_draft
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.preferences import Preferences, sign_test

rankings = st.permutations(range(6))


def test_optimised_interleaving_gives_the_published_probabilities() -> None:
    mixed = optimised((1, 2), (2, 3), 2)
    shown = dict(zip(mixed.lists, mixed.probabilities.tolist(), strict=True))
    wanted = {(1, 2): 3 / 7, (2, 1): 13 / 35, (2, 3): 1 / 5}
    assert shown == pytest.approx(wanted, rel=1e-9)


def test_team_draft_of_disjoint_lists_credits_whoever_listed_the_item() -> None:
    rng = np.random.default_rng(0)
    seen: Counter[tuple[int, ...]] = Counter()
    for _ in range(200):
        mixed = team_draft([(1, 2), (3, 4)], 2, rng)
        seen[mixed.items] += 1
        owner = dict(zip(mixed.items, mixed.credit.argmax(axis=-1), strict=True))
        assert owner == {1: 0, 3: 1}
    assert set(seen) == {(1, 3), (3, 1)}
    assert 60 < seen[1, 3] < 140


def test_the_same_state_of_chance_gives_the_same_list() -> None:
    lists = [list(range(9)), list(range(9))[::-1], [3, 1, 4, 5, 9, 2, 6]]
    drafts = [team_draft(lists, 8, np.random.default_rng(7)) for _ in range(2)]
    assert drafts[0].items == drafts[1].items
    assert (drafts[0].credit == drafts[1].credit).all()
    mixed = optimised(lists[0], lists[1], 4)
    picks = [mixed.draw(np.random.default_rng(5)).items for _ in range(2)]
    assert picks[0] == picks[1]


@settings(deadline=None, max_examples=60)
@given(rankings, rankings, st.integers(1, 6), st.integers(1, 6), st.integers(1, 7))
def test_careless_clicks_favour_neither_ranker_of_an_optimised_list(
    a: list[int], b: list[int], deep_a: int, deep_b: int, length: int
) -> None:
    for credit in ("inverse", "linear"):
        mixed = optimised(a[:deep_a], b[:deep_b], length, credit=credit)
        assert mixed.probabilities.sum() == pytest.approx(1.0)
        assert (mixed.probabilities >= 0).all()
        lead = mixed.credit[..., 1] - mixed.credit[..., 0]
        bias = mixed.probabilities @ np.cumsum(lead, axis=-1)
        assert np.abs(bias).max() < 1e-9


def test_swapping_the_rankers_leaves_an_optimised_list_as_sensitive() -> None:
    one, two = optimised((1, 2, 3), (3, 1, 2), 3), optimised((3, 1, 2), (1, 2, 3), 3)
    chances = dict(zip(two.lists, two.probabilities.tolist(), strict=True))
    shown = dict(zip(one.lists, one.probabilities.tolist(), strict=True))
    assert shown == pytest.approx(chances, abs=1e-9)


@given(
    st.lists(rankings, min_size=2, max_size=4), st.integers(1, 8), st.integers(0, 99)
)
def test_a_draft_holds_each_item_once_in_turns(
    lists: list[list[int]], length: int, seed: int
) -> None:
    mixed = team_draft(lists, length, np.random.default_rng(seed))
    assert len(mixed.items) == min(length, 6)
    assert len(set(mixed.items)) == len(mixed.items)
    shares = mixed.credit.sum(axis=0)
    assert shares.max() - shares.min() <= 1
    assert set(mixed.credit.sum(axis=-1)) == {1.0}


def clicks_of(count: int, seed: int, depth: int = 6) -> tuple[FloatArray, FloatArray]:
    """Credit lead and team of each slot for users who click by position alone."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, depth + 1)
    leads, teams = np.zeros(count), np.zeros((count, depth))
    for user in range(count):
        a, b = rng.permutation(8), rng.permutation(8)
        mixed = team_draft([a.tolist(), b.tolist()], depth, rng)
        taken = rng.random(depth) < chance
        credit = mixed.score(taken)
        leads[user], teams[user] = credit[1] - credit[0], mixed.credit[:, 1]
    return leads, teams


def test_rankers_that_do_not_differ_win_half_of_the_users() -> None:
    leads, teams = clicks_of(16_000, seed=0)
    result = sign_test(Preferences.from_scores(leads))
    assert abs(float(result.estimate)) < 0.01
    assert float(result.p_value) > 0.01
    # Each ranker fills each slot as often.
    assert np.abs(teams.mean(axis=0) - 0.5).max() < 0.015


def test_counting_competitive_rounds_alone_stays_balanced() -> None:
    rng, count = np.random.default_rng(1), 6000
    lead, plain = np.zeros((count, 3)), np.zeros((count, 3))
    for user in range(count):
        mixed = team_draft([(1, 2, 3), (2, 3, 1)], 3, rng)
        for slot, taken in enumerate(np.eye(3)):
            credit = mixed.score(taken, competitive_only=True)
            lead[user, slot] = credit[1] - credit[0]
            plain[user, slot] = mixed.score(taken) @ [-1, 1]
    assert np.abs(lead.mean(axis=0)).max() < 0.04
    assert np.abs(plain.mean(axis=0)).max() < 0.04


def test_rankers_that_agree_hold_no_competitive_slot() -> None:
    mixed = team_draft([(1, 2, 3), (1, 2, 3)], 3, np.random.default_rng(0))
    # The second choice of a round whose first choices agree is chance too.
    assert not mixed.competitive.any()
    assert mixed.score([1, 1, 1], competitive_only=True).tolist() == [0.0, 0.0]


def test_multileaving_finds_the_ranker_whose_items_are_wanted() -> None:
    rng = np.random.default_rng(2)
    wanted = {0, 1, 2}
    lists = [(0, 1, 2, 7, 8), (7, 8, 9, 0, 1), (9, 5, 6, 7, 8)]
    credit = np.zeros((600, 3))
    for user in range(600):
        mixed = team_draft(lists, 6, rng)
        taken = [item in wanted and rng.random() < 0.5 for item in mixed.items]
        credit[user] = mixed.score(taken)
    versus = Preferences.from_scores((credit[:, :1] - credit[:, 1:]).T)
    result = sign_test(versus)
    assert result.estimate.shape == (2,)
    assert (result.lower > 0).all()
    assert (result.p_value < 1e-6).all()


def test_wrong_lists_are_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(StatisticsError, match="rankings must be at least 2, got 1"):
        team_draft([(1, 2)], 2, rng)
    with pytest.raises(StatisticsError, match="each hold an item"):
        team_draft([(1, 2), ()], 2, rng)
    with pytest.raises(StatisticsError, match="length must be >= 1, got 0"):
        optimised((1,), (2,), 0)
    with pytest.raises(StatisticsError, match="more than 4096 lists"):
        optimised(range(40), range(100, 140), 20)
    with pytest.raises(StatisticsError, match="one repeats an item"):
        optimised((0, 0), (0, 1), 2)
    with pytest.raises(StatisticsError, match="'inverse' or 'linear'"):
        optimised((1,), (2,), 1, credit="cubic")  # type: ignore[arg-type]  # wrong
    with pytest.raises(StatisticsError, match=r"engagements must have shape"):
        team_draft([(1, 2), (3, 4)], 2, rng).score([1.0])
