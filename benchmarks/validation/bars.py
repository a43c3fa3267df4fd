"""What a simulated rate has to satisfy: bands and verdicts.

Bands are the central 99.99 % of a binomial count, so that a hundred correct cells stay
inside together 99 times in a hundred.
"""

from enum import StrEnum

from scipy import stats

CONFIDENCE = 0.9999
MEAN_BAND = (0.048, 0.052)
SKEWED_TAILS = (0.01, 0.04)
RERUN_FACTOR = 10


class Bar(StrEnum):
    """What is asked of a method's error rate."""

    BOTH = "both"
    """Neither too often nor too seldom."""
    UPPER = "upper"
    """Exact and score methods on counts: never too often."""
    LABELLED = "labelled"
    """An option kept for comparison with other tools; shown, nothing asked."""


def band(simulations: int, rate: float = 0.05) -> tuple[float, float]:
    """Return the band of a rate: [4.15, 5.85] % for 5 % and 10,000 simulations."""
    # The normal form is what the stated figures round from.
    z = stats.norm.isf((1 - CONFIDENCE) / 2)
    half = float(z * (rate * (1 - rate) / simulations) ** 0.5)
    return rate - half, rate + half


def inside(
    rate: float, limits: tuple[float, float], bar: Bar, *, slack: float = 5e-5
) -> bool:
    """Return whether a rate meets its bar; limits count as printed, to 0.005 %."""
    low, high = limits
    above = rate >= low - slack or bar is Bar.UPPER
    return bar is Bar.LABELLED or (above and rate <= high + slack)
