"""Guardrails: is the treatment at most a stated margin worse than the control?

The margin is relative to the control, whose value is itself an estimate; the statistic
carries that noise (Fieller form). Passing needs evidence of no harm beyond the margin,
failing needs evidence of harm beyond it, and what lies between is inconclusive.

References:
    Wellek (2010), "Testing Statistical Hypotheses of Equivalence and Noninferiority",
    2nd edition, chapters 2 and 6.
    Pigeot, Schafer, Rohmel, Hauschke (2003), "Assessing non-inferiority of a new
    treatment in a three-arm clinical trial including a placebo", Statistics in
    Medicine 22 (ratio form).
    Miettinen and Nurminen (1985), Statistics in Medicine 4 (score form).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Boundary
from experiments.statistics.means import welch_df
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
from experiments.statistics.proportions import counts, difference_score, ratio_score

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
class NonInferiority:
    """Guardrail results, cell by cell.

    Attributes:
        outcome: `Outcome` of each cell.
        statistic: positive when the treatment is on the safe side of the margin.
        p_value: one-sided, of "harm is at least the margin"; below alpha passes.
        harm_p_value: one-sided, of "harm is at most the margin"; below alpha fails.
        margin: the margin used, relative or absolute as ``absolute`` says.
        absolute: where an absolute margin stood in for the relative one.
        method: the procedure, with a note when an absolute margin was used.
    """

    outcome: NDArray[np.object_]
    statistic: FloatArray
    p_value: FloatArray
    harm_p_value: FloatArray
    margin: FloatArray
    absolute: BoolArray
    method: str


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
        look: one look of a sequential plan; the p-values become repeated ones.

    Raises:
        StatisticsError: a relative margin or alpha out of (0, 1), an absolute margin
            not above 0, or an unknown direction.
    """
    error, toward = check_open("alpha", alpha), _toward(direction)
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
    return _result(
        statistic,
        student_tail(statistic, df),
        student_tail(-statistic, df),
        alpha=error,
        look=look,
        margin=tolerated,
        absolute=np.full(statistic.shape, fixed),
        method=f"non-inferiority, {'Welch' if fixed else 'Fieller'} form",
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
        look: one look of a sequential plan; the p-values become repeated ones.

    Raises:
        StatisticsError: counts that do not fit, or a margin or alpha out of (0, 1).
    """
    relative, error = check_open("margin", margin), check_open("alpha", alpha)
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
    return _result(
        statistic,
        normal_tail(statistic),
        normal_tail(-statistic),
        alpha=error,
        look=look,
        margin=np.where(zero, fallback, relative),
        absolute=zero,
        method=method,
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
    p_value: FloatArray,
    harm_p_value: FloatArray,
    *,
    alpha: FloatArray,
    look: Boundary | None,
    margin: FloatArray,
    absolute: BoolArray,
    method: str,
) -> NonInferiority:
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
    )
