"""Which of several variants is best, and what would choosing each one cost?

Effects measured against one control share its noise: a control that happened to do
badly flatters every treatment at once. The joint posterior therefore has one common
factor; given it the effects are independent, so two nested quadratures give every
probability and loss without simulation.

References:
    Dunnett and Sobel (1955), "Approximations to the probability integral and certain
    percentage points of a multivariate analogue of Student's t-distribution",
    Biometrika 42 (one common factor, conditional independence).
    Gelman et al. (2013), "Bayesian data analysis", 3rd edition, 9.1 (expected loss).
    Trefethen and Weideman (2014), "The exponentially convergent trapezoidal rule",
    SIAM Review 56(3).
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.bayesian import (
    FLAT,
    NOT_PEEKING_PROOF,
    NormalPrior,
    direction_sign,
    marked_unusable,
    shortfall,
)
from experiments.statistics.comparison import Comparison, Status, StatusArray, statuses
from experiments.statistics.guardrails import Direction
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    broadcast,
    divide,
    first,
    normal_quantile,
    quiet,
)

_FARTHEST, _FINEST = 7.0, 1 / 64
_STOPS = np.array([-7.0, -3.5, -1.5, 0.0, 1.5, 3.5, 7.0])
_NODE, _NODE_WEIGHT = np.polynomial.legendre.leggauss(8)
_CELLS = 32


@dataclass(frozen=True, slots=True)
class BestVariant:
    """All variants at once; the last axis is the variant, the control first.

    Attributes:
        estimate: posterior mean: of the effect (0 for the control) or, for proportions,
            of the proportion itself.
        standard_error: posterior standard deviation.
        lower: of the equal-tailed credible interval.
        upper: of the credible interval.
        probability_better: than the control; NaN for the control.
        probability_best: of all variants; sums to one.
        expected_loss: mean effect given away by choosing this variant, >= 0.
        relative_loss: the same over the control's value; NaN where it is not known.
        status: of each variant.
        method: prior and procedure.
        label: how not to read it.
    """

    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    probability_better: FloatArray
    probability_best: FloatArray
    expected_loss: FloatArray
    relative_loss: FloatArray
    status: StatusArray
    method: str
    label: str = NOT_PEEKING_PROOF


@quiet
def shared_error(control: Moments, effects: Comparison) -> FloatArray:
    """Return the error that the control's noise alone gives each effect.

    Args:
        control: the control, shape (...).
        effects: of each treatment on it, shape (..., treatment).
    """
    own = np.sqrt(control.standard_error2)[..., None]
    if effects.scale == "absolute":
        return np.broadcast_to(own, effects.estimate.shape)
    mean = control.mean[..., None]
    ratio = np.abs(effects.estimate + np.sign(mean))
    return np.asarray(ratio * divide(own, np.abs(mean)))


@quiet
def best_variant(
    effects: Comparison,
    shared: ArrayLike,
    prior: NormalPrior = FLAT,
    *,
    direction: Direction = "increase",
) -> BestVariant:
    """Compare any number of treatments and their control.

    Args:
        effects: of each treatment on the control, shape (..., treatment).
        shared: part of each effect's error that is the control's (`shared_error`),
            broadcast to the same shape.
        prior: belief about each effect before the data, independent between treatments.
        direction: the good direction of the metric.

    Raises:
        StatisticsError: effects without a treatment axis, a shared error that is
            negative or does not fit, or an unknown direction.
    """
    if effects.estimate.ndim == 0:
        raise StatisticsError("effects must have an axis of treatments, got one cell")
    toward = direction_sign(direction)
    common, estimate, error = broadcast(
        shared=shared, effects=effects.estimate, errors=effects.standard_error
    )
    if (common < 0).any():
        raise StatisticsError(f"shared must be >= 0, got {first(common, common < 0):g}")
    own = error**2 - common**2
    usable = np.isfinite(estimate) & np.isfinite(own) & (own > 0)
    mean, own, common = _updated(estimate, own, common, usable, prior)
    spread = np.sqrt(own**2 + common**2)
    chances, losses = _integrated(toward * mean, own, common)
    half = normal_quantile(effects.alpha / 2) * spread
    better = np.where(usable, scipy.special.ndtr(toward * divide(mean, spread)), np.nan)
    nothing = np.where(usable.any(axis=-1, keepdims=True), 0.0, np.nan)
    known = np.concatenate([nothing == 0, usable], axis=-1)
    loss = np.where(known, losses, np.nan)
    status = marked_unusable(effects.status, usable)
    alone = (nothing != 0, Status.NOT_ENOUGH_DATA)
    status = np.concatenate([statuses(nothing.shape, alone), status], axis=-1)

    def table(control: FloatArray, treatments: FloatArray) -> FloatArray:
        rest = np.where(usable, treatments, np.nan)
        return np.concatenate([control, rest], axis=-1)

    return BestVariant(
        estimate=table(nothing, mean),
        standard_error=table(nothing, spread),
        lower=table(nothing, mean - half),
        upper=table(nothing, mean + half),
        probability_better=table(nothing * np.nan, better),
        probability_best=np.where(known, chances, np.nan),
        expected_loss=loss,
        relative_loss=loss if effects.scale == "relative" else loss * np.nan,
        status=status,
        method=f"Normal posterior, {prior.source}; {effects.method}",
    )


def _updated(
    estimate: FloatArray,
    own: FloatArray,
    common: FloatArray,
    usable: BoolArray,
    prior: NormalPrior,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return posterior mean, own error and factor loading of each effect.

    The data's covariance is diag(own) + common common'; Sherman and Morrison's formula
    keeps that form in the posterior. Unusable effects get a mean of NaN.

    Args:
        estimate: measured effects.
        own: squared errors without the control's.
        common: the control's part of the errors.
        usable: which effects there are.
        prior: belief about each effect.
    """
    weight = np.where(usable, divide(1.0, own), 0.0)
    effect = np.where(usable, estimate, 0.0)
    loading = np.where(usable, common, 0.0)
    total = 1 + (loading**2 * weight).sum(axis=-1, keepdims=True)
    own_after = np.where(usable, 1 / (weight + prior.precision), 0.0)
    kept = loading**2 * weight * prior.precision * own_after
    rest = 1 + kept.sum(axis=-1, keepdims=True)
    factor = own_after * loading * weight / np.sqrt(rest)
    pull = (loading * weight * effect).sum(axis=-1, keepdims=True) / total
    push = weight * (effect - loading * pull) + prior.precision * prior.mean * usable
    mean = own_after * push + factor * (factor * push).sum(axis=-1, keepdims=True)
    return np.where(usable, mean, np.nan), np.sqrt(own_after), factor


