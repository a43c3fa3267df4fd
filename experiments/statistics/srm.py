"""Sample ratio mismatch: do the arms hold as many units as they were dealt?

A mismatch means units were lost or duplicated on the way, and no effect can be trusted.

References:
    Fabijan et al. (2019), "Diagnosing sample ratio mismatch in online controlled
    experiments", KDD, section 4.
    Read and Cressie (1988), "Goodness-of-fit statistics for discrete multivariate
    data", chapter 5 (exact multinomial test).
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    check_at_least,
)

SMALLEST_EXPECTED = 5
_MOST_TABLES = 200_000
_DRAWS = 100_000


@dataclass(frozen=True, slots=True)
class SrmResult:
    """Observed against dealt units of one experiment.

    Attributes:
        statistic: Pearson's chi-square; inf for a certain mismatch.
        p_value: probability of a split at least this odd when nothing is wrong.
        expected: units each arm should hold.
        observed: units each arm holds.
        method: the procedure used.
    """

    statistic: float
    p_value: float
    expected: FloatArray
    observed: FloatArray
    method: str


def sample_ratio(observed: ArrayLike, weights: ArrayLike) -> SrmResult:
    """Test the numbers of units against the weights they were dealt with.

    Args:
        observed: units of each arm, shape (arm,).
        weights: dealt shares in any unit; they are divided by their sum.

    Raises:
        StatisticsError: negative or infinite values, shapes that differ, fewer than two
            arms, or weights that sum to zero.
    """
    units = check_at_least("observed", observed, 0)
    shares = check_at_least("weights", weights, 0)
    if units.ndim != 1 or units.size < 2 or units.shape != shares.shape:
        raise StatisticsError(
            "observed and weights must have one shape (arm,) of at least 2 arms, "
            f"got {units.shape} and {shares.shape}"
        )
    if shares.sum() == 0:
        raise StatisticsError("weights must sum to > 0, got 0")
    expected = units.sum() * shares / shares.sum()
    if bool((units[shares == 0] > 0).any()):
        method = "certain mismatch: an arm without weight has units"
        return SrmResult(np.inf, 0.0, expected, units, method)
    dealt = shares > 0
    gap = units[dealt] - expected[dealt]
    if units.sum() == 0 or dealt.sum() < 2:
        return SrmResult(0.0, 1.0, expected, units, "nothing to compare")
    statistic = float((gap**2 / expected[dealt]).sum())
    if expected[dealt].min() >= SMALLEST_EXPECTED:
        p_value = float(scipy.special.chdtrc(dealt.sum() - 1, statistic))
        return SrmResult(statistic, p_value, expected, units, "chi-square")
    chances = shares[dealt] / shares.sum()
    p_value, method = _multinomial(units[dealt].astype(np.int64), chances)
    return SrmResult(statistic, p_value, expected, units, method)


def _multinomial(observed: np.ndarray, chances: FloatArray) -> tuple[float, str]:
    """Return the probability of all splits at most as likely as the observed one."""
    total, arms = int(observed.sum()), observed.size
    limit = _log_probability(observed[None, :], chances)[0] + 1e-9
    if scipy.special.comb(total + arms - 1, arms - 1) <= _MOST_TABLES:
        logs = _log_probability(_splits(total, arms), chances)
        p_value = float(np.exp(logs[logs <= limit]).sum())
        return min(p_value, 1.0), "exact multinomial"
    # A fixed seed: the same units always give the same p-value.
    draws = np.random.default_rng(0).multinomial(total, chances, size=_DRAWS)
    rarer = int((_log_probability(draws, chances) <= limit).sum())
    return (rarer + 1) / (_DRAWS + 1), f"multinomial, {_DRAWS:,} draws"


def _log_probability(splits: np.ndarray, chances: FloatArray) -> FloatArray:
    total = splits.sum(axis=-1)
    ways = scipy.special.gammaln(total + 1) - scipy.special.gammaln(splits + 1).sum(
        axis=-1
    )
    return np.asarray(ways + scipy.special.xlogy(splits, chances).sum(axis=-1))


def _splits(total: int, arms: int) -> np.ndarray:
    """Return every way to split ``total`` units over ``arms``, shape (way, arm)."""
    parts = np.zeros((1, 0), dtype=np.int64)
    for _ in range(arms - 1):
        left = total - parts.sum(axis=-1)
        rows = np.repeat(np.arange(len(parts)), left + 1)
        first = np.concatenate([np.arange(n + 1) for n in left])
        parts = np.column_stack([parts[rows], first])
    return np.column_stack([parts, total - parts.sum(axis=-1)])
