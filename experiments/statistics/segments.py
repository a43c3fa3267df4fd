"""Segments: does the effect differ between countries, devices, new and old shoppers?

Looking at many segments finds differences that are not there, so three guards stand
beside the plain effects: one test of "the effect is the same everywhere" (Cochran's Q,
with I2, the share of the spread that is more than noise); effects pulled towards their
common mean as far as that spread is noise (random effects); and p-values adjusted for
all the segments looked at (Benjamini-Hochberg). Shrunken intervals allow for mean and
spread being learnt from the same few segments: without that, 95 % intervals of 4 to 20
segments covered 84 to 97 % in simulation, with it 94 % and more. The answer is labelled
exploratory: a segment found this way deserves an experiment of its own, not a decision.

References:
    Cochran (1954), "The combination of estimates from different experiments",
    Biometrics 10(1). Higgins and Thompson (2002), "Quantifying heterogeneity in a
    meta-analysis", Statistics in Medicine 21 (I2).
    DerSimonian and Laird (1986), "Meta-analysis in clinical trials", Controlled
    Clinical Trials 7, equations 8 and 9. Paule and Mandel (1982), "Consensus values and
    weighting factors", Journal of Research of the NBS 87(5).
    Morris (1983), "Parametric empirical Bayes inference: theory and applications", JASA
    78(381), equations 1.16 to 1.19 (shrinkage and its intervals).
    Benjamini and Hochberg (1995), JRSS B 57(1).
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
from experiments.statistics.multiplicity import benjamini_hochberg
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    bisect,
    broadcast,
    check_at_least,
    divide,
    normal_quantile,
    quiet,
)

BetweenMethod: TypeAlias = Literal["dersimonian_laird", "paule_mandel"]

FEWEST_UNITS = 100
"""Units the smaller variant of a segment needs; below, normal errors are guesses."""


@dataclass(frozen=True, slots=True)
class RandomEffects:
    """Several estimates of one kind of effect, combined over the last axis.

    Attributes:
        mean: the mean effect over the population of effects.
        standard_error: of the mean.
        between: variance of the true effects (tau squared).
        q: Cochran's statistic, chi-square with ``degrees_of_freedom`` if all are equal.
        degrees_of_freedom: usable estimates minus one.
        p_value: of "all true effects are equal"; NaN below two estimates.
        i2: share of the spread that is more than noise, in [0, 1].
        method: how ``between`` was estimated.
    """

    mean: FloatArray
    standard_error: FloatArray
    between: FloatArray
    q: FloatArray
    degrees_of_freedom: FloatArray
    p_value: FloatArray
    i2: FloatArray
    method: str

    def __post_init__(self) -> None:
        """Give every array the shape of the tables."""
        arrays = broadcast(**{name: getattr(self, name) for name in _FIGURES})
        for name, array in zip(_FIGURES, arrays, strict=True):
            object.__setattr__(self, name, array)


_FIGURES = (
    "mean",
    "standard_error",
    "between",
    "q",
    "degrees_of_freedom",
    "p_value",
    "i2",
)


@quiet
def random_effects(
    estimates: ArrayLike,
    standard_errors: ArrayLike,
    *,
    between: BetweenMethod = "dersimonian_laird",
) -> RandomEffects:
    """Combine estimates along the last axis; unknown or error-free ones are left out.

    Args:
        estimates: shape (..., estimate).
        standard_errors: the same shape.
        between: estimator of the variance of the true effects. DerSimonian-Laird has a
            closed form; Paule-Mandel solves for it and is nearer when segments differ
            much in size.

    Raises:
        StatisticsError: shapes that do not fit, or an unknown estimator.
    """
    if between not in {"dersimonian_laird", "paule_mandel"}:
        raise StatisticsError(
            f'between must be "dersimonian_laird" or "paule_mandel", got {between!r}'
        )
    effect, error = broadcast(estimates=estimates, standard_errors=standard_errors)
    usable = np.isfinite(effect) & np.isfinite(error) & (error > 0)
    effect, noise = np.where(usable, effect, 0.0), np.where(usable, error**2, np.inf)
    count = usable.sum(axis=-1)
    _, weight = _pooled(effect, noise, np.zeros(count.shape))
    q = _spread(effect, noise, np.zeros(count.shape))
    df = np.where(count > 0, count - 1.0, np.nan)
    if between == "dersimonian_laird":
        total = weight.sum(axis=-1)
        scale = total - divide((weight**2).sum(axis=-1), total)
        tau2 = np.maximum(divide(q - df, scale), 0.0)
    else:
        centre = divide(effect.sum(axis=-1), count)
        away = np.where(usable, (effect - centre[..., None]) ** 2, 0.0).sum(axis=-1)
        most = divide(away, df)
        tau2 = bisect(
            lambda at: _spread(effect, noise, at) - df, np.zeros_like(most), most
        )
        tau2 = np.where(q > df, tau2, 0.0)
    tau2 = np.where(df == 0, 0.0, tau2)
    mean, weight = _pooled(effect, noise, tau2)
    several = df > 0
    return RandomEffects(
        mean=mean,
        standard_error=np.sqrt(divide(1.0, weight.sum(axis=-1))),
        between=tau2,
        q=np.where(several, q, np.nan),
        degrees_of_freedom=df,
        p_value=np.where(several, scipy.special.chdtrc(df, q), np.nan),
        i2=np.where(several, np.where(q > df, 1 - divide(df, q), 0.0), np.nan),
        method="Paule-Mandel" if between == "paule_mandel" else "DerSimonian-Laird",
    )


def _pooled(
    effect: FloatArray, noise: FloatArray, tau2: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the weighted mean and the weights; an infinite noise has none."""
    weight = divide(1.0, noise + tau2[..., None])
    return divide((weight * effect).sum(axis=-1), weight.sum(axis=-1)), weight


