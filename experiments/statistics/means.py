"""Difference of two means: Welch's test and interval.

References:
    Welch (1947), "The generalization of Student's problem when several different
    population variances are involved", Biometrika 34; Satterthwaite (1946).
    Kohavi, Deng, Longbotham, Xu (2014), "Seven rules of thumb for web site
    experimenters", KDD, rule 7: about 355 skewness^2 units a variant are needed before
    the mean is close to normal.
"""

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import (
    Comparison,
    Level,
    Quantile,
    Status,
    StatusArray,
    statuses,
)
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    divide,
    quiet,
    student_quantile,
    student_tail,
)

UNITS_PER_SQUARED_SKEWNESS = 355


@quiet
def welch(
    control: Moments,
    treatment: Moments,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare means without assuming equal variances.

    Args:
        control: moments of the control, any shape.
        treatment: moments of the treatment, broadcast against the control.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan (`sequential.Look`): the interval and
            the p-value become the repeated ones. The look's normal critical value is
            carried to the t scale by its tail probability.

    Raises:
        StatisticsError: alpha out of (0, 1), or shapes that do not fit.
    """
    level = Level.resolve(alpha, quantile)
    u_control, u_treatment = control.standard_error2, treatment.standard_error2
    estimate = treatment.mean - control.mean
    error = np.sqrt(u_control + u_treatment)
    df = welch_df(u_control, control.count, u_treatment, treatment.count)
    p_value = 2 * student_tail(np.abs(divide(estimate, error)), df)
    # Two constant arms with one value: nothing differs, and no interval exists.
    p_value = np.where((error == 0) & (estimate == 0), 1.0, p_value)
    half = student_quantile(level.nominal / 2, df) * error
    status = arm_statuses(control, treatment, estimate, half)
    return Comparison(
        estimate=np.where(_empty(control, treatment, least=1), np.nan, estimate),
        standard_error=error,
        lower=estimate - half,
        upper=estimate + half,
        p_value=level.p_of(p_value),
        degrees_of_freedom=df,
        status=status,
        method="Welch t" + level.label,
        scale="absolute",
        alpha=level.alpha,
    )


@quiet
def welch_df(
    u_a: FloatArray, n_a: FloatArray, u_b: FloatArray, n_b: FloatArray
) -> FloatArray:
    """Return the Welch-Satterthwaite degrees of freedom; NaN where undefined.

    Args:
        u_a: squared standard error of the first mean.
        n_a: its number of units.
        u_b: squared standard error of the second mean.
        n_b: its number of units.
    """
    # Shares, not the variances themselves: their squares could under- or overflow.
    share = divide(u_a, u_a + u_b)
    return divide(1.0, divide(share**2, n_a - 1) + divide((1 - share) ** 2, n_b - 1))


@quiet
def arm_statuses(
    control: Moments, treatment: Moments, estimate: FloatArray, half: FloatArray
) -> StatusArray:
    """Return the status of each cell of a comparison of means.

    Args:
        control: moments of the control.
        treatment: moments of the treatment.
        estimate: their difference.
        half: half the width of its interval.
    """
    known = np.isfinite(estimate) & np.isfinite(half) & (half > 0)
    return statuses(
        known.shape,
        (_empty(control, treatment, least=2), Status.NOT_ENOUGH_DATA),
        (~known, Status.DEGENERATE),
        (too_skewed(control) | too_skewed(treatment), Status.SKEW_WARNING),
    )


@quiet
def too_skewed(arm: Moments) -> BoolArray:
    """Where an arm has fewer units than its skewness calls for; False if unknown."""
    needed = UNITS_PER_SQUARED_SKEWNESS * arm.skewness**2
    return np.asarray(arm.count < np.where(np.isnan(needed), 0.0, needed))


def _empty(control: Moments, treatment: Moments, least: int) -> BoolArray:
    return np.asarray((control.count < least) | (treatment.count < least))
