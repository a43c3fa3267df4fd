"""Repeated looks: planned ones, watching all the time, and guardrails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.validation.arms import side_by_side
from benchmarks.validation.claims import Claim, near
from benchmarks.validation.laws import Correlated, Normal
from experiments.statistics import proportions
from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.always_valid import AlwaysValid, always_valid
from experiments.statistics.comparison import Comparison
from experiments.statistics.covariates import adjust, adjusted_difference
from experiments.statistics.guardrails import (
    Outcome,
    non_inferiority,
    proportion_non_inferiority,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.ratios import ratio_difference, ratio_lift
from experiments.statistics.sequential import Look

ALPHA = 0.05
LOOKS = 1_000
STEP = 100
PLANNED = "Planned looks (Lan-DeMets, O'Brien-Fleming-like spending)"
WATCHED = f"Always valid: ever wrong in {LOOKS:,} looks, each {STEP} units a variant"
_BLOCK = 100


def planned_looks(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Five looks at conversion and at a mean: overall error and agreement."""
    rates, differ = _followed(generator, simulations)
    low, high = near(ALPHA, simulations)
    rows = (
        ("score, 5 % conversion, five looks: ever wrong", rates[0], low, high),
        ("Welch, normal metric, five looks: ever wrong", rates[1], low, high),
        ("five looks without a plan: ever wrong (for contrast)", rates[2], 0.1, 1.0),
    )
    return [
        *(
            Claim(PLANNED, name, float(rate), least, most, simulations, "sequential")
            for name, rate, least, most in rows
        ),
        Claim(
            PLANNED,
            "interval and p disagree, times",
            float(differ),
            0.0,
            0.0,
            simulations,
            "sequential",
            share=False,
        ),
    ]


def _followed(
    generator: np.random.Generator, simulations: int
) -> tuple[FloatArray, int]:
    """Return shares ever wrong (score, Welch, no plan) and contradictions."""
    units = 1_000 * np.arange(1, 6)
    control, treatment = (
        np.cumsum(generator.binomial(1_000, 0.05, (simulations, 5)), axis=1)
        for _ in range(2)
    )
    normal = Normal("", units=100)
    days = [normal.draw(generator, simulations, 100, 0.0)[Moments] for _ in range(10)]
    ever = np.zeros((3, simulations), dtype=bool)
    differ = 0
    arms: list[Moments] = days[:2]
    for k in range(5):
        look = Look(tuple((j + 1) / 5 for j in range(k + 1)), ALPHA)
        table = (control[:, k], units[k], treatment[:, k], units[k])
        score = proportions.difference(*table, alpha=ALPHA, quantile=look)
        if k:
            arms = [a.merge(b) for a, b in zip(arms, days[2 * k :], strict=False)]
        means = welch(arms[0], arms[1], alpha=ALPHA, quantile=look)
        for row, result in enumerate((score, means)):
            ever[row] |= result.excludes_zero
            differ += int((result.excludes_zero != (result.p_value < ALPHA)).sum())
        ever[2] |= proportions.difference(*table, alpha=ALPHA).excludes_zero
    return ever.mean(axis=1), differ


@dataclass(frozen=True)
class _Watched:
    """Shares of simulations with the mishap at any look."""

    missed: float
    rejected: float
    differ: int


