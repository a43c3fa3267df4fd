"""How to send more traffic to the better variants while an experiment runs.

After each period (epoch) the shares of the next one are set from the probability that
each variant is the best. Thompson sampling uses those probabilities as shares; top-two
keeps half of the traffic for the runners-up, so that it learns which variant is best in
far fewer units, and is the default. A floor keeps every variant alive.

The data must then be analysed by epoch (`epochs`): variants with changing shares saw
different days, and pooling all units mistakes a good day for a good variant.

References:
    Thompson (1933), Biometrika 25. Russo (2016), "Simple Bayesian algorithms for best
    arm identification", COLT, section 3.2 (top-two).
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import (
    Status,
    StatusArray,
    statuses,
)
from experiments.statistics.guardrails import Direction
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    broadcast,
    check_at_least,
    check_open,
    divide,
    quiet,
)

Rule: TypeAlias = Literal["top_two", "thompson"]

TOP_SHARE = 0.5
"""Share top-two gives to the draw of the best; one half is near the optimum."""
_GRID = np.array([-9.0, -7, -5.5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5.5, 7, 9])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_SURE = 1e-9


@dataclass(frozen=True, slots=True)
class Allocation:
    """Shares of the next epoch; arrays have shape (..., arm) but the status (...).

    Attributes:
        shares: share of the traffic of each arm; they sum to 1.
        probability_best: probability that each arm is the best; NaN where not known.
        status: `OK`, or why the shares are equal.
        method: the rule, as shown to the analyst.
    """

    shares: FloatArray
    probability_best: FloatArray
    status: StatusArray
    method: str


@quiet
def probability_best(
    mean: ArrayLike, standard_error: ArrayLike, *, direction: Direction = "increase"
) -> FloatArray:
    """Return the probability that each arm is the best, by quadrature.

    The arms are independent normal N(mean, standard_error^2). The integral of "this arm
    is at x and all others are worse" is cut at every arm's own grid, so an arm known a
    thousand times better than another loses no digits (absolute error below 1e-12).

    Args:
        mean: posterior means, shape (..., arm).
        standard_error: posterior standard deviations, above 0.
        direction: the good direction of the metric.

    Returns:
        Shape (..., arm); NaN in cells with an undefined or zero standard error.

    Raises:
        StatisticsError: fewer than two arms, or an unknown direction.
    """
    toward = _toward(direction)
    m, s = broadcast(mean=mean, standard_error=standard_error)
    if m.ndim == 0 or m.shape[-1] < 2:
        raise StatisticsError(f"mean must have shape (..., arm >= 2), got {m.shape}")
    usable = (np.isfinite(m) & np.isfinite(s) & (s > 0)).all(axis=-1, keepdims=True)
    # Centred and scaled, so that any metric fits the same grid.
    centre = np.where(usable, m.mean(axis=-1, keepdims=True), 0.0)
    scale = np.where(usable, s.max(axis=-1, keepdims=True), 1.0)
    m = np.where(usable, toward * (m - centre) / scale, 0.0)
    s = np.where(usable, s / scale, 1.0)
    cuts = m[..., None] + s[..., None] * _GRID
    cuts = np.sort(cuts.reshape(*m.shape[:-1], -1), axis=-1)
    half = np.diff(cuts)[..., None] / 2
    x = ((cuts[..., 1:] + cuts[..., :-1])[..., None] / 2 + half * _NODES)[..., None]
    z = (x - m[..., None, None, :]) / s[..., None, None, :]
    below = scipy.special.ndtr(z)
    density = np.exp(-0.5 * z * z) / (np.sqrt(2 * np.pi) * s[..., None, None, :])
    worse = _product_of_others(below)
    chances = (density * worse * (half * _WEIGHTS)[..., None]).sum(axis=(-3, -2))
    chances = chances / chances.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(usable, chances, np.nan))


@quiet
def allocate(
    arms: Moments,
    *,
    rule: Rule = "top_two",
    direction: Direction = "increase",
    floor: float = 0.05,
) -> Allocation:
    """Return the shares of the next epoch.

    Args:
        arms: moments of each arm so far, shape (..., arm). For a mean over epochs pass
            `by_epoch` of each, which a change over time cannot bias.
        rule: how probabilities become shares.
        direction: the good direction of the metric.
        floor: share every arm keeps; at ``arms * floor >= 1`` the shares are equal.

    Raises:
        StatisticsError: fewer than two arms, an unknown rule or direction, or a floor
            out of [0, 1).
    """
    if rule not in get_args(Rule):
        raise StatisticsError(f"rule must be one of {get_args(Rule)}, got {rule!r}")
    check_at_least("floor", floor, 0)
    check_open("floor", floor, -1.0, 1.0)
    error = np.sqrt(arms.standard_error2)
    best = probability_best(arms.mean, error, direction=direction)
    count = best.shape[-1]
    known = np.asarray(np.isfinite(best).all(axis=-1))
    wanted = best
    if rule == "top_two":
        wanted = _top_two(best, _toward(direction) * arms.mean, error)
    spare = 1 - count * floor
    shares = floor + spare * wanted if spare > 0 else np.full(best.shape, 1 / count)
    shares = np.where(known[..., None], shares, 1 / count)
    few = np.asarray((arms.count < 2).any(axis=-1))
    return Allocation(
        shares=np.asarray(shares),
        probability_best=best,
        status=statuses(
            known.shape,
            (few, Status.NOT_ENOUGH_DATA),
            (~known, Status.DEGENERATE),
        ),
        method="Top-two Thompson" if rule == "top_two" else "Thompson",
    )


def _toward(direction: Direction) -> float:
    if direction not in get_args(Direction):
        raise StatisticsError(
            f"direction must be 'increase' or 'decrease', got {direction!r}"
        )
    return 1.0 if direction == "increase" else -1.0


def _product_of_others(values: FloatArray) -> FloatArray:
    """Return, for each place on the last axis, the product of all other places."""
    one = np.ones_like(values[..., :1])
    left = np.cumprod(np.concatenate([one, values[..., :-1]], axis=-1), axis=-1)
    right = np.concatenate([values[..., 1:], one], axis=-1)
    return np.asarray(left * np.cumprod(right[..., ::-1], axis=-1)[..., ::-1])


def _top_two(best: FloatArray, mean: FloatArray, error: FloatArray) -> FloatArray:
    """Return top-two's shares: a draw of the best, else the best of the others."""
    # rest[..., j]: probability that j is not the best; summed, as 1 - p would cancel.
    apart = ~np.eye(best.shape[-1], dtype=bool)
    rest = (best[..., None, :] * apart).sum(axis=-1)
    # Row j: shares of the challengers of j. When j is best beyond doubt their own
    # probabilities are rounding, and how far each is from beating j decides.
    gap = mean[..., None, :] - mean[..., :, None]
    spread = np.hypot(error[..., None, :], error[..., :, None])
    chance = np.where(apart, scipy.special.log_ndtr(gap / spread), -np.inf)
    chance = np.exp(chance - chance.max(axis=-1, keepdims=True))
    chance = chance / chance.sum(axis=-1, keepdims=True)
    ratio = divide(best[..., None, :] * apart, rest[..., None])
    challenger = np.where(rest[..., None] > _SURE, ratio, chance)
    second = (best[..., None] * challenger).sum(axis=-2)
    return np.asarray(TOP_SHARE * best + (1 - TOP_SHARE) * second)
