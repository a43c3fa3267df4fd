"""What would another policy have earned, judged from the log of the present one?

Each logged round is weighted by how much likelier the new policy was to play the logged
action: w = target probability / logged probability. The figures are only as good as the
weights, so every result shows them: their mean must be near 1 (it estimates the share
of the new policy's play that the log covers), the effective sample size must reach 100,
and a single huge weight is a warning. A result that fails these is refused.

The logged probability is that of the action *given its context*, as written down when
it was played. Rebuilding a policy by averaging the logged propensities of the items it
chose over-states it (an item is logged more often when its propensity is high): on the
Open Bandit log the weights then average 1.95. Frequencies of play have no such bias.

Self-normalised IPS is the default: it bears a mean weight slightly off 1 and heavy
rewards. The doubly robust estimate is better when a reward model is at hand.

References:
    Horvitz and Thompson (1952), JASA 47 (IPS).
    Swaminathan and Joachims (2015), "The self-normalized estimator for counterfactual
    learning", NeurIPS, section 4 (SNIPS).
    Dudik, Erhan, Langford, Li (2014), "Doubly robust policy evaluation and
    optimization", Statistical Science 29(4), equation 3.2 (DR).
    Wang, Agarwal, Dudik (2017), "Optimal and adaptive off-policy evaluation in
    contextual bandits", ICML, section 4 (SWITCH-DR).
    Bottou et al. (2013), "Counterfactual reasoning and learning systems", JMLR 14,
    section 4.4 (clipped weights); Owen, "Monte Carlo theory, methods and examples",
    9.3 (effective sample size).
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import (
    Comparison,
    Status,
    StatusArray,
    statuses,
)
from experiments.statistics.grouping import IntArray, group_sums, numbered
from experiments.statistics.means import too_skewed
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    as_floats,
    broadcast,
    check_at_least,
    check_open,
    divide,
    normal_quantile,
    quiet,
    student_quantile,
    student_tail,
)

Estimator: TypeAlias = Literal["ips", "snips", "clipped", "dr", "switch"]

SMALLEST_EFFECTIVE_SIZE = 100
WEIGHT_SLACK = 0.05
"""A mean weight this near 1 is accepted, whatever its standard error."""
_WEIGHT_ALPHA = 0.001

_NAMES = {
    "ips": "Inverse propensity score",
    "snips": "Self-normalised inverse propensity score",
    "clipped": "Clipped inverse propensity score",
    "dr": "Doubly robust",
    "switch": "SWITCH doubly robust",
}


@dataclass(frozen=True, slots=True)
class Overlap:
    """How well a log covers another policy; arrays have the cells' shape.

    Attributes:
        mean_weight: mean importance weight; near 1 when all is well.
        mean_weight_error: its standard error.
        max_weight: the largest weight.
        effective_size: rounds of the new policy that the log is worth,
            (sum w)^2 / sum w^2.
        support: share of rounds the new policy could have played (weight above 0).
        status: `OK`, or why no value can be trusted.
    """

    mean_weight: FloatArray
    mean_weight_error: FloatArray
    max_weight: FloatArray
    effective_size: FloatArray
    support: FloatArray
    status: StatusArray

    def __post_init__(self) -> None:
        """Give every array the cells' shape."""
        _share_shape(
            self,
            *("mean_weight", "mean_weight_error", "max_weight"),
            *("effective_size", "support"),
        )


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """Value of a policy, reward per round, cell by cell.

    Attributes:
        estimate: the value; shown even where the status refuses it.
        standard_error: of the estimate; NaN where refused.
        lower: lower end of the interval; NaN where refused.
        upper: upper end of the interval.
        degrees_of_freedom: of the t quantile used.
        status: what can be said of the cell.
        overlap: diagnostics of the weights, before any clipping.
        method: the procedure, as shown to the analyst.
        alpha: the interval covers 1 - alpha.
    """

    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    degrees_of_freedom: FloatArray
    status: StatusArray
    overlap: Overlap
    method: str
    alpha: FloatArray

    def __post_init__(self) -> None:
        """Give every array the cells' shape."""
        _share_shape(
            self,
            *("estimate", "standard_error", "lower", "upper"),
            *("degrees_of_freedom", "alpha"),
        )


