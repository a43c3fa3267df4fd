"""Bayesian answers: how likely is a variant better, and what would a mistake cost?

The effect has a normal prior: flat, stated, or learnt from the shop's past experiments
(empirical Bayes), which pulls a surprising lift towards what lifts here have been. A
posterior is read as a bet, not as an error rate: it is not peeking-proof, and every
result says so in its ``label``. Flat is the default because it adds nothing the analyst
did not choose; probabilities and losses come from quadrature, never from simulation, so
the same data give the same digits.

References:
    Gelman et al. (2013), "Bayesian data analysis", 3rd edition, 2.5 and 5.4.
    Deng (2015), "Objective Bayesian two sample hypothesis testing for online controlled
    experiments", WWW companion (priors from past experiments).
    Chung, Rabe-Hesketh, Dorie, Gelman, Liu (2013), "A nondegenerate penalized
    likelihood estimator for variance parameters in multilevel models",
    Psychometrika 78(4).
    Stucchio (2015), "Bayesian A/B testing at VWO" (expected loss).
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.comparison import (
    Comparison,
    Scale,
    Status,
    StatusArray,
)
from experiments.statistics.guardrails import Direction
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    broadcast,
    divide,
    normal_quantile,
    quiet,
)
from experiments.statistics.segments import random_effects

PriorMethod: TypeAlias = Literal["marginal_likelihood", "moments"]

FEWEST_PAST = 5
NOT_PEEKING_PROOF = (
    "Not peeking-proof: acting as soon as this looks good errs more often than it says."
)


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """What is believed of an effect before the data, on the effect's own scale.

    Attributes:
        mean: expected effect (0.01 is +1 % on the relative scale).
        standard_deviation: spread of effects; infinite for a flat prior.
        source: where it comes from, as shown to the analyst.
    """

    mean: float = 0.0
    standard_deviation: float = np.inf
    source: str = ""

    def __post_init__(self) -> None:
        """Check the figures."""
        if not np.isfinite(self.mean):
            raise StatisticsError(f"mean must be finite, got {self.mean!r}")
        if not self.standard_deviation > 0:
            raise StatisticsError(
                f"standard_deviation must be > 0, got {self.standard_deviation!r}"
            )
        if not self.source:
            stated = f"prior {self.mean:g} +- {self.standard_deviation:g}"
            source = stated if np.isfinite(self.standard_deviation) else "flat prior"
            object.__setattr__(self, "source", source)

    @property
    def precision(self) -> float:
        """One over the variance; 0 for a flat prior."""
        return 1.0 / self.standard_deviation**2

    @classmethod
    @quiet
    def from_experiments(
        cls,
        estimates: ArrayLike,
        standard_errors: ArrayLike,
        *,
        method: PriorMethod = "marginal_likelihood",
        centre: float | None = None,
    ) -> "NormalPrior":
        """Learn the prior from past experiments: all of them, not only the winners.

        The default maximises the marginal likelihood (the mean integrated out) times
        the spread, so that a short history never claims that effects do not differ.

        Args:
            estimates: effects of past experiments on one metric and scale.
            standard_errors: theirs.
            method: "moments" is DerSimonian and Laird's closed form.
            centre: the prior's mean if stated, such as 0; learnt by default.

        Raises:
            StatisticsError: fewer than five usable experiments, an unknown method, or,
                with moments, no spread beyond noise.
        """
        effect, error = broadcast(estimates=estimates, standard_errors=standard_errors)
        usable = np.isfinite(effect) & np.isfinite(error) & (error > 0)
        effect, error = effect[usable], error[usable]
        if effect.size < FEWEST_PAST:
            raise StatisticsError(
                f"estimates must hold >= {FEWEST_PAST} usable experiments, "
                f"got {effect.size}"
            )
        if method == "moments":
            spread = _spread_by_moments(effect, error, centre)
        elif method == "marginal_likelihood":
            spread = _likeliest_spread(effect, error, centre)
        else:
            raise StatisticsError(
                f'method must be "marginal_likelihood" or "moments", got {method!r}'
            )
        weight = 1 / (error**2 + spread**2)
        mean = (weight * effect).sum() / weight.sum() if centre is None else centre
        name = method.replace("_", " ")
        return cls(float(mean), spread, f"{effect.size} past experiments, {name}")


def _spread_by_moments(
    effect: FloatArray, error: FloatArray, centre: float | None
) -> float:
    """Return the spread at which the weighted squares are what they should be."""
    if centre is None:
        return float(np.sqrt(random_effects(effect, error).between))
    weight = 1 / error**2
    excess = (weight * (effect - centre) ** 2).sum() - effect.size
    return float(max(float(excess / weight.sum()), 0.0) ** 0.5)


def _likeliest_spread(
    effect: FloatArray, error: FloatArray, centre: float | None
) -> float:
    """Return the spread that maximises the penalised marginal likelihood."""
    away = effect - (effect.mean() if centre is None else centre)
    most = float(2 * np.abs(away).max() + error.max())
    grid = most * np.logspace(-6, 1, 141)
    for _ in range(4):
        weight = 1 / (error**2 + grid[:, None] ** 2)
        total = weight.sum(axis=1)
        mean = (weight * away).sum(axis=1) / total if centre is None else 0 * total
        squares = (weight * (away - mean[:, None]) ** 2).sum(axis=1)
        log = 0.5 * (np.log(weight).sum(axis=1) - squares)
        if centre is None:
            log -= 0.5 * np.log(total)
        best = int(np.argmax(log + np.log(grid)))
        ends = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
        grid = np.linspace(*ends, 61)
    return float(grid[grid.size // 2])


@dataclass(frozen=True, slots=True)
class Posterior:
    """One treatment against control after the data; every array has the cells' shape.

    Attributes:
        estimate: posterior mean of the effect.
        standard_error: posterior standard deviation.
        lower: of the equal-tailed credible interval.
        upper: of the credible interval.
        probability_better: that the treatment beats the control in the good direction.
        expected_loss: mean effect given away by shipping the treatment, >= 0.
        control_expected_loss: mean effect given away by keeping the control, >= 0.
        status: of the comparison it was made from.
        method: prior and procedure.
        scale: of the effect and the losses.
        label: how not to read it.
    """

    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    probability_better: FloatArray
    expected_loss: FloatArray
    control_expected_loss: FloatArray
    status: StatusArray
    method: str
    scale: Scale
    label: str = NOT_PEEKING_PROOF

    def __post_init__(self) -> None:
        """Give every array the cells' shape."""
        arrays = broadcast(**{name: getattr(self, name) for name in _FIGURES})
        for name, array in zip(_FIGURES, arrays, strict=True):
            object.__setattr__(self, name, array)


