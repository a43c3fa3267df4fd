"""Votes of users between two rankers: tests, intervals and sample sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.numeric import StatisticsError
from experiments.statistics.preferences import (
    Preferences,
    credit_test,
    interleaving_power,
    sign_test,
    user_scores,
    users_needed,
    vote_test,
)
from experiments.statistics.sequential import Look
from tests.experiments.statistics.test_laws import agree, known_or_marked

counts = st.one_of(st.integers(0, 30), st.integers(0, 10**6), st.integers(0, 10**10))


def votes(wins: float, ties: float, losses: float) -> Preferences:
    users = Moments.from_units([])
    return Preferences(
        np.asarray(float(wins)),
        np.asarray(float(ties)),
        np.asarray(float(losses)),
        users,
    )


def test_the_lead_splits_ties() -> None:
    result = sign_test(votes(60, 10, 30))
    assert float(result.estimate) == pytest.approx((60 + 10 / 2) / 100 - 0.5)
    assert float(vote_test(votes(60, 10, 30)).estimate) == pytest.approx(0.15)


def test_the_sign_test_is_the_exact_binomial_one() -> None:
    for wins, losses in ((60, 30), (3, 0), (7, 8), (500, 430)):
        result = sign_test(votes(wins, 0, losses))
        other = stats.binomtest(wins, wins + losses)
        bounds = other.proportion_ci(0.95)
        assert float(result.p_value) == pytest.approx(other.pvalue, rel=1e-10)
        # Without ties the share of users with a preference is all but 1.
        share = stats.binomtest(wins + losses, wins + losses).proportion_ci(0.95).low
        low, high = bounds.low - 0.5, bounds.high - 0.5
        assert float(result.lower) == pytest.approx(low * (share if low > 0 else 1.0))
        assert float(result.upper) == pytest.approx(high)
        tied = sign_test(votes(wins, 40, losses))
        assert float(tied.p_value) == float(result.p_value)


@pytest.mark.parametrize("users", [100, 1000])
@pytest.mark.parametrize("tied", [0.0, 0.3, 0.95])
@pytest.mark.parametrize("share", [0.55, 0.9, 0.99])
def test_the_lead_is_covered_however_lopsided(
    users: int, tied: float, share: float
) -> None:
    odds = ((1 - tied) * share, tied, (1 - tied) * (1 - share))
    drawn = np.random.default_rng(5).multinomial(users, odds, 3000).T.astype(float)
    wins, ties, losses = drawn
    result = sign_test(Preferences(wins, ties, losses, Moments.from_units([])))
    truth = (1 - tied) * (share - 0.5)
    missed = ~((result.lower <= truth) & (truth <= result.upper))
    # Few enough untied users may all be alike, or absent: nothing is shown then.
    shown = result.status == Status.OK
    assert float(missed[shown].mean()) <= 0.062


def test_the_t_tests_are_students() -> None:
    scores = np.random.default_rng(0).normal(0.3, 1.0, 40)
    preferences = Preferences.from_scores(scores)
    for result, rows in (
        (credit_test(preferences), scores),
        (vote_test(preferences), np.sign(scores) / 2),
    ):
        other = stats.ttest_1samp(rows, 0.0)
        bounds = other.confidence_interval()
        assert float(result.p_value) == pytest.approx(other.pvalue, rel=1e-10)
        assert float(result.lower) == pytest.approx(bounds.low, rel=1e-9)
        assert float(result.upper) == pytest.approx(bounds.high, rel=1e-9)
        assert float(result.degrees_of_freedom) == pytest.approx(39.0)


def test_a_user_votes_once_however_often_she_clicks() -> None:
    scores = user_scores(["ann", "bob", "ann", "ann", "cy"], [1.0, -1.0, 1.0, 1.0, 0.0])
    assert scores.tolist() == [3.0, -1.0, 0.0]
    preferences = Preferences.from_scores(scores)
    assert float(preferences.wins) == float(preferences.losses) == 1.0
    assert float(preferences.ties) == 1.0
    with pytest.raises(StatisticsError, match=r"users must have shape \(2,\)"):
        user_scores(["ann"], [1.0, 2.0])


def test_merged_votes_equal_all_votes_at_once() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(-2, 3, 30), rng.integers(-2, 3, 50)
    merged = Preferences.from_scores(a).merge(Preferences.from_scores(b))
    whole = Preferences.from_scores(np.append(a, b))
    assert float(merged.wins) == float(whole.wins)
    assert float(merged.scores.m2) == pytest.approx(float(whole.scores.m2))


def both(preferences: Preferences, alpha: float) -> list[Comparison]:
    look = Look((0.5,), alpha=alpha)
    return [
        method(preferences, alpha=alpha, quantile=quantile)
        for method in (sign_test, vote_test)
        for quantile in (None, look)
    ]


@settings(deadline=None)
@given(counts, counts, counts, st.sampled_from([0.01, 0.05, 0.2]))
def test_interval_and_p_value_agree_for_any_votes(
    wins: int, ties: int, losses: int, alpha: float
) -> None:
    mirrored = both(votes(losses, ties, wins), alpha)
    for result, mirror in zip(
        both(votes(wins, ties, losses), alpha), mirrored, strict=True
    ):
        assert agree(result)
        assert known_or_marked(result)
        if result.status == Status.OK:
            assert float(mirror.estimate) == -float(result.estimate)
            assert float(mirror.lower) == pytest.approx(-float(result.upper), abs=1e-12)
            assert float(mirror.p_value) == pytest.approx(float(result.p_value))


def test_votes_that_say_nothing_carry_a_status() -> None:
    assert sign_test(votes(0, 0, 0)).status == Status.NOT_ENOUGH_DATA
    assert sign_test(votes(0, 9, 0)).status == Status.DEGENERATE
    assert float(sign_test(votes(0, 9, 0)).p_value) == 1.0
    with pytest.raises(StatisticsError, match="wins must be finite and >= 0, got -1"):
        votes(-1, 0, 0)


def test_error_rates_keep_to_their_level() -> None:
    rng = np.random.default_rng(3)
    wins, ties, losses = rng.multinomial(300, (0.35, 0.3, 0.35), 4000).T.astype(float)
    drawn = Preferences(wins, ties, losses, Moments.from_units([]))
    assert float(sign_test(drawn).excludes_zero.mean()) <= 0.06
    assert 0.031 <= float(vote_test(drawn).excludes_zero.mean()) <= 0.069


@pytest.mark.parametrize(("delta", "tied"), [(0.05, 0.3), (-0.1, 0.6), (0.03, 0.0)])
def test_the_users_needed_give_the_power_promised(delta: float, tied: float) -> None:
    users = float(users_needed(delta, tied=tied, power=0.8))
    assert float(interleaving_power(users, delta, tied=tied)) == pytest.approx(
        0.8, abs=0.01
    )
    rng = np.random.default_rng(4)
    wins, ties, losses = rng.multinomial(
        int(users), ((1 - tied) / 2 + delta, tied, (1 - tied) / 2 - delta), 4000
    ).T.astype(float)
    drawn = sign_test(Preferences(wins, ties, losses, Moments.from_units([])))
    assert float((drawn.p_value < 0.05).mean()) == pytest.approx(0.8, abs=0.035)


def test_impossible_leads_are_named() -> None:
    with pytest.raises(StatisticsError, match=r"got 0\.3 with tied 0.5"):
        users_needed(0.3, tied=0.5)
    with pytest.raises(StatisticsError, match="delta must not be 0"):
        users_needed(0.0)
    assert float(interleaving_power(100, 0.5)) == pytest.approx(1.0)
    assert float(interleaving_power(0, 0.1)) == 0.0
