"""Dunnett: several treatments against one control, at one overall error.

All comparisons share the control's noise, so they are correlated, and Bonferroni asks
for more than is needed. The largest of correlated t statistics has a distribution that
depends only on how much of each comparison's noise is the control's; it is computed by
quadrature (no simulation: the same data give the same figures) from the arms' actual
sizes and variances.

By default each comparison keeps its own standard error and Welch's degrees of freedom,
because variants often change a metric's variance; with a pooled variance the result is
Dunnett's own.

References:
    Dunnett (1955), "A multiple comparison procedure for comparing several treatments
    with a control", JASA 50, equations 2 to 5.
    Hsu (1996), "Multiple Comparisons: Theory and Methods", 3.1 (unequal sizes).
    Hasler and Hothorn (2008), "Multiple contrast tests in the presence of
    heteroscedasticity", Biometrical Journal 50 (a df for each comparison).
    Trefethen and Weideman (2014), "The exponentially convergent trapezoidal rule", SIAM
    Review 56(3), section 5.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.means import welch
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    broadcast,
    check_open,
    divide,
    quiet,
    student_quantile,
    student_tail,
)

_STEP = 0.95
"""Distance of nodes in standard deviations: the trapezoidal rule errs by 1e-7."""
_REACH = 6.0
"""Standard deviations covered beyond the mass: what is left out is 1e-8 of it."""
_MOST_NODES = 240
_ROUNDS = 12
_CELLS_AT_ONCE = 500


@quiet
def largest_tail(critical: ArrayLike, shared: ArrayLike, df: ArrayLike) -> FloatArray:
    """Return P(max |T_j| > critical) for t statistics that share one control.

    Args:
        critical: at least 0, shape (...).
        shared: share of each comparison's variance that is the control's, in [0, 1],
            shape (..., comparison); NaN marks a comparison that does not take part.
        df: degrees of freedom, shape (...); inf for normal statistics.
    """
    share = np.asarray(shared, dtype=np.float64)
    c, freedom, _ = broadcast(critical=critical, df=df, shared=share[..., 0])
    rows = np.broadcast_to(share, (*c.shape, share.shape[-1])).reshape(
        -1, share.shape[-1]
    )
    # Beyond 1e100 every tail is 0, and an infinite range has no nodes.
    flat_c, flat_df = np.minimum(c, 1e100).ravel(), freedom.ravel()
    result = np.empty(flat_c.shape)
    # In slices, so that the nodes of many cells fit into memory.
    for start in range(0, flat_c.size, _CELLS_AT_ONCE):
        part = slice(start, start + _CELLS_AT_ONCE)
        result[part] = _tail(flat_c[part], rows[part], flat_df[part])
    return result.reshape(c.shape)


@quiet
def many_to_one_p(p_values: ArrayLike, shared: ArrayLike, df: ArrayLike) -> FloatArray:
    """Return Dunnett's p-values from those of the single comparisons.

    Args:
        p_values: two-sided, shape (..., comparison); NaN is not counted.
        shared: share of each comparison's variance that is the control's.
        df: degrees of freedom of each comparison; inf for normal statistics.
    """
    p, share, freedom = broadcast(p_values=p_values, shared=shared, df=df)
    known = ~np.isnan(p) & ~np.isnan(share) & (freedom > 0)
    taking_part = np.where(known, share, np.nan)[..., None, :]
    t = np.where(p > 0, student_quantile(p / 2, freedom), np.inf)
    t = np.where(known, t, 0.0)
    tail = largest_tail(t, taking_part, np.where(known, freedom, np.inf))
    # It cannot be below the single p-value, nor above Bonferroni's.
    most = np.minimum((~np.isnan(p)).sum(axis=-1, keepdims=True) * p, 1.0)
    return np.where(known, np.clip(tail, p, most), most)


@quiet
def levels(alpha: ArrayLike, shared: ArrayLike, df: ArrayLike) -> FloatArray:
    """Return the two-sided level each comparison may use, so that all err at alpha.

    Args:
        alpha: overall two-sided error.
        shared: share of each comparison's variance that is the control's, shape
            (..., comparison); NaN is not counted.
        df: degrees of freedom of each comparison.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    overall = check_open("alpha", alpha)[..., None]
    share, freedom = broadcast(shared=shared, df=df)
    known = ~np.isnan(share) & (freedom > 0)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    taking_part = np.where(known, share, np.nan)[..., None, :]
    nu = np.where(known, freedom, np.inf)
    low = student_quantile(overall / 2, nu)
    high = student_quantile(overall / 2 / count, nu)
    target = np.log(overall) + np.zeros_like(nu)

    def excess(critical: FloatArray) -> FloatArray:
        return np.asarray(np.log(largest_tail(critical, taking_part, nu)) - target)

    # Secants from the two ends between which the truth lies: no correction, and
    # Bonferroni's. The logarithm of the tail is all but straight there.
    before, at_before, now = low, excess(low), high
    for _ in range(_ROUNDS):
        at_now = excess(now)
        step = divide(at_now * (now - before), at_now - at_before)
        following = np.clip(now - np.where(np.isfinite(step), step, 0.0), low, high)
        if np.nanmax(np.abs(following - now), initial=0.0) < 1e-9:
            break
        before, at_before, now = now, at_now, following
    level = np.clip(2 * student_tail(now, nu), overall / count, overall)
    return np.where(known, level, np.nan)


