"""Interleaving, policies judged from logs, segments."""

import numpy as np

from benchmarks.validation.claims import Claim, near
from experiments.statistics.aggregates import Moments
from experiments.statistics.interleaving import team_draft
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.off_policy import Estimator, LoggedRounds, policy_value
from experiments.statistics.preferences import (
    Preferences,
    credit_test,
    sign_test,
    vote_test,
)
from experiments.statistics.segments import by_segment

ALPHA = 0.05
_USERS = 200
_LISTS = 2_000
_DRAFTS = 50_000
_BLOCK = 500


def interleaving_without_a_difference(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """Two rankings of equal worth, team draft: preference, position and tests."""
    topic = "Interleaving of two equal rankers (team draft)"
    rankings = ([0, 1, 2, 3, 4, 5], [3, 0, 4, 1, 5, 2])
    drafts = [team_draft(rankings, 4, generator) for _ in range(_LISTS)]
    credit = np.stack([draft.credit for draft in drafts])
    lead = credit[..., 1] - credit[..., 0]
    votes = [
        _votes(generator, lead, min(_BLOCK, simulations - start))
        for start in range(0, simulations, _BLOCK)
    ]
    won = sum(float(part.wins.sum()) for part in votes)
    lost = sum(float(part.losses.sum()) for part in votes)
    many = [team_draft(rankings, 4, generator).credit for _ in range(_DRAFTS)]
    first = float(np.mean([credit[0, 1] for credit in many]))
    low, high = near(ALPHA, simulations)
    return [
        Claim(
            topic,
            "P(treatment preferred)",
            won / (won + lost),
            0.49,
            0.51,
            simulations,
            _VOTES,
        ),
        Claim(topic, "treatment's share of slot 1", first, 0.49, 0.51, _DRAFTS, _DRAFT),
        *(
            Claim(
                topic,
                f"{name}: false alarms",
                sum(float((test(part).p_value < ALPHA).sum()) for part in votes)
                / simulations,
                0.0 if name.startswith("sign") else low,
                high,
                simulations,
                _VOTES,
            )
            for name, test in (
                ("t test of votes", vote_test),
                ("t test of credit", credit_test),
                ("sign test, exact", sign_test),
            )
        ),
    ]


def _votes(
    generator: np.random.Generator, lead: FloatArray, simulations: int
) -> Preferences:
    """Let 200 users click by slot alone, so that neither ranker is better."""
    shown = generator.integers(0, _LISTS, (simulations, _USERS))
    clicks = generator.random((simulations, _USERS, 4)) < np.array([0.3, 0.2, 0.1, 0.1])
    return Preferences.from_scores((lead[shown] * clicks).sum(axis=-1))


_VOTES, _DRAFT = "preferences", "interleaving"


def policies_from_logs(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Three contexts, five actions, a log of 1,000 rounds; the value is known."""
    topic = "Value of another policy from a log of 1,000 rounds"
    truth = float((_REWARD * _TARGET).sum(axis=1).mean())
    figures = np.concatenate(
        [
            _judged(generator, min(_BLOCK, simulations - start))
            for start in range(0, simulations, _BLOCK)
        ],
        axis=-1,
    )
    ips, dr = figures[0, 0], figures[2, 0]
    bias = abs(ips.mean() - truth) / (ips.std() / np.sqrt(simulations))
    low, high = near(ALPHA, simulations)

    def claim(name: str, figure: float, high: float, *, share: bool = False) -> Claim:
        least = low if share else 0.0
        return Claim(
            topic, name, float(figure), least, high, simulations, _POLICY, share=share
        )

    return [
        claim("IPS: bias in standard errors of the simulation", bias, 2.0),
        claim(
            "DR with a correct model: variance over that of IPS",
            dr.var() / ips.var(),
            1.0,
        ),
        *(
            claim(
                f"{name}: interval leaves the truth out",
                ((lower > truth) | (upper < truth)).mean(),
                high,
                share=True,
            )
            for name, (_, lower, upper) in zip(_ESTIMATORS, figures, strict=True)
        ),
    ]


def _judged(generator: np.random.Generator, simulations: int) -> FloatArray:
    """Return estimate and ends, shape (estimator, figure, simulation)."""
    shape = (simulations, 1_000)
    context = generator.integers(0, 3, shape)
    action = np.searchsorted(_LOGGED.cumsum(), generator.random(shape))
    action = np.minimum(action, 4)
    earned = generator.random(shape) < _REWARD[context, action]
    rounds = LoggedRounds.from_propensities(
        earned.astype(np.float64),
        _TARGET[action],
        _LOGGED[action],
        predicted=_REWARD[context, action],
        predicted_value=(_REWARD * _TARGET).sum(axis=1)[context],
    )
    values = [policy_value(rounds, estimator=name) for name in _ESTIMATORS]
    return np.array([[got.estimate, got.lower, got.upper] for got in values])


_REWARD = np.array(
    [[0.1, 0.2, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1, 0.1], [0.1, 0.1, 0.2, 0.5, 0.3]]
)
_LOGGED = np.array([0.4, 0.2, 0.2, 0.1, 0.1])
_TARGET = np.array([0.1, 0.2, 0.3, 0.2, 0.2])
_ESTIMATORS: tuple[Estimator, ...] = ("ips", "snips", "dr")
_POLICY = "off_policy"


def segments_with_one_effect(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """Twenty segments of 1,000 units a variant, the effect the same in all."""
    topic = "Twenty segments, the same effect in all"
    shape = (simulations, 20)

    def arm(mean: float) -> Moments:
        noise: FloatArray = generator.standard_normal(shape) / np.sqrt(1_000)
        m2 = generator.chisquare(999, shape)
        return Moments(np.full(shape, 1_000.0), mean + noise, m2, np.asarray(0.0))

    effect = by_segment(welch(arm(0.0), arm(0.1)))
    rate = float((effect.heterogeneity.p_value < ALPHA).mean())
    low, high = near(ALPHA, simulations)
    held = (effect.shrunken_lower <= 0.1) & (effect.shrunken_upper >= 0.1)
    return [
        Claim(
            topic,
            "test of one effect for all (Cochran's Q): false alarms",
            rate,
            low,
            high,
            simulations,
            "segments",
        ),
        Claim(
            topic,
            "shrunken interval leaves the truth out",
            float(1 - held.mean()),
            0.0,
            high,
            simulations,
            "segments",
        ),
    ]