@dataclass(frozen=True, slots=True)
class LoggedRounds:
    """What happened under the logging policy, with weights for another one.

    Attributes:
        reward: reward of each round, shape (..., round).
        weight: target over logged probability of the action played.
        predicted: modelled reward of the action played; 0 without a model.
        predicted_value: modelled reward of the target policy in that context.
        unit: number of the unit of each round, 0, 1, ..., shape (round,): rounds of
            one unit are not independent. None counts each round as a unit.
    """

    reward: FloatArray
    weight: FloatArray
    predicted: FloatArray
    predicted_value: FloatArray
    unit: IntArray | None = None

    def __post_init__(self) -> None:
        """Give every array the shape (..., round)."""
        names = ("reward", "weight", "predicted", "predicted_value")
        arrays = broadcast(**{name: getattr(self, name) for name in names})
        for name, array in zip(names, arrays, strict=True):
            object.__setattr__(self, name, np.atleast_1d(array))

    @classmethod
    def from_propensities(
        cls,
        reward: ArrayLike,
        target: ArrayLike,
        logged: ArrayLike,
        *,
        predicted: ArrayLike = 0.0,
        predicted_value: ArrayLike = 0.0,
        unit: ArrayLike | None = None,
    ) -> "LoggedRounds":
        """Weigh rounds by the probabilities of their actions.

        Args:
            reward: reward of each round, shape (..., round).
            target: probability that the new policy plays the logged action there.
            logged: probability with which it was played, above 0.
            predicted: modelled reward of the action played (out of fold).
            predicted_value: modelled reward of the new policy, its actions weighted by
                their probabilities.
            unit: id of the unit of each round, shape (round,).

        Raises:
            StatisticsError: a probability out of [0, 1], or shapes that do not fit.
        """
        for name, share in (("target", target), ("logged", logged)):
            array = check_at_least(name, share, 0)
            if bool((array > 1).any()):
                raise StatisticsError(f"{name} must be <= 1, got {array.max():g}")
        rounds = cls(
            as_floats("reward", reward),
            divide(target, logged),
            as_floats("predicted", predicted),
            as_floats("predicted_value", predicted_value),
        )
        if unit is None:
            return rounds
        return replace(rounds, unit=numbered("unit", unit, rounds.reward.shape[-1])[0])

    def summed(self, rows: FloatArray) -> FloatArray:
        """Return sums by unit along the last axis."""
        if self.unit is None:
            return rows
        return group_sums(rows, self.unit, int(self.unit.max(initial=-1)) + 1)

    @property
    @quiet
    def overlap(self) -> Overlap:
        """Diagnostics of the weights."""
        weight = self.weight
        rounds = np.asarray(weight.shape[-1], dtype=np.float64)
        mean = divide(weight.sum(axis=-1), rounds)
        error = np.sqrt(_noise(self, weight - mean[..., None]).standard_error2)
        size = divide(weight.sum(axis=-1) ** 2, (weight**2).sum(axis=-1))
        size = np.where(np.isfinite(size), size, 0.0)
        slack = np.fmax(WEIGHT_SLACK, normal_quantile(_WEIGHT_ALPHA / 2) * error)
        unknown = ~np.isfinite(mean)
        return Overlap(
            mean_weight=mean,
            mean_weight_error=error,
            max_weight=weight.max(axis=-1, initial=0.0),
            effective_size=size,
            support=divide((weight > 0).sum(axis=-1), rounds),
            status=statuses(
                mean.shape,
                (unknown & (rounds > 0), Status.WEIGHTS_OFF),
                (size < SMALLEST_EFFECTIVE_SIZE, Status.LOW_OVERLAP),
                (np.abs(mean - 1) > slack, Status.WEIGHTS_OFF),
            ),
        )


@quiet
def policy_value(
    rounds: LoggedRounds,
    *,
    estimator: Estimator = "snips",
    threshold: float | None = None,
    alpha: ArrayLike = 0.05,
) -> PolicyValue:
    """Estimate the reward per round that another policy would earn.

    Args:
        rounds: the log, weighed for that policy.
        estimator: ``ips`` (unbiased, noisy), ``snips`` (default), ``clipped`` (weights
            cut at the threshold: less noise, biased downwards), ``dr`` (model plus
            weighted residuals), ``switch`` (DR that trusts the model alone where the
            weight is above the threshold).
        threshold: largest weight used by ``clipped`` and ``switch``; they default to
            the square root of the number of rounds.
        alpha: the interval covers 1 - alpha.

    Raises:
        StatisticsError: an unknown estimator, a threshold not above 0, or alpha out of
            (0, 1).
    """
    error = check_open("alpha", alpha)
    top, bottom = _columns(rounds, estimator, threshold)
    value, pull = _value(top, bottom)
    noise = _noise(rounds, pull)
    spread, df = np.sqrt(noise.standard_error2), noise.count - 1
    half = student_quantile(error / 2, df) * spread
    overlap = rounds.overlap
    status, shown = _verdict(overlap, value, half, noise)
    return PolicyValue(
        estimate=value,
        standard_error=np.where(shown, spread, np.nan),
        lower=np.where(shown, value - half, np.nan),
        upper=np.where(shown, value + half, np.nan),
        degrees_of_freedom=df,
        status=status,
        overlap=overlap,
        method=_NAMES[estimator],
        alpha=error,
    )


