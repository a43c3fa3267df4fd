"""Were the variants alike before the experiment, and do units stay where they belong?

A random split makes variants alike in everything that came before exposure. Where they
are not, the split is broken, or the "before" was measured after exposure; and an effect
found afterwards may have been there all along. Three checks: covariates all at once,
each metric's own comparison on the pre-period (an A/A test), and units seen in two
variants.

The alarm is raised at p < 0.001 (as for the sample ratio), so that a sound experiment
is stopped once in a thousand times, and beyond 1 % of units crossing over.

References:
    Austin (2009), "Balance diagnostics for comparing the distribution of baseline
    covariates", Statistics in Medicine 28 (standardised difference).
    Hansen and Bowers (2008), "Covariate balance in simple, stratified and clustered
    comparative studies", Statistical Science 23(2) (one test for all covariates).
    Hotelling (1951); Pillai and Samson (1959), Biometrika 46, section 3 (its F for
    several arms; exact for two).
    Kohavi, Tang, Xu (2020), "Trustworthy Online Controlled Experiments", chapter 19
    (A/A tests) and 21 (guardrails of trust).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import JointMoments
from experiments.statistics.comparison import Comparison
from experiments.statistics.least_squares import (
    columns_first,
    over_arms,
    pooled_mean,
    solve,
)
from experiments.statistics.multiplicity import holm
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    check_at_least,
    check_open,
    divide,
    first,
    quiet,
)
from experiments.statistics.srm import sample_ratio

ALERT = 0.001
CROSSOVER_LIMIT = 0.01


class State(StrEnum):
    """What a check means for the figures: read them, with care, or not at all."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Balance:
    """Covariates of all variants before exposure.

    Attributes:
        standardised: difference from the control in standard deviations, shape
            (treatment, covariate); NaN where a covariate does not vary.
        statistic: F of all differences together; NaN without enough units.
        p_value: chance of differences this large under a random split.
        covariates: number that could be tested; constant and repeated ones cannot.
        state: bad below the alert.
        sentence: the finding in words.
    """

    standardised: FloatArray
    statistic: float
    p_value: float
    covariates: int
    state: State
    sentence: str


@dataclass(frozen=True, slots=True)
class PreExposure:
    """Each metric's own comparison, on the period before exposure (an A/A test).

    Attributes:
        p_values: Holm-adjusted over all metrics and treatments, an array a metric.
        off: metrics below the alert, by position.
        state: bad where there is one.
        sentence: the finding in words.
    """

    p_values: tuple[FloatArray, ...]
    off: tuple[int, ...]
    state: State
    sentence: str


@dataclass(frozen=True, slots=True)
class Crossover:
    """Units seen in more than one variant.

    Attributes:
        share: of all units.
        shares: of the units of each variant, by the variant they met first; NaN where
            it has none or crossings were not told apart.
        p_value: chance of shares this unlike when units cross at random.
        state: bad beyond the limit, warn where the variants lose unlike shares.
        sentence: the finding in words.
    """

    share: float
    shares: FloatArray
    p_value: float
    state: State
    sentence: str


@quiet
def covariate_balance(
    arms: JointMoments,
    *,
    control: int = 0,
    names: Sequence[str] | None = None,
    alert: float = ALERT,
) -> Balance:
    """Test all covariates of all variants at once.

    Args:
        arms: shape (arm, covariate), at least two arms; every column is a covariate
            measured before exposure.
        control: index of the control.
        names: of the covariates, for the sentence.
        alert: p-value below which the split is called bad.

    Raises:
        StatisticsError: another shape, names that do not fit, alert out of (0, 1).
    """
    check_open("alert", alert)
    if arms.mean.ndim != 2 or arms.mean.shape[0] < 2 or not arms.mean.shape[1]:
        raise StatisticsError(
            "arms must have shape (arm, covariate) with at least 2 arms and 1 "
            f"covariate, got {arms.mean.shape}"
        )
    labels = _names(names, arms.mean.shape[1])
    spread = divide(
        np.diagonal(arms.m2, axis1=-2, axis2=-1),
        np.where(arms.count > 1, arms.count - 1, np.nan)[:, None],
    )
    gap = np.delete(arms.mean - arms.mean[control], control, axis=0)
    scale = np.sqrt((np.delete(spread, control, axis=0) + spread[control]) / 2)
    standardised = divide(gap, scale)
    statistic, p_value, tested = _lawley_hotelling(arms)
    state, sentence = _balance_in_words(standardised, p_value, tested, labels, alert)
    return Balance(standardised, statistic, p_value, tested, state, sentence)


def pre_exposure(
    before: Sequence[Comparison],
    *,
    names: Sequence[str] | None = None,
    alert: float = ALERT,
) -> PreExposure:
    """Judge comparisons made before exposure, when there can be no effect.

    Args:
        before: for each metric the comparison used after exposure, made on the
            pre-period of the same units; any shape (treatments, segments).
        names: of the metrics, for the sentence.
        alert: adjusted p-value below which a metric is called off.

    Raises:
        StatisticsError: no metric, names that do not fit, alert out of (0, 1).
    """
    check_open("alert", alert)
    if not before:
        raise StatisticsError("before must hold at least one metric, got none")
    labels = _names(names, len(before))
    sizes = [metric.p_value.size for metric in before]
    adjusted = holm(np.concatenate([metric.p_value.ravel() for metric in before]))
    parts = np.split(adjusted, np.cumsum(sizes)[:-1])
    p_values = tuple(
        part.reshape(metric.p_value.shape)
        for part, metric in zip(parts, before, strict=True)
    )
    off = tuple(i for i, part in enumerate(parts) if (part < alert).any())
    if np.isnan(adjusted).all():
        sentence = "No unit has a pre-period, so variants cannot be compared before it."
        return PreExposure(p_values, off, State.WARN, sentence)
    smallest = float(np.nanmin(adjusted))
    if not off:
        sentence = (
            "Before the experiment the variants did not differ in "
            f"{_listed(labels)} (smallest adjusted p = {_p(smallest)})."
        )
        return PreExposure(p_values, off, State.GOOD, sentence)
    sentence = (
        "The variants already differed before the experiment in "
        f"{_listed([labels[i] for i in off])} (adjusted p {_p(smallest)}), so a "
        "difference now need not be an effect: the split is not random, or an earlier "
        "experiment still shows."
    )
    return PreExposure(p_values, off, State.BAD, sentence)


