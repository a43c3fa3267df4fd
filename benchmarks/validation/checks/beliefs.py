"""Bayesian answers: what is believed comes true as often as it is believed.

Truths are drawn from the prior and data from the truths, which is the only world in
which a Bayesian answer promises anything.
"""

import numpy as np

from benchmarks.validation.claims import Claim, near
from experiments.statistics.aggregates import Moments
from experiments.statistics.bayesian import NormalPrior, posterior
from experiments.statistics.best_variant import best_variant, shared_error
from experiments.statistics.beta_binomial import beta_binomial
from experiments.statistics.means import welch
from experiments.statistics.numeric import BoolArray, FloatArray
from experiments.statistics.winners_curse import Prior, given_selection, shrunk

TOPIC = "Bayesian answers, truths drawn from the prior"
SPREAD = 0.1
UNITS = 500
GAP = 0.02


def normal_beliefs(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """A normal prior on the difference of means (sd 1, 500 units a variant)."""
    truth = SPREAD * generator.standard_normal(simulations)
    effect = welch(
        _arm(generator, np.zeros(simulations)),
        _arm(generator, truth),
    )
    got = posterior(effect, NormalPrior(0.0, SPREAD))
    held = (got.lower <= truth) & (truth <= got.upper)
    lost = np.maximum(-truth, 0.0)
    return [
        _calibrated("P(better)", got.probability_better, truth > 0, "bayesian"),
        _held("95 % credible interval holds the truth", held, "bayesian"),
        _ratio("loss incurred over loss expected", lost, got.expected_loss, "bayesian"),
    ]


def several_variants(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Three treatments: the probability of being the best, and the expected loss."""
    truth = SPREAD * generator.standard_normal((simulations, 3))
    control = _arm(generator, np.zeros(simulations))
    effects = welch(control[..., None], _arm(generator, truth))
    got = best_variant(
        effects, shared_error(control, effects), NormalPrior(0.0, SPREAD)
    )
    everyone = np.concatenate([np.zeros((simulations, 1)), truth], axis=1)
    best = everyone == everyone.max(axis=1, keepdims=True)
    lost = everyone.max(axis=1, keepdims=True) - everyone
    return [
        _calibrated(
            "P(best of four)",
            got.probability_best.ravel(),
            best.ravel(),
            "best_variant",
        ),
        _ratio(
            "loss incurred over loss expected, of four",
            lost.ravel(),
            got.expected_loss.ravel(),
            "best_variant",
        ),
    ]


def beta_beliefs(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """A Beta(5, 95) prior on proportions, 500 units a variant."""
    truth = generator.beta(5, 95, (simulations, 2))
    events = generator.binomial(UNITS, truth)
    got = beta_binomial(events, np.full(events.shape, UNITS), prior=(5.0, 95.0))
    held = (got.lower <= truth) & (truth <= got.upper)
    return [
        _calibrated(
            "P(better), proportions",
            got.probability_better[:, 1],
            truth[:, 1] > truth[:, 0],
            "beta_binomial",
        ),
        _held(
            "95 % credible interval holds the truth, proportions",
            held.ravel(),
            "beta_binomial",
        ),
    ]


def past_winners(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Effects of winners (z > 1.96): raw, shrunk, and given their selection."""
    truth = SPREAD * generator.standard_normal(20 * simulations)
    estimate = truth + 0.06 * generator.standard_normal(truth.size)
    won = np.flatnonzero(estimate / 0.06 > 1.96)[:simulations]
    truth, estimate = truth[won], estimate[won]
    bayes = shrunk(estimate, 0.06, Prior(SPREAD**2))
    selected = given_selection(estimate, 0.06)
    topic, size = "Effects of past winners", won.size
    low, high = near(0.95, size)
    coverage = [
        Claim(
            topic,
            f"{name}: interval holds the truth",
            float(((got.lower <= truth) & (truth <= got.upper)).mean()),
            low,
            high,
            size,
            "winners_curse",
        )
        for name, got in (("shrunk", bayes), ("given selection", selected))
    ]
    over = float(estimate.mean() / truth.mean())
    left = float(bayes.estimate.mean() / truth.mean())
    return [
        *coverage,
        Claim(
            topic,
            "raw estimate over truth (for contrast)",
            over,
            1.05,
            9.0,
            size,
            "winners_curse",
            share=False,
        ),
        Claim(
            topic,
            "shrunk estimate over truth",
            left,
            0.98,
            1.02,
            size,
            "winners_curse",
            share=False,
        ),
    ]


def _arm(generator: np.random.Generator, mean: FloatArray) -> Moments:
    """Draw moments of a normal metric, exactly."""
    noise = generator.standard_normal(mean.shape) / np.sqrt(UNITS)
    m2 = generator.chisquare(UNITS - 1, mean.shape)
    return Moments(np.full(mean.shape, float(UNITS)), mean + noise, m2, np.asarray(0.0))


def _calibrated(
    name: str, believed: FloatArray, came_true: BoolArray, module: str
) -> Claim:
    """Return the largest gap of belief and frequency over ten equal groups."""
    order = np.argsort(believed)
    gaps = [
        abs(float(believed[part].mean() - came_true[part].mean()))
        for part in np.array_split(order, 10)
    ]
    words = f"{name}: largest gap of belief and frequency, ten groups"
    # Chance alone opens gaps between groups that are small, as in the normal tests.
    most = max(GAP, 1.5 / np.sqrt(believed.size / 10))
    return Claim(TOPIC, words, max(gaps), 0.0, most, believed.size, module)


def _held(name: str, held: BoolArray, module: str) -> Claim:
    low, high = near(0.95, held.size)
    return Claim(TOPIC, name, float(held.mean()), low, high, held.size, module)


def _ratio(name: str, lost: FloatArray, expected: FloatArray, module: str) -> Claim:
    found = float(lost.mean() / expected.mean())
    noise = float((lost - expected).std() / expected.mean() / np.sqrt(lost.size))
    slack = max(0.03, 6 * noise)
    return Claim(
        TOPIC, name, found, 1 - slack, 1 + slack, lost.size, module, share=False
    )