def _integrated(
    mean: FloatArray, own: FloatArray, common: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return probabilities to be best and expected losses, the control first.

    Args:
        mean: effects where bigger is better; NaN where there is none.
        own: independent errors.
        common: loadings of the common factor.
    """
    shape = (*mean.shape[:-1], mean.shape[-1] + 1)
    rows = [array.reshape(-1, mean.shape[-1]) for array in (mean, own, common)]
    chances, losses = np.empty((2, rows[0].shape[0], shape[-1]))
    # Blocks bound the memory: every cell has some ten thousand nodes.
    for at in range(0, rows[0].shape[0], _CELLS):
        part = slice(at, at + _CELLS)
        chances[part], losses[part] = _block(*(row[part] for row in rows))
    return chances.reshape(shape), losses.reshape(shape)


def _factor(loading: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return values of the common factor and their weights.

    The trapezoidal rule errs by exp(-2 pi^2 (width / step)^2), here 1e-9, where the
    width is that of the sharpest product of normal curves.

    Args:
        loading: common over own errors, shape (cell, treatment).
    """
    sharpest = (loading**2).sum(axis=-1).max(initial=0.0)
    step = max(1 / np.sqrt(1 + sharpest), _FINEST)
    most = np.ceil(_FARTHEST / step)
    factor = np.arange(-most, most + 1) * step
    weight = np.exp(-(factor**2) / 2)
    return factor, weight / weight.sum()


@quiet
def _block(
    mean: FloatArray, own: FloatArray, common: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Integrate a few cells; arrays are (cell, factor, treatment, panel, node)."""
    usable = ~np.isnan(mean)
    factor, chance = _factor(np.where(usable, divide(common, own), 0.0))
    centre = np.where(usable, mean, 0.0)[:, None] + common[:, None] * factor[:, None]
    width = np.where(usable, own, 1.0)[:, None]
    stops = np.maximum(centre[..., None] + width[..., None] * _STOPS, 0.0)
    stops = np.where(usable[:, None, :, None], stops, 0.0)
    stops = np.sort(stops.reshape(*stops.shape[:2], -1), axis=-1)
    stops = np.concatenate([np.zeros_like(stops[..., :1]), stops], axis=-1)
    half = np.diff(stops, axis=-1)[..., None, :, None] / 2
    point = stops[..., None, :-1, None] + half * (1 + _NODE)
    z = (point - centre[..., None, None]) / width[..., None, None]
    here = usable[:, None, :, None, None]
    log = np.where(here, scipy.special.log_ndtr(z), 0.0)
    others = log.sum(axis=2, keepdims=True) - log
    density = np.exp(others - z * z / 2) / np.sqrt(2 * np.pi) / width[..., None, None]
    missed = -np.expm1(others) * np.exp(log)
    weight = half * _NODE_WEIGHT

    def whole(values: FloatArray) -> FloatArray:
        inner = (values * weight).sum(axis=(-1, -2))
        return np.asarray(np.einsum("f,cfv->cv", chance, inner))

    none_better = scipy.special.log_ndtr(-centre / width)
    none_better = np.exp(np.where(usable[:, None], none_better, 0.0).sum(axis=-1))
    control = chance @ none_better.T
    control_loss = whole(-np.expm1(log.sum(axis=2, keepdims=True)))
    spread = np.sqrt(own**2 + common**2)
    below = spread * shortfall(divide(mean, spread))
    chances = np.concatenate([control[:, None], whole(density)], axis=-1)
    return chances, np.concatenate([control_loss, below + whole(missed)], axis=-1)
