"""How many units an experiment needs, how long it runs, and what it can find.

All figures are for the test the report will make: the plan's own looks and spending,
its share of alpha for each variant, its split, and the variance that covariates leave.
A relative effect needs no other sample than the same effect in the metric's unit, since
the relative interval (Fieller) excludes zero exactly when the absolute test rejects.

Power 80 % and two-sided alpha 5 % are the usual defaults. With several treatments every
figure is that of the smallest one, the hardest to tell from the control.

References:
    Chow, Shao, Wang, Lokhnygina (2017), "Sample Size Calculations in Clinical
    Research", 3rd edition, 3.2 (means), 4.2 (proportions, unpooled variance).
    Jennison and Turnbull (2000), "Group Sequential Methods", 2.2 and 7.2 (inflation).
    Deng, Xu, Kohavi, Walker (2013), WSDM, equation 4 (covariates leave 1 - R^2).
    Nordin and Schultzberg (2024), "Risk-aware product decisions in A/B tests with
    multiple metrics", arXiv:2402.11609, theorem 4.1 (power over several guardrails).
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.comparison import Scale
from experiments.statistics.detection import Detection
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    bisect,
    broadcast,
    check_at_least,
    check_open,
    divide,
    quiet,
)
from experiments.statistics.ratios import linearised
from experiments.statistics.sequential import Spending, checked_fractions


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of a metric before the experiment, one shape.

    Attributes:
        mean: value in the control.
        variance: between units, around the mean.
        binary: a share of units; then each arm has the variance of its own share, and
            tests are normal.
    """

    mean: FloatArray
    variance: FloatArray
    binary: bool = False

    def __post_init__(self) -> None:
        """Check and broadcast the arrays."""
        check_at_least("variance", self.variance, 0)
        mean, variance = broadcast(mean=self.mean, variance=self.variance)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "variance", variance)

    @classmethod
    def proportion(cls, share: ArrayLike) -> Self:
        """Return a share of units, 0.05 is 5 %.

        Raises:
            StatisticsError: a share out of (0, 1).
        """
        p = check_open("share", share)
        return cls(p, p * (1 - p), binary=True)

    @classmethod
    def of(cls, history: Moments | CrossMoments) -> Self:
        """Return a metric as history shows it; cross moments are a ratio y / x."""
        moments = history if isinstance(history, Moments) else linearised(history)
        return cls(moments.mean, moments.variance)

    def treated_variance(self, effect: FloatArray) -> FloatArray:
        """Return the variance in an arm with this absolute effect; NaN: impossible."""
        if not self.binary:
            return self.variance + 0 * effect
        share = self.mean + effect
        return np.where((share >= 0) & (share <= 1), share * (1 - share), np.nan)


@dataclass(frozen=True, slots=True)
class Design:
    """Who is compared with whom, how often, and at which error.

    Attributes:
        shares: of control and treatments, in any unit; the control first.
        alpha: two-sided error over all looks and comparisons; for guardrails the
            one-sided error of each.
        comparisons: how many share alpha (Bonferroni); the treatments by default.
        looks: information fractions of the planned looks.
        spending: spending function of the looks.
        explained: share of the variance that covariates explain, R^2.
    """

    shares: tuple[float, ...] = (1.0, 1.0)
    alpha: float = 0.05
    comparisons: int | None = None
    looks: tuple[float, ...] = (1.0,)
    spending: Spending = "obrien_fleming"
    explained: float = 0.0

    def __post_init__(self) -> None:
        """Check the arguments once.

        Raises:
            StatisticsError: fewer than two shares, or an argument out of its range.
        """
        shares = check_open("shares", self.shares, 0.0, np.inf)
        if shares.ndim != 1 or shares.size < 2:
            raise StatisticsError(
                f"shares must hold the control and a treatment, got {self.shares!r}"
            )
        check_open("alpha", self.alpha, 0.0, 0.5)
        if self.comparisons is not None:
            check_at_least("comparisons", self.comparisons, 1)
        if not 0 <= self.explained < 1:
            raise StatisticsError(f"explained must lie in [0, 1), got {self.explained}")
        object.__setattr__(self, "looks", checked_fractions(self.looks))

    @property
    def arms(self) -> tuple[float, float]:
        """Shares of the control and of the smallest treatment."""
        total = sum(self.shares)
        return self.shares[0] / total, min(self.shares[1:]) / total

    def test(self, *, normal: bool, guardrail: bool = False) -> Detection:
        """Return one test of this plan: the primary's, or a guardrail's (one-sided)."""
        several = self.comparisons or len(self.shares) - 1
        return Detection(
            alpha=2 * self.alpha if guardrail else self.alpha / several,
            shares=self.arms,
            looks=self.looks,
            spending=self.spending,
            normal=normal,
            one_sided=guardrail,
        )