def crossover(
    units: ArrayLike,
    crossed: ArrayLike,
    *,
    limit: float = CROSSOVER_LIMIT,
    alert: float = ALERT,
) -> Crossover:
    """Count units seen in more than one variant, and whether variants lose alike.

    Args:
        units: units by the variant they met first, shape (arm,), crossers included.
        crossed: those of them that also met another variant, shape (arm,); or one
            number where that is all that is known.
        limit: share beyond which the experiment is called bad.
        alert: p-value below which unlike shares are pointed out.

    Raises:
        StatisticsError: negative or infinite counts, more crossed than units, shapes
            that differ, fewer than two arms, limit or alert out of (0, 1).
    """
    check_open("limit", limit)
    check_open("alert", alert)
    seen = check_at_least("units", units, 0)
    moved = check_at_least("crossed", crossed, 0)
    if seen.ndim != 1 or seen.size < 2 or moved.shape not in ((), seen.shape):
        raise StatisticsError(
            "units must have shape (arm,) of at least 2 arms, and crossed the same or "
            f"(), got {seen.shape} and {moved.shape}"
        )
    ceiling = seen if moved.ndim else seen.sum()
    if (moved > ceiling).any():
        raise StatisticsError(
            f"crossed must be <= units, got {first(moved, moved > ceiling):g}"
        )
    total, gone = float(seen.sum()), float(moved.sum())
    share = gone / total if total else 0.0
    told_apart = moved.ndim == 1 and 0 < gone < total
    shares = divide(moved, seen) if moved.ndim else np.full(seen.shape, np.nan)
    p_value = sample_ratio(moved, seen).p_value if told_apart else float("nan")
    state, sentence = _crossover_in_words(gone, total, p_value, limit, alert)
    return Crossover(share, shares, p_value, state, sentence)


def _lawley_hotelling(arms: JointMoments) -> tuple[float, float, int]:
    """Return F, p-value and the number of independent covariates.

    For two arms it is Hotelling's T^2, exact for normal covariates.
    """
    count, mean, m2 = columns_first(arms)
    within = over_arms(m2)
    gap = mean - pooled_mean(count, mean)[..., None]
    solved, used = solve(within[..., None], gap)
    tested = int(used[:, 0].sum())
    filled = int((count > 0).sum())
    trace = float((count * gap * solved).sum())
    error_df = float(count.sum()) - filled
    s = min(tested, filled - 1)
    room = error_df - tested - 1
    if s < 1 or not room > 0 or not np.isfinite(trace):
        return np.nan, np.nan, tested
    m, n = (abs(tested - filled + 1) - 1) / 2, room / 2
    top, bottom = s * (2 * m + s + 1), 2 * (s * n + 1)
    statistic = bottom * trace / (s * top)
    return statistic, float(scipy.special.fdtrc(top, bottom, statistic)), tested


def _balance_in_words(
    standardised: FloatArray,
    p_value: float,
    tested: int,
    labels: Sequence[str],
    alert: float,
) -> tuple[State, str]:
    if np.isnan(p_value):
        return State.WARN, (
            "Too few units, or no covariate that varies: whether the variants were "
            "alike before the experiment cannot be told."
        )
    size = np.nan_to_num(np.abs(standardised))
    widest = np.unravel_index(int(size.argmax()), size.shape)
    largest = (
        f"the largest difference is {size[widest]:.2g} standard deviations, in "
        f"{labels[int(widest[1])]}"
    )
    if p_value < alert:
        return State.BAD, (
            f"The variants were not alike before the experiment (p {_p(p_value)}); "
            f"{largest}. The split is not random, or the covariate was measured after "
            "exposure."
        )
    return State.GOOD, (
        f"The variants were alike before the experiment in {tested} "
        f"covariate{'s' * (tested != 1)} (p = {_p(p_value)}); {largest}."
    )


def _crossover_in_words(
    gone: float, total: float, p_value: float, limit: float, alert: float
) -> tuple[State, str]:
    if not gone:
        return State.GOOD, "No unit met more than one variant."
    sentence = (
        f"{gone:,.0f} of {total:,.0f} units ({gone / total:.2%}) met more than one "
        "variant"
    )
    unlike = p_value < alert
    if unlike:
        sentence += f", unlike shares of each variant (p {_p(p_value)})"
    if gone / total > limit:
        return State.BAD, (
            f"{sentence}: more than {limit:.3g} of all, so effects are blurred. Send "
            "one stable unit id, before and after signing in."
        )
    if unlike:
        return State.WARN, f"{sentence}: leaving them out makes the variants differ."
    return State.GOOD, f"{sentence}; they can be left out."


def _names(names: Sequence[str] | None, size: int) -> Sequence[str]:
    if names is None:
        return [f"number {i + 1}" for i in range(size)]
    if len(names) != size:
        raise StatisticsError(f"names must hold {size}, got {len(names)}")
    return names


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"
