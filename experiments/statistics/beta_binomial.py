"""Proportions, the Bayesian way: which variant converts best, and what is at stake?

Each variant's proportion has a Beta prior; uniform by default, since it is worth only
two units and never leaves a variant without events at zero. Probabilities and losses of
any number of variants are one integral over the proportion, done by quadrature.

References:
    Gelman et al. (2013), "Bayesian data analysis", 3rd edition, 2.4.
    Miller (2015), "Formulas for Bayesian A/B testing" (closed forms for two and three
    variants, used in the tests).
    Stucchio (2015), "Bayesian A/B testing at VWO" (expected loss).
"""

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.bayesian import direction_sign
from experiments.statistics.best_variant import BestVariant
from experiments.statistics.comparison import Status, statuses
from experiments.statistics.guardrails import Direction
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    broadcast,
    check_at_least,
    check_open,
    divide,
    first,
    quiet,
)

_TAILS = np.array([1e-14, 1e-9, 1e-5, 1e-3, 0.02, 0.16, 0.5])
_BETWEEN = np.array([-12.0, -8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0, 12.0])
_NODE, _NODE_WEIGHT = np.polynomial.legendre.leggauss(10)
_CELLS = 256
_FARTHEST = 700.0


@quiet
def beta_binomial(
    events: ArrayLike,
    units: ArrayLike,
    *,
    prior: tuple[float, float] = (1.0, 1.0),
    direction: Direction = "increase",
    alpha: float = 0.05,
) -> BestVariant:
    """Compare proportions of any number of variants, the control first.

    Args:
        events: units with the event, shape (..., variant).
        units: all units, the same shape; a variant without any is left out.
        prior: the two parameters of the Beta prior: events and non-events it is worth.
        direction: the good direction of the proportion.
        alpha: the credible intervals cover 1 - alpha.

    Raises:
        StatisticsError: counts negative or above the units, fewer than two variants, a
            prior not above 0, alpha out of (0, 1), or an unknown direction.
    """
    a, b, usable = _posteriors(events, units, prior)
    level = check_open("alpha", alpha)
    # Fewer events are better: the same game with events and non-events exchanged.
    swap = direction_sign(direction) < 0
    chances, over, losses = _integrated(a, b, usable, swap=swap)
    # Over the control's proportion p: E[loss / p] is E[1 / p] times the loss with one
    # event fewer in the control.
    fewer = np.concatenate([a[..., :1] - 1, a[..., 1:]], axis=-1)
    finite = (fewer[..., :1] > 0) & usable[..., :1]
    scaled = _integrated(np.where(fewer > 0, fewer, 1.0), b, usable, swap=swap)[2]
    inverse = divide(a + b - 1, a - 1)[..., :1]
    over[..., 0] = np.nan
    total = a + b

    def shown(array: FloatArray) -> FloatArray:
        return np.where(usable, array, np.nan)

    return BestVariant(
        estimate=shown(a / total),
        standard_error=shown(np.sqrt(a * b / (total + 1)) / total),
        lower=shown(np.asarray(scipy.special.betaincinv(a, b, level / 2), np.float64)),
        upper=shown(np.asarray(scipy.special.betainccinv(a, b, level / 2), np.float64)),
        probability_better=np.where(usable[..., :1], shown(over), np.nan),
        probability_best=shown(chances),
        expected_loss=shown(losses),
        relative_loss=np.where(finite, shown(inverse * scaled), np.nan),
        status=statuses(a.shape, (~usable, Status.NOT_ENOUGH_DATA)),
        method=f"Beta-binomial, prior ({prior[0]:g}, {prior[1]:g})",
    )


def _posteriors(
    events: ArrayLike, units: ArrayLike, prior: tuple[float, float]
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return both parameters of each posterior, and where there is any unit."""
    x, n = broadcast(
        events=check_at_least("events", events, 0),
        units=check_at_least("units", units, 0),
    )
    if x.ndim == 0 or x.shape[-1] < 2:
        raise StatisticsError(
            f"events must hold two variants or more on the last axis, got {x.shape}"
        )
    if (x > n).any():
        raise StatisticsError(
            f"events must be <= units ({first(n, x > n):g}), got {first(x, x > n):g}"
        )
    given = check_open("prior", prior, 0.0, np.inf)
    if given.shape != (2,):
        raise StatisticsError(f"prior must hold two numbers, got {prior!r}")
    return x + given[0], n - x + given[1], np.asarray(n > 0)


def _integrated(
    a: FloatArray, b: FloatArray, usable: BoolArray, *, swap: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return chances to be best and to beat the control, and losses, of each variant.

    Args:
        a: first parameter of each Beta distribution, shape (..., variant).
        b: second parameter.
        usable: which variants take part.
        swap: whether less is better.
    """
    if swap:
        a, b = b, a
    shape, variants = a.shape, a.shape[-1]
    a, b = a.reshape(-1, variants), b.reshape(-1, variants)
    there = usable.reshape(-1, variants)
    found = np.empty((3, len(a), variants))
    # Blocks bound the memory: every cell has some hundred nodes a variant.
    for at in range(0, len(a), _CELLS):
        part = slice(at, at + _CELLS)
        found[:, part] = _block(a[part], b[part], there[part])
    chances, over, losses = found.reshape(3, *shape)
    return chances, over, losses


@quiet
def _block(
    a: FloatArray, b: FloatArray, usable: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Integrate over the logit of the proportion; arrays are (cell, variant, node).

    On the logit scale every density is smooth, whatever the parameters.
    """
    a, b = a[..., None], b[..., None]
    low = scipy.special.logit(scipy.special.betaincinv(a, b, _TAILS))
    high = -scipy.special.logit(scipy.special.betaincinv(b, a, _TAILS[:-1]))
    stops = np.clip(np.concatenate([low, high], axis=-1), -_FARTHEST, _FARTHEST)
    stops = np.where(usable[..., None], stops, stops[..., :1, :1])
    stops = stops.reshape(len(a), -1)
    between = np.clip(_BETWEEN, stops.min(-1)[:, None], stops.max(-1)[:, None])
    stops = np.sort(np.concatenate([stops, between], axis=-1), axis=-1)
    half = np.diff(stops, axis=-1)[..., None] / 2
    at = (stops[:, :-1, None] + half * (1 + _NODE)).reshape(len(a), 1, -1)
    weight = (half * _NODE_WEIGHT).reshape(len(a), 1, -1)
    x, rest = scipy.special.expit(at), scipy.special.expit(-at)
    below, above = scipy.special.betainc(a, b, x), scipy.special.betainc(b, a, rest)
    log = np.where(below > 0.5, np.log1p(-above), np.log(np.maximum(below, 1e-320)))
    log = np.where(usable[..., None], log, 0.0)
    others = log.sum(axis=1, keepdims=True) - log
    # Relative to the mode, so that large parameters lose no digits.
    mode = scipy.special.logit(a / (a + b))
    density = a * (scipy.special.log_expit(at) - scipy.special.log_expit(mode))
    density = np.exp(
        density + b * (scipy.special.log_expit(-at) - scipy.special.log_expit(-mode))
    )
    density = density / (density * weight).sum(axis=-1, keepdims=True)
    chances = (density * np.exp(others) * weight).sum(axis=-1)
    over = (density * np.exp(log[:, :1]) * weight).sum(axis=-1)
    losses = (np.exp(log) * -np.expm1(others) * x * rest * weight).sum(axis=-1)
    return chances, over, losses
