"""Guardrails: is the treatment at most a stated margin worse than the control?

The margin is relative to the control, whose value is itself an estimate; the statistic
carries that noise (Fieller form). Passing needs evidence of no harm beyond the margin,
failing needs evidence of harm beyond it, and what lies between is inconclusive. The
interval shown is the test's own, in the units of the margin: a guardrail passes exactly
when the safe end of the interval clears the margin.

Each guardrail is tested at the full one-sided error: a variant ships only if all of
them pass, so more guardrails never make a wrong shipping likelier (an
intersection-union test). What several guardrails cost is power; plan for it with
`power.beta_per_metric`.

References:
    Wellek (2010), "Testing Statistical Hypotheses of Equivalence and Noninferiority",
    2nd edition, chapters 2 and 6.
    Berger (1982), "Multiparameter hypothesis testing and acceptance sampling",
    Technometrics 24(4) (intersection-union tests).
    Pigeot, Schafer, Rohmel, Hauschke (2003), "Assessing non-inferiority of a new
    treatment in a three-arm clinical trial including a placebo", Statistics in
    Medicine 22 (ratio form).
    Miettinen and Nurminen (1985), Statistics in Medicine 4 (score form); Chan and Zhang
    (1999), Biometrics 55 (exact form).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Boundary, Comparison, Scale
from experiments.statistics.margins import (
    Baseline,
    Direction,
    MarginScale,
    NonInferiority,
    Outcome,
    margin_result,
    positive,
    toward_better,
)
from experiments.statistics.means import welch, welch_df
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    broadcast,
    check_open,
    divide,
    quiet,
    student_tail,
)
from experiments.statistics.proportions import (
    counts,
    difference,
    difference_score,
    p_above,
    ratio_score,
    relative_difference,
)
from experiments.statistics.relative import fieller, fieller_dependent

__all__ = [
    "Baseline",
    "Direction",
    "MarginScale",
    "NonInferiority",
    "Outcome",
    "effect_non_inferiority",
    "non_inferiority",
    "proportion_non_inferiority",
]


@quiet
def non_inferiority(
    control: Moments,
    treatment: Moments,
    *,
    margin: ArrayLike,
    scale: MarginScale = "relative",
    direction: Direction = "increase",
    alpha: ArrayLike = 0.05,
    look: Boundary | None = None,
) -> NonInferiority:
    """Test a mean against a margin.

    A control mean of exactly zero has no relative margin: the outcome is inconclusive.

    Args:
        control: moments of the control.
        treatment: moments of the treatment, broadcast against the control.
        margin: harm tolerated, as a share of the size of the control's mean (0.02),
            or in the metric's unit on the absolute scale.
        scale: of the margin.
        direction: the good direction of the metric.
        alpha: one-sided error of passing, and of failing.
        look: one look of a sequential plan, made for twice the one-sided error; the
            p-values and the interval become repeated ones.

    Raises:
        StatisticsError: a relative margin out of (0, 1), alpha out of (0, 0.5), an
            absolute margin not above 0, an unknown direction, or a look made for
            another error.
    """
    error, toward = check_open("alpha", alpha, 0.0, 0.5), toward_better(direction)
    fixed = scale == "absolute"
    tolerated = positive("margin", margin) if fixed else check_open("margin", margin)
    weight = 1.0 if fixed else 1 - toward * tolerated * np.sign(control.mean)
    allowed = tolerated if fixed else 0.0
    gap = toward * (treatment.mean - weight * control.mean) + allowed
    u_control = weight**2 * control.standard_error2
    u_treatment = treatment.standard_error2
    statistic = divide(gap, np.sqrt(u_control + u_treatment))
    if not fixed:
        statistic = np.where(control.mean == 0, np.nan, statistic)
    df = welch_df(u_control, control.count, u_treatment, treatment.count)
    interval = (
        welch(control, treatment, alpha=2 * error, quantile=look)
        if fixed
        else fieller(control, treatment, alpha=2 * error, critical=look)
    )
    return margin_result(
        statistic,
        (student_tail(statistic, df), student_tail(-statistic, df)),
        interval,
        toward=toward,
        look=look,
        margin=tolerated,
        absolute=np.full(statistic.shape, fixed),
        method=f"non-inferiority, {'Welch' if fixed else 'Fieller'} form",
    )


@quiet
def effect_non_inferiority(
    absolute: Comparison,
    *,
    margin: ArrayLike,
    baseline: Baseline | None = None,
    direction: Direction = "increase",
    look: Boundary | None = None,
) -> NonInferiority:
    """Test any estimated effect against a margin: ratios, adjusted means and others.

    Args:
        absolute: the effect in the metric's unit with its standard error, made with
            **twice** the one-sided error as its alpha and with the same look.
        margin: harm tolerated, as a share of the size of the baseline, or in the
            metric's unit when there is none.
        baseline: what a relative margin is a share of.
        direction: the good direction of the metric.
        look: one look of a sequential plan, made for twice the one-sided error; the
            p-values and the interval become repeated ones.

    Raises:
        StatisticsError: a relative margin out of (0, 1), an absolute one not above 0,
            an effect on the relative scale, or an unknown direction.
    """
    if absolute.scale != "absolute":
        raise StatisticsError(
            'absolute must be a comparison on the scale "absolute", '
            f"got {absolute.scale!r}; give the baseline for a relative margin"
        )
    toward, fixed = toward_better(direction), baseline is None
    tolerated = positive("margin", margin) if fixed else check_open("margin", margin)
    interval, variance = absolute, absolute.standard_error**2
    size = np.ones_like(variance)
    if baseline is not None:
        size = np.abs(baseline.value)
        slope = np.sign(baseline.value) * toward * tolerated
        variance = (
            variance + 2 * slope * baseline.covariance + slope**2 * baseline.variance
        )
        interval = fieller_dependent(
            absolute,
            baseline=baseline.value,
            variance_baseline=baseline.variance,
            covariance=baseline.covariance,
            quantile=look,
        )
    gap = toward * absolute.estimate + tolerated * size
    statistic = divide(gap, np.sqrt(np.maximum(variance, 0.0)))
    statistic = np.where(size == 0, np.nan, statistic)
    df = absolute.degrees_of_freedom
    form = absolute.method + ("" if fixed else ", Fieller form")
    return margin_result(
        statistic,
        (student_tail(statistic, df), student_tail(-statistic, df)),
        interval,
        toward=toward,
        look=look,
        margin=tolerated,
        absolute=np.full(statistic.shape, fixed),
        method=f"non-inferiority, {form}",
    )


@quiet
def proportion_non_inferiority(  # noqa: PLR0913  # a table and two margins
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    margin: ArrayLike,
    absolute_margin: ArrayLike,
    scale: MarginScale = "relative",
    direction: Direction = "decrease",
    alpha: ArrayLike = 0.05,
    look: Boundary | None = None,
) -> NonInferiority:
    """Test a proportion against a relative margin, or an absolute one at baseline zero.

    By the score statistic, or exactly where the counts are small, like the interval.
    A relative margin of nothing tolerates nothing. Where the control has no event the
    absolute margin is used instead, and the result says so.

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        margin: harm tolerated, as a share of the control's proportion (0.1).
        absolute_margin: harm tolerated where the control has no event, as a difference
            of proportions (0.005 is half a percentage point); everywhere on the
            absolute scale.
        scale: which of the two margins counts.
        direction: the good direction of the proportion.
        alpha: one-sided error of passing, and of failing.
        look: one look of a sequential plan, made for twice the one-sided error; the
            p-values and the interval become repeated ones.

    Raises:
        StatisticsError: counts that do not fit, a margin out of (0, 1), alpha out of
            (0, 0.5), or a look made for another error.
    """
    relative = check_open("margin", margin)
    error = check_open("alpha", alpha, 0.0, 0.5)
    fallback = check_open("absolute_margin", absolute_margin)
    toward = toward_better(direction)
    x0, n0, x1, n1 = counts(control, control_units, treatment, treatment_units)
    x0, n0, x1, n1, relative, fallback = broadcast(
        x0=x0, n0=n0, x1=x1, n1=n1, margin=relative, absolute_margin=fallback
    )
    table = (x0, n0, x1, n1)
    zero = np.asarray(x0 == 0) | (scale == "absolute")
    found = _beyond(table, -toward * fallback, "absolute")
    interval = difference(*table, alpha=2 * error, quantile=look)
    if not bool(zero.all()):
        lift = relative_difference(*table, alpha=2 * error, quantile=look)
        interval = _where(zero, interval, lift)
        ratio = _beyond(table, -toward * relative, "relative")
        found = tuple(
            np.where(zero, one, other) for one, other in zip(found, ratio, strict=True)
        )
    statistic, above, below = found
    method = "non-inferiority, " + interval.method
    if scale == "absolute":
        method += ", absolute margin"
    elif bool(zero.any()):
        method += "; absolute margin where the control has no event"
    return margin_result(
        toward * statistic,
        (above, below) if toward > 0 else (below, above),
        interval,
        toward=toward,
        look=look,
        margin=np.where(zero, fallback, relative),
        absolute=zero,
        method=method,
        exact=True,
    )


def _beyond(
    table: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    value: FloatArray,
    scale: Scale,
) -> tuple[FloatArray, ...]:
    """Return score and one-sided p-values of an effect above, and below, a value."""
    x0, n0, x1, n1 = table
    relative = scale == "relative"
    score = (
        ratio_score(*table, 1 + value) if relative else difference_score(*table, value)
    )
    mirrored = 1 / (1 + value) - 1 if relative else -value
    above = p_above(*table, value=value, scale=scale)
    return score, above, p_above(x1, n1, x0, n0, value=mirrored, scale=scale)


def _where(chosen: BoolArray, one: Comparison, other: Comparison) -> Comparison:
    """Return one comparison where chosen, else the other."""
    return replace(
        one,
        **{
            name: np.where(chosen, getattr(one, name), getattr(other, name))
            for name in ("estimate", "standard_error", "lower", "upper", "status")
        },
    )
