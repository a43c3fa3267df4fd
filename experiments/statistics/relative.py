"""Relative effects: the treatment's lift over the control.

The control's mean is itself an estimate, so dividing an absolute interval by it is too
narrow. Fieller's set is what the absolute test accepts when the control is scaled by
each possible lift; it agrees with the absolute test by construction, for any sign of
the baseline. The two delta forms are kept as options, for comparison with other tools;
each shows the interval and the p-value of its own statistic.

References:
    Fieller (1954), "Some problems in interval estimation", JRSS B 16(2).
    Franz (2007), "Ratios: a short guide to confidence limits and proper use",
    arXiv:0710.2024, section 3.
    Deng, Knoblich, Lu (2018), "Applying the delta method in metric analytics", KDD,
    section 2.1.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import (
    Comparison,
    Level,
    Quantile,
    Status,
    StatusArray,
)
from experiments.statistics.means import welch, welch_df
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    divide,
    quiet,
    student_quantile,
    student_tail,
)

_ROUNDS = 30


@quiet
def fieller(
    control: Moments,
    treatment: Moments,
    *,
    alpha: ArrayLike = 0.05,
    critical: Quantile = None,
) -> Comparison:
    """Compare means as a lift over the size of the control's mean.

    The p-value is Welch's for no difference. Where the control's mean cannot be told
    from zero the set is unbounded: bounds are infinite and the status says so.

    Args:
        control: moments of the control, any shape.
        treatment: moments of the treatment, broadcast against the control.
        alpha: two-sided error over all looks.
        critical: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), or shapes that do not fit.
    """
    absolute = welch(control, treatment, alpha=alpha, quantile=critical)
    level = Level.resolve(alpha, critical)
    u_control, u_treatment = control.standard_error2, treatment.standard_error2
    sign = np.where(control.mean < 0, -1.0, 1.0)

    def quantile_at(lift: FloatArray) -> FloatArray:
        weight = (1 + lift * sign) ** 2
        df = welch_df(weight * u_control, control.count, u_treatment, treatment.count)
        return student_quantile(level.nominal / 2, df)

    return _fieller_from(
        absolute,
        baseline=control.mean,
        variance_baseline=u_control,
        covariance=-u_control,
        quantile_at=quantile_at,
    )


@quiet
def fieller_dependent(
    absolute: Comparison,
    *,
    baseline: FloatArray,
    variance_baseline: FloatArray,
    covariance: FloatArray,
    quantile: Quantile = None,
) -> Comparison:
    """Express any absolute comparison relative to a correlated baseline.

    Used when difference and baseline share noise in another way than two plain arms do,
    for instance a covariate-adjusted difference over the plain control mean.

    Args:
        absolute: the difference with its standard error and degrees of freedom.
        baseline: what the effect is divided by.
        variance_baseline: squared standard error of the baseline.
        covariance: of the difference and the baseline.
        quantile: the same as the absolute comparison was made with.
    """
    level = Level.resolve(absolute.alpha, quantile)
    fixed = student_quantile(level.nominal / 2, absolute.degrees_of_freedom)
    return _fieller_from(
        absolute,
        baseline=baseline,
        variance_baseline=variance_baseline,
        covariance=covariance,
        quantile_at=lambda _lift: fixed,
    )


@quiet
def delta(
    control: Moments,
    treatment: Moments,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare means as a lift by the linear delta method, an option.

    Under-covers on skewed metrics and may disagree with the absolute test.

    Args:
        control: moments of the control, any shape.
        treatment: moments of the treatment, broadcast against the control.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), or shapes that do not fit.
    """
    absolute = welch(control, treatment, alpha=alpha, quantile=quantile)
    level = Level.resolve(alpha, quantile)
    size = np.abs(control.mean)
    lift = divide(absolute.estimate, size)
    ratio = divide(treatment.mean, size)
    variance = divide(treatment.standard_error2, size**2)
    variance = variance + divide(control.standard_error2, size**2) * ratio**2
    error = np.sqrt(variance)
    df = absolute.degrees_of_freedom
    half = student_quantile(level.nominal / 2, df) * error
    known = np.isfinite(lift) & np.isfinite(half)
    status = _with_undefined(absolute.status, ~known, Status.UNBOUNDED)
    status = _with_undefined(status, ~(error > 0), Status.DEGENERATE)
    return replace(
        absolute,
        estimate=lift,
        standard_error=error,
        lower=lift - half,
        upper=lift + half,
        p_value=level.p_of(2 * student_tail(np.abs(divide(lift, error)), df)),
        status=status,
        method="Delta method lift" + level.label,
        scale="relative",
    )