@quiet
def power(
    metric: Metric,
    design: Design,
    units: ArrayLike,
    effect: ArrayLike,
    *,
    scale: Scale = "relative",
) -> FloatArray:
    """Return the probability to find an effect: a point, or a curve over any argument.

    Args:
        metric: the metric as it is now.
        design: the plan.
        units: of all arms together.
        effect: true effect, as a share of the size of the metric's mean (0.05 is +5 %)
            or in its unit.
        scale: of the effect.

    Raises:
        StatisticsError: units below 0, or shapes that do not fit.
    """
    true, n = broadcast(
        effect=_absolute(metric, effect, scale),
        units=check_at_least("units", units, 0),
    )
    test = design.test(normal=metric.binary)
    return test.power(np.abs(true), _noise(metric, design, true), n)


@quiet
def sample_size(
    metric: Metric,
    design: Design,
    effect: ArrayLike,
    *,
    power: ArrayLike = 0.8,
    scale: Scale = "relative",
) -> FloatArray:
    """Return the units of all arms together that find an effect with some power.

    Not rounded; inf where there is no effect to find.

    Args:
        metric: the metric as it is now.
        design: the plan.
        effect: true effect, as in `power`.
        power: probability to find it.
        scale: of the effect.

    Raises:
        StatisticsError: power not between alpha and 1, or shapes that do not fit.
    """
    true, wanted = broadcast(effect=_absolute(metric, effect, scale), power=power)
    test = design.test(normal=metric.binary)
    return test.units(np.abs(true), _noise(metric, design, true), wanted)


@quiet
def minimum_detectable_effect(
    metric: Metric,
    design: Design,
    units: ArrayLike,
    *,
    power: ArrayLike = 0.8,
    scale: Scale = "relative",
    falls: bool = False,
) -> FloatArray:
    """Return the smallest effect found with some power; inf where none can be.

    Args:
        metric: the metric as it is now.
        design: the plan.
        units: of all arms together.
        power: probability to find it.
        scale: of the answer, as in `power`.
        falls: look for a fall: a share of units varies less where it is smaller.

    Raises:
        StatisticsError: as `sample_size`.
    """
    n, wanted, mean = broadcast(
        units=check_at_least("units", units, 0), power=power, mean=metric.mean
    )
    test = design.test(normal=metric.binary)
    if not metric.binary:
        found = test.effect(_noise(metric, design, np.zeros_like(n)), n, wanted)
    else:
        needed, sign = test.drift(wanted), -1.0 if falls else 1.0

        def missing(size: FloatArray) -> FloatArray:
            control, treatment = _noise(metric, design, sign * size)
            return needed - divide(size, np.sqrt(divide(control + treatment, n)))

        most = mean if falls else 1 - mean
        found = bisect(missing, np.zeros_like(n), most)
        found = np.where(missing(most) > 0, np.inf, found)
    return found if scale == "absolute" else divide(found, np.abs(mean))


@quiet
def guardrail_power(
    metric: Metric,
    design: Design,
    units: ArrayLike,
    *,
    margin: ArrayLike,
    effect: ArrayLike = 0.0,
    scale: Scale = "relative",
) -> FloatArray:
    """Return the probability that a guardrail passes (non-inferiority).

    Args:
        metric: the guardrail as it is now.
        design: the plan; its alpha is the one-sided error and is not shared.
        units: of all arms together.
        margin: harm tolerated, as a share of the size of the mean or in its unit.
        effect: true effect, better counted as positive; none by default.
        scale: of margin and effect.

    Raises:
        StatisticsError: a margin not above 0, or shapes that do not fit.
    """
    n = check_at_least("units", units, 0)
    distance, noise = _from_margin(metric, design, margin, effect, scale)
    return design.test(normal=metric.binary, guardrail=True).power(distance, noise, n)


