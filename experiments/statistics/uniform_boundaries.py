"""Boundaries that a martingale crosses at any time with probability alpha at most.

The normal mixture (`always_valid`) suits means of many units. For values that are
bounded, counted or heavy on one side before the central limit theorem helps, mixtures
over other families hold exactly: gamma-exponential (sub-gamma, scale c),
gamma-Poisson (sub-Poisson) and beta-binomial (values within [-g, h] of their mean).
Polynomial stitching is a closed form that grows like the law of the iterated logarithm.

Each mixture is a function (s, v) -> log of a supermartingale, where s is the sum of
deviations and v their intrinsic time (variance). `boundary` inverts it.

References:
    Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric,
    nonasymptotic confidence sequences", Annals of Statistics 49(2), theorem 1
    (stitching), propositions 5 to 9 (mixtures).
    Howard, Ramdas, McAuliffe, Sekhon (2020), "Time-uniform Chernoff bounds via
    nonnegative supermartingales", Probability Surveys 17.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    FloatArray,
    as_floats,
    bisect,
    broadcast,
    check_at_least,
    check_open,
    quiet,
)

Mixture: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]
"""Log of the supermartingale at (sum of deviations, intrinsic time)."""

_SMALLEST_SPREAD = 1e-3


def mixture_precision(
    v_opt: float, alpha: float = 0.05, *, one_sided: bool = True
) -> float:
    """Return the precision rho at which a normal mixture is tightest at ``v_opt``.

    Args:
        v_opt: intrinsic time at which the boundary shall be tightest.
        alpha: its error.
        one_sided: for a one-sided boundary, which has twice the alpha on its side.

    Raises:
        StatisticsError: v_opt not positive, or alpha out of (0, 1/2) or (0, 1).
    """
    check_open("v_opt", v_opt, 0.0, np.inf)
    check_open("alpha", alpha, 0.0, 0.5 if one_sided else 1.0)
    log = -2 * np.log(2 * alpha if one_sided else alpha)
    return float(v_opt / (log + np.log1p(log)))


@quiet
def gamma_exponential(v_opt: float, c: float, *, alpha: float = 0.05) -> Mixture:
    """Return the one-sided mixture for sub-gamma deviations of scale ``c``.

    Args:
        v_opt: intrinsic time at which the boundary is tightest.
        c: scale, above 0.
        alpha: error at which it is tightest.

    Raises:
        StatisticsError: an argument out of its range.
    """
    check_open("c", c, 0.0, np.inf)
    rho = mixture_precision(v_opt, alpha) / c**2
    gammainc = scipy.special.gammainc
    start = rho * np.log(rho) - scipy.special.gammaln(rho) - np.log(gammainc(rho, rho))

    def log_mixture(s: FloatArray, v: FloatArray) -> FloatArray:
        shape, rate = v / c**2 + rho, (c * s + v) / c**2 + rho
        grown = scipy.special.gammaln(shape) + np.log(gammainc(shape, rate))
        return np.asarray(start + grown - shape * np.log(rate) + rate - rho)

    return log_mixture


@quiet
def gamma_poisson(v_opt: float, c: float, *, alpha: float = 0.05) -> Mixture:
    """Return the one-sided mixture for sub-Poisson deviations of scale ``c``.

    Args:
        v_opt: intrinsic time at which the boundary is tightest.
        c: scale, above 0.
        alpha: error at which it is tightest.

    Raises:
        StatisticsError: an argument out of its range.
    """
    check_open("c", c, 0.0, np.inf)
    rho = mixture_precision(v_opt, alpha) / c**2
    gammaincc = scipy.special.gammaincc
    start = rho * np.log(rho) - scipy.special.gammaln(rho) - np.log(gammaincc(rho, rho))

    def log_mixture(s: FloatArray, v: FloatArray) -> FloatArray:
        rate = v / c**2 + rho
        shape = s / c + rate
        grown = scipy.special.gammaln(shape) + np.log(gammaincc(shape, rate))
        return np.asarray(start + grown - shape * np.log(rate) + v / c**2)

    return log_mixture


@quiet
def beta_binomial(v_opt: float, g: float, h: float, *, alpha: float = 0.05) -> Mixture:
    """Return the two-sided mixture for deviations within [-g, h].

    Args:
        v_opt: intrinsic time at which the boundary is tightest.
        g: largest fall below the mean.
        h: largest rise above it.
        alpha: error at which it is tightest.

    Raises:
        StatisticsError: an argument out of its range.
    """
    check_open("g", g, 0.0, np.inf)
    check_open("h", h, 0.0, np.inf)
    rho = mixture_precision(v_opt, alpha, one_sided=False)
    spread = max(rho - g * h, _SMALLEST_SPREAD * g * h)
    width = g + h
    up, down = spread / (h * width), spread / (g * width)
    start = scipy.special.betaln(up, down)

    def log_mixture(s: FloatArray, v: FloatArray) -> FloatArray:
        rises, falls = (s + v / h) / width, (v / g - s) / width
        grown = scipy.special.betaln(up + rises, down + falls) - start
        scale = v / (g * h) * np.log(width) - rises * np.log(g) - falls * np.log(h)
        return np.asarray(scale + grown)

    return log_mixture


@quiet
def boundary(mixture: Mixture, v: ArrayLike, *, alpha: ArrayLike = 0.05) -> FloatArray:
    """Return the sum of deviations at which a mixture reaches 1 / alpha.

    Args:
        mixture: from one of the functions above.
        v: intrinsic time, any shape.
        alpha: error over all time.

    Raises:
        StatisticsError: v not positive, alpha out of (0, 1), or shapes that do not fit.
    """
    check_open("v", v, 0.0, np.inf)
    time, error = broadcast(v=v, alpha=check_open("alpha", alpha))
    limit = -np.log(error)
    far = np.sqrt(time)
    for _ in range(64):
        short = mixture(far, time) < limit
        if not short.any():
            break
        far = np.where(short, 2 * far, far)
    return bisect(lambda s: limit - mixture(s, time), np.zeros_like(time), far)


@quiet
def polynomial_stitching(
    v: ArrayLike,
    *,
    alpha: float = 0.05,
    v_min: float,
    c: float = 0.0,
    s: float = 1.4,
    eta: float = 2.0,
) -> FloatArray:
    """Return the stitched boundary (theorem 1): closed form, iterated-logarithm growth.

    Args:
        v: intrinsic time, any shape.
        alpha: error over all time.
        v_min: intrinsic time from which it is tight.
        c: scale of sub-gamma deviations; 0 for sub-Gaussian ones.
        s: how the error is spread over epochs, above 1.
        eta: length of an epoch, above 1.

    Raises:
        StatisticsError: an argument out of its range.
    """
    check_open("alpha", alpha)
    check_open("v_min", v_min, 0.0, np.inf)
    check_at_least("c", c, 0.0)
    check_open("s", s, 1.0, np.inf)
    check_open("eta", eta, 1.0, np.inf)
    time = np.maximum(as_floats("v", v), v_min)
    k1 = (eta**0.25 + eta**-0.25) / np.sqrt(2)
    k2 = (np.sqrt(eta) + 1) / 2
    spent = np.log(scipy.special.zeta(s) / (alpha * np.log(eta) ** s))
    growth = s * np.log(np.log(eta * time / v_min)) + spent
    linear = k2 * c * growth
    return np.asarray(np.sqrt(k1**2 * time * growth + linear**2) + linear)