@quiet
def dunnett(
    arms: Moments,
    *,
    control: int = 0,
    alpha: ArrayLike = 0.05,
    variances: Literal["separate", "pooled"] = "separate",
) -> Comparison:
    """Compare every treatment's mean with the control's; all intervals hold together.

    Args:
        arms: shape (..., arm) with at least two arms.
        control: index of the control.
        alpha: two-sided error over all comparisons of a cell.
        variances: of each arm its own (Welch), or one for all (Dunnett 1955).

    Returns:
        Shape (..., arm - 1): the treatments in order, with adjusted p-values and
        simultaneous intervals of the same procedure.

    Raises:
        StatisticsError: no arm axis, fewer than two arms, alpha out of (0, 1), or an
            unknown kind of variance.
    """
    if arms.count.ndim < 1 or arms.count.shape[-1] < 2:
        raise StatisticsError(
            f"arms must have shape (..., arm) of at least 2, got {arms.count.shape}"
        )
    if variances not in ("separate", "pooled"):
        raise StatisticsError(
            f"variances must be 'separate' or 'pooled', got {variances!r}"
        )
    order = [control, *(i for i in range(arms.count.shape[-1]) if i != control)]
    count, mean, m2 = (x[..., order] for x in (arms.count, arms.mean, arms.m2))
    cells = Moments(count, mean, m2, arms.m3[..., order])
    single = welch(cells[..., :1], cells[..., 1:], alpha=alpha)
    noise = cells.standard_error2
    if variances == "pooled":
        single, noise = _pooled(cells, single)
    share = divide(noise[..., :1], noise[..., :1] + noise[..., 1:])
    return many_to_one(single, share)


@quiet
def many_to_one(single: Comparison, shared: ArrayLike) -> Comparison:
    """Adjust t comparisons with one control so that they hold together.

    Args:
        single: absolute comparisons, shape (..., comparison), whose interval is
            estimate -+ t quantile times standard error (means, ratios, adjusted means).
        shared: share of each comparison's squared standard error that is the control's.
    """
    share = np.where(np.isnan(single.p_value), np.nan, shared)
    df = single.degrees_of_freedom
    level = levels(single.alpha[..., 0], share, df)
    half = student_quantile(level / 2, df) * single.standard_error
    p_value = many_to_one_p(single.p_value, share, df)
    usable = np.isin(single.status.astype(str), [Status.OK, Status.SKEW_WARNING])
    unknown = ~np.isfinite(single.estimate + half + p_value)
    return replace(
        single,
        lower=single.estimate - half,
        upper=single.estimate + half,
        p_value=p_value,
        status=np.where(usable & unknown, Status.DEGENERATE, single.status),
        method="Dunnett, " + single.method,
    )


@quiet
def _pooled(cells: Moments, single: Comparison) -> tuple[Comparison, FloatArray]:
    """Return the comparisons and squared errors of the means with one variance."""
    df = (np.maximum(cells.count - 1, 0)).sum(axis=-1, keepdims=True)
    variance = divide(cells.m2.sum(axis=-1, keepdims=True), df)
    noise = divide(variance, cells.count)
    error = np.sqrt(noise[..., :1] + noise[..., 1:])
    p_value = 2 * student_tail(np.abs(divide(single.estimate, error)), df)
    comparison = replace(
        single,
        standard_error=error,
        p_value=np.where((error == 0) & (single.estimate == 0), 1.0, p_value),
        degrees_of_freedom=df,
        method="pooled t",
    )
    return comparison, noise


def _tail(critical: FloatArray, shared: FloatArray, df: FloatArray) -> FloatArray:
    """Average the normal tail over the scale of t, cell by cell."""
    scale, weight = _scales(critical, df)
    y = critical[:, None] * scale
    # The tail is even in the control's deviation x: half the line is enough.
    reach = y[..., None] + _REACH
    own = np.sqrt(np.maximum(1 - shared, 1e-12))
    x = np.linspace(0.0, 1.0, _nodes(reach / np.nanmin(own, initial=1.0))) * reach
    log_inside = np.zeros_like(x)
    for j in range(shared.shape[-1]):
        rho = shared[:, j, None, None]
        load, spread = np.sqrt(rho), own[:, j, None, None]
        beyond = scipy.special.ndtr((load * x - y[..., None]) / spread)
        beyond += scipy.special.ndtr((-load * x - y[..., None]) / spread)
        log_inside += np.where(np.isnan(rho), 0.0, np.log1p(-np.minimum(beyond, 1.0)))
    density = np.exp(-0.5 * x * x)
    density[..., 0] /= 2
    tail = (-np.expm1(log_inside) * density).sum(axis=-1) * (x[..., 1] - x[..., 0])
    tail *= np.sqrt(2 / np.pi)
    return np.asarray(np.minimum((tail * weight).sum(axis=-1), 1.0))


def _scales(critical: FloatArray, df: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return nodes of s = sqrt(chi-square / df) and weights, shape (cell, node).

    The nodes are even in log s, from where the tail beyond ``critical`` gathers its
    mass to where s itself does.
    """
    nu = np.minimum(df, 1e12)[:, None]
    deviation = 1 / np.sqrt(2 * nu)
    low = -0.5 * np.log1p(critical[:, None] ** 2 / nu)
    low -= _REACH * deviation + 15 / nu
    width = _REACH * deviation - low
    log_s = (
        low + np.linspace(0.0, 1.0, _nodes(width / np.minimum(deviation, 0.18))) * width
    )
    log_density = nu * (log_s - np.expm1(2 * log_s) / 2)
    weight = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
    return np.exp(log_s), weight / weight.sum(axis=-1, keepdims=True)


def _nodes(width: FloatArray) -> int:
    """Return how many nodes the widest range needs, in standard deviations."""
    return (
        int(np.clip(np.ceil(np.nanmax(width, initial=0.0) / _STEP), 8, _MOST_NODES)) + 1
    )
