"""Guardrails: is the treatment at most a stated margin worse than the control?

The margin is relative to the control, whose value is itself an estimate; the statistic
carries that noise (Fieller form). Passing needs evidence of no harm beyond the margin,
failing needs evidence of harm beyond it, and what lies between is inconclusive. The
interval shown is the test's own, in the units of the margin: a guardrail passes exactly
when the safe end of the interval clears the margin.

Each guardrail is tested at the full one-sided error: a variant ships only if all of
them pass, so several guardrails make shipping harder by mistake and never easier (an
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
    Miettinen and Nurminen (1985), Statistics in Medicine 4 (score form).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Boundary, Comparison, StatusArray
from experiments.statistics.means import welch, welch_df
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    broadcast,
    check_open,
    divide,
    normal_tail,
    quiet,
    student_tail,
)
from experiments.statistics.proportions import (
    counts,
    difference,
    difference_score,
    ratio_score,
    relative_difference,
)
from experiments.statistics.relative import fieller, fieller_dependent

Direction: TypeAlias = Literal["increase", "decrease"]
"""The good direction of a metric."""


MarginScale: TypeAlias = Literal["relative", "absolute"]
"""Whether a margin is a share of the control's value or in the metric's own unit."""


class Outcome(StrEnum):
    """What a guardrail says of one treatment."""

    PASS = "pass"  # noqa: S105  # an outcome, not a secret
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The control's value that a relative margin is a share of.

    Attributes:
        value: the control's value, shape of the cells.
        variance: its squared standard error.
        covariance: of the effect (treatment minus control) and the value; for two
            separate arms it is minus the variance.
    """

    value: FloatArray
    variance: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Guardrail results, cell by cell.

    Attributes:
        outcome: `Outcome` of each cell.
        statistic: positive when the treatment is on the safe side of the margin.
        p_value: one-sided, of "harm is at least the margin"; below alpha passes.
        harm_p_value: one-sided, of "harm is at most the margin"; below alpha fails.
        margin: the margin used, relative or absolute as ``absolute`` says.
        absolute: where the margin and the figures are absolute, asked for or because
            the control has no event.
        method: the procedure, with a note when an absolute margin was used.
        estimate: the effect, in the units of the margin.
        standard_error: of the estimate.
        lower: lower end of the interval with one-sided error alpha at either end.
        upper: upper end of the same interval.
        bound: the end on the harmful side, which must clear the margin to pass.
        status: what can be said of the interval.
        alpha: one-sided error.
    """

    outcome: NDArray[np.object_]
    statistic: FloatArray
    p_value: FloatArray
    harm_p_value: FloatArray
    margin: FloatArray
    absolute: BoolArray
    method: str
    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    bound: FloatArray
    status: StatusArray
    alpha: FloatArray


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
    error, toward = check_open("alpha", alpha, 0.0, 0.5), _toward(direction)
    fixed = scale == "absolute"
    tolerated = _positive("margin", margin) if fixed else check_open("margin", margin)
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
    return _result(
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
    toward, fixed = _toward(direction), baseline is None
    tolerated = _positive("margin", margin) if fixed else check_open("margin", margin)
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
    return _result(
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
    toward = _toward(direction)
    x0, n0, x1, n1 = counts(control, control_units, treatment, treatment_units)
    x0, n0, x1, n1, relative, fallback = broadcast(
        x0=x0, n0=n0, x1=x1, n1=n1, margin=relative, absolute_margin=fallback
    )
    zero = np.asarray(x0 == 0) | (scale == "absolute")
    by_ratio = ratio_score(x0, n0, x1, n1, 1 - toward * relative)
    by_difference = difference_score(x0, n0, x1, n1, -toward * fallback)
    statistic = toward * np.where(zero, by_difference, by_ratio)
    method = "non-inferiority, score"
    if scale == "absolute":
        method += ", absolute margin"
    elif bool(zero.any()):
        method += "; absolute margin where the control has no event"
    table = (x0, n0, x1, n1)
    interval = difference(*table, alpha=2 * error, quantile=look)
    if not bool(zero.all()):
        lift = relative_difference(*table, alpha=2 * error, quantile=look)
        interval = _where(zero, interval, lift)
    return _result(
        statistic,
        (normal_tail(statistic), normal_tail(-statistic)),
        interval,
        toward=toward,
        look=look,
        margin=np.where(zero, fallback, relative),
        absolute=zero,
        method=method,
    )


def _where(chosen: BoolArray, one: Comparison, other: Comparison) -> Comparison:
    """Return one comparison where chosen, else the other."""
    return replace(
        one,
        **{
            name: np.where(chosen, getattr(one, name), getattr(other, name))
            for name in ("estimate", "standard_error", "lower", "upper", "status")
        },
    )


def _positive(name: str, value: ArrayLike) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    if not bool((np.isfinite(array) & (array > 0)).all()):
        raise StatisticsError(f"{name} must be above 0, got {value!r}")
    return array


def _toward(direction: Direction) -> float:
    if direction not in {"increase", "decrease"}:
        raise StatisticsError(
            f'direction must be "increase" or "decrease", got {direction!r}'
        )
    return 1.0 if direction == "increase" else -1.0


def _repeated(p_value: FloatArray, look: Boundary) -> FloatArray:
    """Return the one-sided repeated p-value: half the two-sided one, on its side."""
    two_sided = look.repeated_p(np.minimum(2 * p_value, 1.0))
    return np.where(p_value < 0.5, two_sided / 2, p_value)


def _result(
    statistic: FloatArray,
    tails: tuple[FloatArray, FloatArray],
    interval: Comparison,
    *,
    toward: float,
    look: Boundary | None,
    margin: FloatArray,
    absolute: BoolArray,
    method: str,
) -> NonInferiority:
    p_value, harm_p_value = tails
    alpha = interval.alpha / 2
    if look is not None:
        p_value, harm_p_value = _repeated(p_value, look), _repeated(harm_p_value, look)
        method += ", repeated"
    outcome = np.full(statistic.shape, Outcome.INCONCLUSIVE, dtype=object)
    outcome[np.asarray(p_value < alpha)] = Outcome.PASS
    outcome[np.asarray(harm_p_value < alpha)] = Outcome.FAIL
    return NonInferiority(
        outcome=outcome,
        statistic=statistic,
        p_value=p_value,
        harm_p_value=harm_p_value,
        margin=np.broadcast_to(margin, statistic.shape),
        absolute=absolute,
        method=method,
        estimate=interval.estimate,
        standard_error=interval.standard_error,
        lower=interval.lower,
        upper=interval.upper,
        bound=interval.lower if toward > 0 else interval.upper,
        status=interval.status,
        alpha=alpha,
    )
