"""Group-sequential plans: five looks, the stage-wise figures at the end, equivalence.

Plans are followed by every simulation until its boundary is crossed.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.validation.claims import Claim, near
from experiments.statistics.aggregates import Moments
from experiments.statistics.equivalence import equivalence
from experiments.statistics.guardrails import Outcome
from experiments.statistics.means import welch
from experiments.statistics.sequential import Look
from experiments.statistics.sequential_srm import sequential_sample_ratio
from experiments.statistics.stage_wise import stage_wise

ALPHA = 0.05
LOOKS = 5
STEP = 200
ALARM = 0.001
STAGE_WISE = "At the end of a plan of five looks (stage-wise ordering)"


def ended_plans(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Error at no effect; coverage and median of the estimate with one."""
    claims = []
    for effect in (0.0, 0.1):
        got = _ended(generator, simulations, effect)
        wrong, below, rejected, differ = got
        low, high = near(ALPHA, simulations)
        half = near(0.5, simulations)
        name = f"effect {effect:g}"
        claims += [
            _claim(f"{name}: interval leaves the truth out", wrong, low, high),
            _claim(f"{name}: estimate below the truth", below, *half),
            _claim(f"{name}: interval and p disagree", differ, 0.0, 0.0),
        ]
        if not effect:
            claims.append(_claim(f"{name}: p < 0.05", rejected, low, high))
    return [
        Claim(STAGE_WISE, c.name, c.figure, c.low, c.high, simulations, "stage_wise")
        for c in claims
    ]


def _claim(name: str, figure: float, low: float, high: float) -> Claim:
    return Claim(STAGE_WISE, name, figure, low, high, 0, "stage_wise")


def _ended(
    generator: np.random.Generator, simulations: int, effect: float
) -> tuple[float, float, float, float]:
    """Follow the plan; return shares wrong, below, rejected and contradictory."""
    running = np.ones(simulations, dtype=bool)
    wrong, below, rejected, differ = (np.zeros(simulations, bool) for _ in range(4))
    arms: list[Moments] = []
    for k in range(LOOKS):
        fresh = [_normal(generator, simulations, STEP, mean) for mean in (0.0, effect)]
        arms = [a.merge(b) for a, b in zip(arms, fresh, strict=True)] if k else fresh
        look = Look(tuple((j + 1) / LOOKS for j in range(k + 1)), ALPHA)
        plain = welch(arms[0], arms[1], alpha=ALPHA, quantile=look)
        ends = running & (plain.excludes_zero | (k == LOOKS - 1))
        place = np.flatnonzero(ends)
        running &= ~ends
        if not place.size:
            continue
        control, treatment = (_chosen(arm, place) for arm in arms)
        got = stage_wise(
            lambda quantile: welch(control, treatment, alpha=ALPHA, quantile=quantile),  # noqa: B023  # called at once
            look,
        )
        wrong[place] = (got.lower > effect) | (got.upper < effect)
        below[place] = got.estimate < effect
        rejected[place] = got.p_value < ALPHA
        differ[place] = got.excludes_zero != (got.p_value < ALPHA)
    shares = [float(part.mean()) for part in (wrong, below, rejected, differ)]
    return shares[0], shares[1], shares[2], shares[3]


def _chosen(arm: Moments, place: NDArray[np.intp]) -> Moments:
    return Moments(arm.count[place], arm.mean[place], arm.m2[place], arm.m3[place])


def _normal(
    generator: np.random.Generator, simulations: int, units: int, mean: float
) -> Moments:
    """Draw moments of a normal metric (sd 1), exactly."""
    noise = generator.standard_normal(simulations) / np.sqrt(units)
    m2 = generator.chisquare(units - 1, simulations)
    count = np.full(simulations, float(units))
    return Moments(count, mean + noise, m2, np.asarray(0.0))


def watched_sample_ratio(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """False alarms of the allocation watched at 100 moments of 200 units."""
    ever = 0
    for start in range(0, simulations, 2_000):
        size = min(2_000, simulations - start)
        units = generator.binomial(200, 0.5, (size, 100)).cumsum(axis=1)
        total = 200 * np.arange(1, 101)
        got = sequential_sample_ratio(np.stack([total - units, units], -1), (0.5, 0.5))
        ever += int((got.p_value.min(axis=1) < ALARM).sum())
    return [
        Claim(
            "Sample ratio mismatch watched all the time",
            "ever p < 0.001 in 100 moments",
            ever / simulations,
            0.0,
            ALARM,
            simulations,
            "sequential_srm",
        )
    ]


def equivalence_at_its_margin(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """Two one-sided tests where the effect is exactly the margin."""
    control = _normal(generator, simulations, 5_000, 1.0)
    treatment = _normal(generator, simulations, 5_000, 1.1)
    got = equivalence(control, treatment, margin=0.1, alpha=ALPHA)
    low, high = near(ALPHA, simulations)
    return [
        Claim(
            "Equivalence: effect of exactly the margin",
            f"two one-sided tests: {outcome}",
            float((got.outcome == outcome).mean()),
            low,
            high,
            simulations,
            "equivalence",
        )
        for outcome in (Outcome.PASS, Outcome.FAIL)
    ]