@quiet
def guardrail_sample_size(
    metric: Metric,
    design: Design,
    *,
    margin: ArrayLike,
    effect: ArrayLike = 0.0,
    power: ArrayLike = 0.8,
    scale: Scale = "relative",
) -> FloatArray:
    """Return the units of all arms together with which a guardrail passes.

    Args:
        metric: the guardrail as it is now.
        design: the plan; its alpha is the one-sided error and is not shared.
        margin: harm tolerated, as a share of the size of the mean or in its unit.
        effect: true effect, better counted as positive; none by default.
        power: probability to pass; for several guardrails from `beta_per_metric`.
        scale: of margin and effect.

    Raises:
        StatisticsError: a margin not above 0, power not between alpha and 1, or shapes
            that do not fit.
    """
    wanted = as_floats("power", power)
    distance, noise = _from_margin(metric, design, margin, effect, scale)
    test = design.test(normal=metric.binary, guardrail=True)
    return test.units(distance, noise, wanted)


def beta_per_metric(beta: ArrayLike, guardrails: int) -> FloatArray:
    """Return the risk of a miss each metric may have, so that all pass together.

    A variant ships when the primary metric wins and every guardrail passes. Alpha needs
    no correction for that, power does: 1 - beta over all needs beta / (guardrails + 1)
    each.

    Args:
        beta: risk of missing a good variant (0.2 is 80 % power).
        guardrails: their number.

    Raises:
        StatisticsError: beta out of (0, 1), or a negative number of guardrails.
    """
    check_at_least("guardrails", guardrails, 0)
    return check_open("beta", beta) / (guardrails + 1)


def inflation(design: Design, *, power: ArrayLike = 0.8) -> FloatArray:
    """Return how many times the units of a single look the plan's looks need.

    Computed from the plan's own boundaries; 1.01 to 1.03 for the default spending.

    Args:
        design: the plan.
        power: probability to find the effect.

    Raises:
        StatisticsError: power not between alpha and 1.
    """
    planned, wanted = design.test(normal=True), as_floats("power", power)
    single = replace(planned, looks=(1.0,))
    return np.asarray((planned.drift(wanted) / single.drift(wanted)) ** 2)


def design_effect(cluster_size: ArrayLike, correlation: ArrayLike) -> FloatArray:
    """Return how many times the units a design needs that assigns whole clusters.

    Args:
        cluster_size: mean number of units in a cluster.
        correlation: intraclass correlation of the metric, in [0, 1].

    Raises:
        StatisticsError: sizes below 1, or a negative correlation.
    """
    size = check_at_least("cluster_size", cluster_size, 1)
    return np.asarray(1 + (size - 1) * check_at_least("correlation", correlation, 0))


def _absolute(metric: Metric, effect: ArrayLike, scale: Scale) -> FloatArray:
    """Return the effect in the metric's unit."""
    given, mean = broadcast(effect=effect, mean=metric.mean)
    return given * np.abs(mean) if scale == "relative" else given


def _noise(
    metric: Metric, design: Design, effect: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the squared standard error of each arm's mean, times all units."""
    control, treatment = design.arms
    left = 1 - design.explained
    effect, variance = broadcast(effect=effect, variance=metric.variance)
    return (
        left * variance / control,
        left * metric.treated_variance(effect) / treatment,
    )


def _from_margin(
    metric: Metric,
    design: Design,
    margin: ArrayLike,
    effect: ArrayLike,
    scale: Scale,
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Return the effect's distance from the margin, and the noise of the statistic.

    A relative margin moves with the control's mean, hence the factor on its noise
    (Fieller form, as in `guardrails.non_inferiority`).
    """
    given = check_open("margin", margin, 0.0, 1.0 if scale == "relative" else np.inf)
    tolerated = _absolute(metric, given, scale)
    true = _absolute(metric, effect, scale)
    kept = 1 - given if scale == "relative" else np.ones_like(given)
    tolerated, true, kept = broadcast(margin=tolerated, effect=true, kept=kept)
    control, treatment = _noise(metric, design, true)
    return tolerated + true, (control * kept**2, treatment)
