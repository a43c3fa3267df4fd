"""How large is a past winner's effect really?

Experiments are shipped because their estimates were high, so those estimates are too
high on average: the winner's curse. `shrunk` pulls an estimate towards zero as far as
the spread of all past experiments says that estimates of its precision usually must be;
it is the default, since it needs no story about how the winner was picked.
`given_selection` asks instead which effect makes the estimate likely *among estimates
that pass the test*; it needs no past experiments, only the threshold. Neither is ever
larger in size than the raw estimate, and neither changes its sign.

The prior is centred on zero: most changes do next to nothing, and a prior that favoured
one direction could raise an estimate.

References:
    Efron (2011), "Tweedie's formula and selection bias", JASA 106(496) (posterior means
    need no correction for selection).
    Morris (1983), "Parametric empirical Bayes inference: theory and applications", JASA
    78(381), equations 1.16 to 1.19 (intervals that allow for the estimated prior).
    Paule, Mandel (1982), Journal of Research of the NBS 87(5) (spread of effects).
    Zhong, Prentice (2008), "Bias-reduced estimators and confidence intervals for odds
    ratios in genome-wide association studies", Biostatistics 9(4), section 2.
    Lee, Shen (2018), "Winner's curse: bias estimation for total effects of features in
    online controlled experiments", KDD.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.comparison import Status, StatusArray, statuses
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    bisect,
    broadcast,
    check_open,
    divide,
    normal_quantile,
    quiet,
)

SMALLEST_HISTORY = 5
"""Past experiments from which a prior may be learnt; Morris needs 3, noise more."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """An effect corrected for having been selected; arrays have the cells' shape.

    Attributes:
        estimate: corrected effect; never larger in size than the raw one.
        standard_error: of the estimate; NaN where the method has none.
        lower: lower end of the interval.
        upper: upper end of the interval.
        kept: corrected over raw estimate, 0 to 1; 1 is no correction.
        status: what can be said of the cell.
        method: the procedure, as shown to the analyst.
        alpha: the interval covers 1 - alpha.
    """

    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    kept: FloatArray
    status: StatusArray
    method: str
    alpha: FloatArray


@dataclass(frozen=True, slots=True)
class Prior:
    """What past experiments say of the effects one may expect.

    Attributes:
        variance: of the true effects around zero, in the metric's unit squared.
        experiments: number of past experiments it was learnt from; inf if stated.
    """

    variance: float
    experiments: float = np.inf


@quiet
def prior_from(estimates: ArrayLike, standard_errors: ArrayLike) -> Prior:
    """Learn the spread of true effects from all past experiments, losers included.

    The spread is the one at which the estimates vary as much as they should (sum of
    e^2 / (s^2 + variance) equals their number); zero when noise explains them all.

    Args:
        estimates: raw estimates of one metric, on one scale, shape (experiment,).
        standard_errors: their standard errors.

    Raises:
        StatisticsError: shapes that differ or are not (experiment,).
    """
    e, s = broadcast(estimates=estimates, standard_errors=standard_errors)
    if e.ndim != 1:
        raise StatisticsError(f"estimates must have shape (experiment,), got {e.shape}")
    known = np.isfinite(e) & np.isfinite(s) & (s > 0)
    e, s = e[known], s[known]
    if not e.size:
        return Prior(0.0, 0.0)
    # In units of the largest estimate, so that any metric fits the bracket.
    unit = float(np.max(np.abs(e))) or 1.0
    e, s = e / unit, s / unit
    variance = bisect(
        lambda v: np.asarray((e**2 / (s**2 + v)).sum() - e.size),
        np.asarray(0.0),
        np.asarray(1.0),
    )
    noise = (e**2 / s**2).sum() <= e.size
    return Prior(0.0 if noise else float(variance) * unit**2, float(e.size))


@quiet
def shrunk(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    prior: Prior,
    *,
    alpha: ArrayLike = 0.05,
) -> Corrected:
    """Shrink an estimate by a normal prior around zero.

    With a prior learnt from few experiments less is taken off and the interval is wider
    (Morris's corrections).

    Args:
        estimate: raw estimates, any shape.
        standard_error: their standard errors.
        prior: spread of the true effects, learnt without these estimates.
        alpha: the interval covers 1 - alpha.

    Raises:
        StatisticsError: alpha out of (0, 1), a negative prior variance, or shapes that
            do not fit.
    """
    error = check_open("alpha", alpha)
    if not prior.variance >= 0:
        raise StatisticsError(f"prior.variance must be >= 0, got {prior.variance:g}")
    e, s, error = broadcast(estimate=estimate, standard_error=standard_error, a=error)
    many = prior.experiments
    learnt = 1.0 if np.isinf(many) else max(many - 2, 0.0) / max(many, 1.0)
    taken = learnt * divide(s**2, s**2 + prior.variance)
    doubt = 0.0 if np.isinf(many) else 2 / max(many - 2, 1.0)
    spread = np.sqrt(s**2 * (1 - taken) + doubt * (taken * e) ** 2)
    centre = (1 - taken) * e
    half = normal_quantile(error / 2) * spread
    few = np.full(e.shape, many < SMALLEST_HISTORY)
    known = np.isfinite(e) & np.isfinite(s) & (s > 0) & (half > 0)
    half = np.where(known & ~few, half, np.nan)
    return Corrected(
        estimate=centre,
        standard_error=spread,
        lower=centre - half,
        upper=centre + half,
        kept=1 - taken,
        status=statuses(
            e.shape,
            (few, Status.NOT_ENOUGH_DATA),
            (~(known & np.isfinite(half)), Status.DEGENERATE),
        ),
        method="Normal prior from past experiments",
        alpha=error,
    )


@quiet
def given_selection(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    *,
    selection_alpha: ArrayLike = 0.05,
    alpha: ArrayLike = 0.05,
) -> Corrected:
    """Correct an estimate for having passed a two-sided test.

    The estimate is the most likely effect given |z| above the threshold; the interval
    is equal-tailed in the same conditional distribution. Near the threshold the
    interval is wide and may hold zero although the test did not: that is the honest
    answer.

    Args:
        estimate: raw estimates, any shape.
        standard_error: their standard errors.
        selection_alpha: two-sided level of the test that the winner passed.
        alpha: the interval covers 1 - alpha.

    Raises:
        StatisticsError: a level out of (0, 1), or shapes that do not fit.
    """
    error = check_open("alpha", alpha)
    e, s, cut, error = broadcast(
        estimate=estimate,
        standard_error=standard_error,
        cut=normal_quantile(check_open("selection_alpha", selection_alpha) / 2),
        a=error,
    )
    raw = divide(e, np.where(s > 0, s, np.nan))
    z = np.abs(raw)
    known = np.isfinite(z)
    chosen = known & (z > cut)
    z = np.where(chosen, z, cut + 1.0)
    zero, far = np.zeros_like(z), np.full_like(z, 40.0)
    likely = bisect(lambda d: z - _mean_selected(d, cut), zero, z)
    low = bisect(lambda d: error / 2 - _tail_selected(z, d, cut), -far - z, z)
    high = bisect(lambda d: 1 - error / 2 - _tail_selected(z, d, cut), -z, z + far)
    sign = np.where(raw < 0, -1.0, 1.0)
    ends = np.sort(np.stack([sign * low, sign * high]), axis=0)
    missing = np.where(chosen, 1.0, np.nan)
    return Corrected(
        estimate=missing * sign * likely * s,
        standard_error=np.full(z.shape, np.nan),
        lower=missing * ends[0] * s,
        upper=missing * ends[1] * s,
        kept=missing * likely / z,
        status=statuses(
            z.shape,
            (np.asarray(~known), Status.DEGENERATE),
            (np.asarray(~chosen), Status.NOT_SELECTED),
        ),
        method="Given that the test was passed",
        alpha=error,
    )


def _mean_selected(d: FloatArray, cut: FloatArray) -> FloatArray:
    """Return E(Z) given |Z| > cut, Z normal with mean d >= 0."""
    above = np.exp(-0.5 * (cut - d) ** 2) / np.sqrt(2 * np.pi)
    below = np.exp(-0.5 * (cut + d) ** 2) / np.sqrt(2 * np.pi)
    chance = scipy.special.ndtr(d - cut) + scipy.special.ndtr(-d - cut)
    return np.asarray(d + (above - below) / chance)


def _tail_selected(z: FloatArray, d: FloatArray, cut: FloatArray) -> FloatArray:
    """Return P(Z > z) given |Z| > cut, for z above the cut; rises with d."""
    passed = np.logaddexp(
        scipy.special.log_ndtr(d - cut), scipy.special.log_ndtr(-d - cut)
    )
    return np.exp(scipy.special.log_ndtr(d - z) - passed)