_FIGURES = (
    "estimate",
    "standard_error",
    "lower",
    "upper",
    "probability_better",
    "expected_loss",
    "control_expected_loss",
)

FLAT = NormalPrior()


@quiet
def posterior(
    effect: Comparison,
    prior: NormalPrior = FLAT,
    *,
    direction: Direction = "increase",
) -> Posterior:
    """Combine a comparison's estimate and error with a normal prior.

    Args:
        effect: any comparison whose estimate is close to normal; the prior is on its
            scale. Its alpha gives the credible level.
        prior: belief before the data.
        direction: the good direction of the metric.

    Raises:
        StatisticsError: an unknown direction.
    """
    toward = direction_sign(direction)
    usable = np.isfinite(effect.estimate) & (effect.standard_error > 0)
    usable &= np.isfinite(effect.standard_error)
    noise = np.where(usable, effect.standard_error, np.nan)
    error = divide(1.0, np.hypot(divide(1.0, noise), 1 / prior.standard_deviation))
    weight = divide(error, noise) ** 2
    mean = weight * effect.estimate + (1 - weight) * prior.mean
    half = normal_quantile(effect.alpha / 2) * error
    better = toward * divide(mean, error)
    return Posterior(
        estimate=mean,
        standard_error=error,
        lower=mean - half,
        upper=mean + half,
        probability_better=np.asarray(scipy.special.ndtr(better)),
        expected_loss=error * shortfall(better),
        control_expected_loss=error * shortfall(-better),
        status=marked_unusable(effect.status, usable & np.isfinite(better)),
        method=f"Normal posterior, {prior.source}; {effect.method}",
        scale=effect.scale,
    )


def direction_sign(direction: Direction) -> float:
    """Return 1 when more is better and -1 when less is.

    Raises:
        StatisticsError: neither "increase" nor "decrease".
    """
    if direction not in {"increase", "decrease"}:
        raise StatisticsError(
            f'direction must be "increase" or "decrease", got {direction!r}'
        )
    return 1.0 if direction == "increase" else -1.0


@quiet
def shortfall(z: FloatArray) -> FloatArray:
    """Return E[max(-(z + noise), 0)] for standard normal noise, accurate far out.

    Args:
        z: mean over standard deviation.
    """
    # Written with Mills' ratio where the two terms would cancel.
    mills = np.sqrt(np.pi / 2) * scipy.special.erfcx(np.maximum(z, 0.0) / np.sqrt(2))
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    far = density * np.maximum(1 - z * mills, 0.0)
    return np.asarray(np.where(z > 0, far, density - z * scipy.special.ndtr(-z)))


def marked_unusable(status: StatusArray, usable: BoolArray) -> StatusArray:
    """Return the statuses, those that claim more than the data hold made degenerate."""
    claims = np.isin(
        status.astype(str), [Status.OK, Status.SKEW_WARNING, Status.UNBOUNDED]
    )
    marked = status.copy()
    marked[claims & ~usable] = Status.DEGENERATE
    return marked