@quiet
def log_delta(
    control: Moments,
    treatment: Moments,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare positive means as a lift by the delta method on the log ratio, an option.

    Means that are not both positive have no log ratio: the cell is degenerate.

    Args:
        control: moments of the control, any shape.
        treatment: moments of the treatment, broadcast against the control.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), or shapes that do not fit.
    """
    absolute = welch(control, treatment, alpha=alpha, quantile=quantile)
    level = Level.resolve(alpha, quantile)
    positive = np.asarray((control.mean > 0) & (treatment.mean > 0))
    ratio = np.where(positive, divide(treatment.mean, control.mean), np.nan)
    share_control = divide(control.standard_error2, control.mean**2)
    share_treatment = divide(treatment.standard_error2, treatment.mean**2)
    error = np.sqrt(share_control + share_treatment)
    df = welch_df(share_control, control.count, share_treatment, treatment.count)
    half = student_quantile(level.nominal / 2, df) * error
    lower, upper = ratio * np.exp(-half) - 1, ratio * np.exp(half) - 1
    status = _with_undefined(absolute.status, ~positive, Status.DEGENERATE)
    status = _with_undefined(status, ~np.isfinite(upper), Status.UNBOUNDED)
    return replace(
        absolute,
        estimate=ratio - 1,
        standard_error=ratio * error,
        lower=lower,
        upper=upper,
        p_value=level.p_of(2 * student_tail(np.abs(divide(np.log(ratio), error)), df)),
        degrees_of_freedom=df,
        status=status,
        method="Delta method log lift" + level.label,
        scale="relative",
    )


def _fieller_from(
    absolute: Comparison,
    *,
    baseline: FloatArray,
    variance_baseline: FloatArray,
    covariance: FloatArray,
    quantile_at: Callable[[FloatArray], FloatArray],
) -> Comparison:
    """Invert |difference - lift * |baseline|| <= quantile * its standard error."""
    size = np.abs(baseline)
    oriented = np.where(baseline < 0, -1.0, 1.0) * covariance
    lift = divide(absolute.estimate, size)
    # In units of the baseline: squares of tiny means would underflow to zero.
    variance = divide(absolute.standard_error, size) ** 2
    variance_one = divide(divide(variance_baseline, size), size)
    covariance_one = divide(divide(oriented, size), size)
    at_zero = quantile_at(np.zeros_like(lift))

    def ends(quantile: FloatArray) -> tuple[FloatArray, FloatArray]:
        return fieller_roots(lift, quantile**2, variance, variance_one, covariance_one)

    lower, upper = ends(at_zero)
    for _ in range(_ROUNDS):
        before = lower, upper
        lower, upper = ends(quantile_at(lower))[0], ends(quantile_at(upper))[1]
        if _settled(before[0], lower) and _settled(before[1], upper):
            break
    # The degrees of freedom move with the lift; at no effect they are the test's.
    plain = ends(at_zero)
    differs = (lower > 0) | (upper < 0)
    plainly = (plain[0] > 0) | (plain[1] < 0)
    lower = np.where(differs == plainly, lower, plain[0])
    upper = np.where(differs == plainly, upper, plain[1])
    noise = variance - 2 * lift * covariance_one + lift**2 * variance_one
    error = np.sqrt(np.maximum(noise, 0.0))
    infinite = ~(np.isfinite(lower) & np.isfinite(upper))
    status = _with_undefined(absolute.status, infinite, Status.UNBOUNDED)
    unbounded = np.asarray(status == Status.UNBOUNDED)
    return replace(
        absolute,
        estimate=lift,
        standard_error=error,
        lower=np.where(unbounded, -np.inf, lower),
        upper=np.where(unbounded, np.inf, upper),
        status=status,
        method=absolute.method + ", Fieller",
        scale="relative",
    )


def fieller_roots(
    lift: FloatArray,
    q2: FloatArray,
    variance: FloatArray,
    variance_one: FloatArray,
    covariance_one: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return where (lift - x)^2 is q2 times its variance; NaN: nowhere bounded."""
    lead = 1.0 - q2 * variance_one
    middle = lift - q2 * covariance_one
    rest = lift**2 - q2 * variance
    root = np.sqrt(np.maximum(middle**2 - lead * rest, 0.0))
    bounded = np.where(lead > 0, lead, np.nan)
    return divide(middle - root, bounded), divide(middle + root, bounded)


def _settled(before: FloatArray, after: FloatArray) -> bool:
    """Return whether every bound has stopped moving."""
    return bool(np.allclose(before, after, rtol=1e-12, atol=1e-15, equal_nan=True))


def _with_undefined(
    status: StatusArray, undefined: BoolArray, mark: Status
) -> StatusArray:
    """Return the statuses, with usable but undefined cells marked."""
    usable = np.isin(status.astype(str), [Status.OK, Status.SKEW_WARNING])
    return np.where(usable & undefined, mark, status)