@quiet
def policy_lead(
    rounds: LoggedRounds,
    *,
    estimator: Estimator = "snips",
    threshold: float | None = None,
    alpha: ArrayLike = 0.05,
) -> Comparison:
    """Compare another policy with the one that wrote the log, on the same rounds.

    Both values come from the same rounds, so their shared noise drops out of the
    difference.

    Args:
        rounds: the log, weighed for the other policy.
        estimator: as in `policy_value`.
        threshold: as in `policy_value`.
        alpha: two-sided error.

    Raises:
        StatisticsError: as `policy_value`.
    """
    level = check_open("alpha", alpha)
    top, bottom = _columns(rounds, estimator, threshold)
    value, pull = _value(top, bottom)
    logged, pull_logged = _value(rounds.reward, np.ones_like(rounds.reward))
    # The difference of the pulls keeps the covariance of the two values.
    noise = _noise(rounds, pull - pull_logged)
    estimate, spread = value - logged, np.sqrt(noise.standard_error2)
    df = noise.count - 1
    half = student_quantile(level / 2, df) * spread
    status, shown = _verdict(rounds.overlap, estimate, half, noise)
    p_value = 2 * student_tail(np.abs(divide(estimate, spread)), df)
    return Comparison(
        estimate=estimate,
        standard_error=np.where(shown, spread, np.nan),
        lower=np.where(shown, estimate - half, np.nan),
        upper=np.where(shown, estimate + half, np.nan),
        p_value=np.where(shown, p_value, np.nan),
        degrees_of_freedom=df,
        status=status,
        method=_NAMES[estimator] + ", against the log",
        scale="absolute",
        alpha=level,
    )


def _share_shape(result: object, *names: str) -> None:
    arrays = broadcast(**{name: getattr(result, name) for name in names})
    for name, array in zip(names, arrays, strict=True):
        object.__setattr__(result, name, array)


def _columns(
    rounds: LoggedRounds, estimator: Estimator, threshold: float | None
) -> tuple[FloatArray, FloatArray]:
    """Return what is summed above and below the line, one row a round."""
    if estimator not in get_args(Estimator):
        raise StatisticsError(
            f"estimator must be one of {', '.join(_NAMES)}, got {estimator!r}"
        )
    default = max(1.0, rounds.weight.shape[-1] ** 0.5)
    limit = check_open(
        "threshold", default if threshold is None else threshold, 0.0, np.inf
    )
    weight, ones = rounds.weight, np.ones_like(rounds.weight)
    if estimator == "clipped":
        weight = np.minimum(weight, limit)
    if estimator == "switch":
        weight = np.where(weight > limit, 0.0, weight)
    if estimator in ("dr", "switch"):
        rest = weight * (rounds.reward - rounds.predicted)
        return rounds.predicted_value + rest, ones
    return weight * rounds.reward, weight if estimator == "snips" else ones


def _value(top: FloatArray, bottom: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sum(top) / sum(bottom), and each round's pull on it (linearised)."""
    value = divide(top.sum(axis=-1), bottom.sum(axis=-1))
    mean = divide(bottom.sum(axis=-1), float(bottom.shape[-1]))
    return value, divide(top - value[..., None] * bottom, mean[..., None])


def _noise(rounds: LoggedRounds, pull: FloatArray) -> Moments:
    """Return moments over units whose mean is that of the pulls over rounds."""
    by_unit = rounds.summed(pull)
    return Moments.from_units(by_unit * divide(by_unit.shape[-1], pull.shape[-1]))


def _verdict(
    overlap: Overlap, estimate: FloatArray, half: FloatArray, noise: Moments
) -> tuple[StatusArray, BoolArray]:
    """Return the status of each cell, and where its interval may be shown."""
    known = np.isfinite(estimate) & np.isfinite(half) & (half > 0)
    fine = np.asarray(overlap.status == Status.OK)
    own = statuses(
        known.shape,
        (~known, Status.DEGENERATE),
        (too_skewed(noise), Status.SKEW_WARNING),
    )
    return np.where(fine, own, overlap.status), np.asarray(fine & known)