def watched_means(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Two- and one-sided sequences on a plain mean, without an effect."""

    def two_sided(arms: CrossMoments, boundary: AlwaysValid) -> Comparison:
        plain = Moments(arms.count, arms.mean_y, arms.m2_y, np.full((1, 1, 1), np.nan))
        return welch(plain[..., 0], plain[..., 1], alpha=ALPHA, quantile=boundary)

    got = _watch(generator, simulations, two_sided, truth=0.0)
    ever = monotone = 0
    for arms in _paths(generator, simulations):
        d = arms.mean_y[..., 1] - arms.mean_y[..., 0]
        error = np.sqrt((arms.m2_y / arms.count / (arms.count - 1)).sum(axis=-1))
        sequence = always_valid(
            d, error, arms.count.sum(-1), alpha=ALPHA, n_opt=5_000, one_sided=True
        )
        running = np.minimum.accumulate(sequence.p_value, axis=1)
        ever += int((running[:, -1] < ALPHA).sum())
        monotone += int((np.diff(running, axis=1) > 0).sum())
    return [
        *_claims("mean", got, simulations),
        _at_most("mean, one-sided", ever / simulations, simulations),
        _never("running p-value rises, times", monotone, simulations),
    ]


def watched_adjusted_means(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """Sequences on a covariate-adjusted mean, with an effect of 2 %."""

    def adjusted(arms: CrossMoments, boundary: AlwaysValid) -> Comparison:
        return adjusted_difference(adjust(arms), alpha=ALPHA, quantile=boundary)

    got = _watch(generator, simulations, adjusted, truth=0.02, lift=0.02)
    return _claims("CUPED, true lift 2 %", got, simulations)


def watched_ratios(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Sequences on a ratio of two correlated values, absolute and relative."""

    def absolute(arms: CrossMoments, boundary: AlwaysValid) -> Comparison:
        return ratio_difference(
            arms[..., 0], arms[..., 1], alpha=ALPHA, quantile=boundary
        )

    def relative(arms: CrossMoments, boundary: AlwaysValid) -> Comparison:
        return ratio_lift(arms[..., 0], arms[..., 1], alpha=ALPHA, quantile=boundary)

    plain = _watch(generator, simulations, absolute, truth=0.0, below=5.0)
    lifted = _watch(
        generator, simulations // 5, relative, truth=0.2, lift=0.2, below=5.0
    )
    return [
        *_claims("ratio", plain, simulations),
        *_claims("lift of a ratio, true lift 20 %", lifted, simulations // 5),
    ]


def _watch(  # what is simulated
    generator: np.random.Generator,
    simulations: int,
    compare: Callable[[CrossMoments, AlwaysValid], Comparison],
    *,
    truth: float,
    lift: float = 0.0,
    below: float = 0.0,
) -> _Watched:
    missed = rejected = differ = 0
    for arms in _paths(generator, simulations, lift=lift, below=below):
        boundary = AlwaysValid(arms.count.sum(axis=-1), ALPHA)
        result = compare(arms, boundary)
        wrong = (result.lower > truth) | (result.upper < truth)
        significant = result.p_value < ALPHA
        missed += int(wrong.any(axis=1).sum())
        rejected += int(significant.any(axis=1).sum())
        differ += int((significant != result.excludes_zero).sum())
    return _Watched(missed / simulations, rejected / simulations, differ)


def _paths(
    generator: np.random.Generator,
    simulations: int,
    *,
    lift: float = 0.0,
    below: float = 0.0,
) -> Iterator[CrossMoments]:
    """Yield running sums of a metric and its covariate, shape (simulation, look, arm).

    What each look adds is drawn in the exact form of `Correlated`; ``below`` is the
    mean of the second value, the denominator of a ratio.
    """
    law = Correlated("", units=STEP)
    for start in range(0, simulations, _BLOCK):
        size = min(_BLOCK, simulations - start)
        drawn = (
            law.draw(generator, size * LOOKS, STEP, own)[CrossMoments]
            for own in (0.0, lift)
        )
        yield side_by_side(*(_running(arm, size, below) for arm in drawn))


def _running(drawn: CrossMoments, size: int, below: float) -> CrossMoments:
    """Add up looks: sums and raw products add, centred ones follow."""

    def total(values: FloatArray) -> FloatArray:
        return np.cumsum(values.reshape(size, LOOKS), axis=1)

    n, y, x = drawn.count, drawn.mean_y, drawn.mean_x
    count, sum_y, sum_x = total(n), total(n * y), total(n * x)
    return CrossMoments(
        count=count,
        mean_y=sum_y / count,
        mean_x=sum_x / count + below,
        m2_y=total(drawn.m2_y + n * y * y) - sum_y**2 / count,
        m2_x=total(drawn.m2_x + n * x * x) - sum_x**2 / count,
        cxy=total(drawn.cxy + n * x * y) - sum_x * sum_y / count,
    )


def _claims(name: str, got: _Watched, simulations: int) -> list[Claim]:
    return [
        _at_most(name, got.missed, simulations),
        _never(f"{name}: interval and p disagree, times", got.differ, simulations),
    ]


def _at_most(name: str, figure: float, simulations: int) -> Claim:
    return Claim(WATCHED, name, figure, 0.0, ALPHA, simulations, "always_valid")


def _never(name: str, times: int, simulations: int) -> Claim:
    return Claim(
        WATCHED, name, float(times), 0.0, 0.0, simulations, "always_valid", share=False
    )


def guardrail_at_its_margin(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """Harm of exactly the margin: how often a guardrail passes, how often it fails."""
    law, margin = Normal("", units=500), 0.05
    control = law.draw(generator, simulations, 500, 0.0)[Moments]
    treatment = law.draw(generator, simulations, 500, -margin)[Moments]
    got = non_inferiority(control, treatment, margin=margin, alpha=ALPHA)
    events = generator.binomial(5_000, 0.1, simulations)
    harmed = generator.binomial(5_000, 0.1 * (1 + margin), simulations)
    score = proportion_non_inferiority(
        events, 5_000, harmed, 5_000, margin=margin, absolute_margin=0.005, alpha=ALPHA
    )
    low, high = near(ALPHA, simulations)
    return [
        Claim(
            "Guardrails: harm of exactly the margin",
            f"{name}: {outcome}",
            float((result.outcome == outcome).mean()),
            low,
            high,
            simulations,
            "guardrails",
        )
        for name, result in (("mean", got), ("proportion", score))
        for outcome in (Outcome.PASS, Outcome.FAIL)
    ]