def _spread(effect: FloatArray, noise: FloatArray, tau2: FloatArray) -> FloatArray:
    """Return the weighted squares around the weighted mean."""
    mean, weight = _pooled(effect, noise, tau2)
    return np.asarray((weight * (effect - mean[..., None]) ** 2).sum(axis=-1))


@dataclass(frozen=True, slots=True)
class SegmentEffects:
    """Effects by segment with their guards; segments lie along the last axis.

    Attributes:
        estimate: plain effect, shape (..., segment).
        standard_error: of the plain effect.
        lower: of the plain interval.
        upper: of the plain interval.
        p_value: of the plain effect.
        adjusted_p_value: adjusted over the whole table, all metrics and segments.
        shrunken: effect pulled towards the mean over segments.
        shrunken_error: of the shrunken effect.
        shrunken_lower: of its interval, at the same level.
        shrunken_upper: of its interval.
        heterogeneity: the test that the effect is one, shape (...).
        status: of each segment.
        method: the procedure.
        scale: absolute or relative.
        label: how to read it; always "exploratory".
    """

    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    p_value: FloatArray
    adjusted_p_value: FloatArray
    shrunken: FloatArray
    shrunken_error: FloatArray
    shrunken_lower: FloatArray
    shrunken_upper: FloatArray
    heterogeneity: RandomEffects
    status: StatusArray
    method: str
    scale: Scale
    label: str = "exploratory"


def _shrunken(
    effect: FloatArray, error: FloatArray, pool: RandomEffects
) -> tuple[FloatArray, FloatArray]:
    """Return effects pulled towards their mean, and their variances (Morris).

    Mean and spread are themselves learnt from the segments, so less is taken off and
    more doubt is left than if they were known; with three segments or fewer nothing is.
    """
    count = pool.degrees_of_freedom[..., None] + 1
    learnt = np.where(count > 3, divide(count - 3, count - 1), 0.0)
    taken = learnt * divide(error**2, error**2 + pool.between[..., None])
    away = taken * (effect - pool.mean[..., None])
    doubt = np.where(count > 3, divide(2.0, count - 3), 0.0) * away**2
    return effect - away, error**2 * (1 - divide(count - 1, count) * taken) + doubt


@quiet
def by_segment(
    effects: Comparison,
    *,
    units: ArrayLike | None = None,
    fewest_units: float = FEWEST_UNITS,
    between: BetweenMethod = "dersimonian_laird",
) -> SegmentEffects:
    """Guard the effects of one table of segments.

    Args:
        effects: any comparison whose last axis is the segment, e.g. (metric, segment).
            Segments must not overlap: the test and the shrinkage need that.
        units: of the smaller variant in each cell; None when not known.
        fewest_units: below that many the cell is marked as not enough data.
        between: estimator of the variance of the true effects.

    Raises:
        StatisticsError: a table without a segment axis, units that do not fit.
    """
    if effects.estimate.ndim == 0:
        raise StatisticsError("effects must have an axis of segments, got one cell")
    status = effects.status
    if units is not None:
        known = check_at_least("units", units, 0)
        few, _ = broadcast(units=known < fewest_units, effects=effects.estimate)
        status = status.copy()
        status[few > 0] = Status.NOT_ENOUGH_DATA
    shown = np.isin(status.astype(str), [Status.OK, Status.SKEW_WARNING])
    effect, error, lower, upper, p_value = (
        np.where(shown, array, np.nan)
        for array in (
            effects.estimate,
            effects.standard_error,
            effects.lower,
            effects.upper,
            effects.p_value,
        )
    )
    pool = random_effects(effect, error, between=between)
    shrunken, variance = _shrunken(effect, error, pool)
    half = normal_quantile(effects.alpha / 2) * np.sqrt(variance)
    return SegmentEffects(
        estimate=effect,
        standard_error=error,
        lower=lower,
        upper=upper,
        p_value=p_value,
        adjusted_p_value=benjamini_hochberg(p_value),
        shrunken=shrunken,
        shrunken_error=np.sqrt(variance),
        shrunken_lower=shrunken - half,
        shrunken_upper=shrunken + half,
        heterogeneity=pool,
        status=status,
        method=f"{effects.method}; {pool.method}, Benjamini-Hochberg",
        scale=effects.scale,
    )
