"""What a test against a margin says: pass, fail or inconclusive, with its interval.

The outcome, the p-values and the interval of one result come from one test and never
contradict: a guardrail passes exactly when the safe end of its interval clears the
margin. `guardrails` and `equivalence` hold the tests.

References:
    Jennison and Turnbull (2000), "Group Sequential Methods", 9.4 (repeated p-values).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.comparison import Boundary, Comparison, StatusArray
from experiments.statistics.numeric import BoolArray, FloatArray, StatisticsError

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


def positive(name: str, value: ArrayLike) -> FloatArray:
    """Return ``value`` when every element is finite and above 0.

    Raises:
        StatisticsError: an element is not.
    """
    array = np.asarray(value, dtype=np.float64)
    if not bool((np.isfinite(array) & (array > 0)).all()):
        raise StatisticsError(f"{name} must be above 0, got {value!r}")
    return array


def toward_better(direction: Direction) -> float:
    """Return 1 where a rise is good, -1 where a fall is.

    Raises:
        StatisticsError: an unknown direction.
    """
    if direction not in {"increase", "decrease"}:
        raise StatisticsError(
            f'direction must be "increase" or "decrease", got {direction!r}'
        )
    return 1.0 if direction == "increase" else -1.0


def _repeated(p_value: FloatArray, look: Boundary) -> FloatArray:
    """Return the one-sided repeated p-value: half the two-sided one, on its side."""
    two_sided = look.repeated_p(np.minimum(2 * p_value, 1.0))
    return np.where(p_value < 0.5, two_sided / 2, p_value)


def _at_least(value: FloatArray, least: FloatArray, *, where: BoolArray) -> FloatArray:
    return np.where(where, np.maximum(value, least), value)


def margin_result(  # noqa: PLR0913  # the parts of one result
    statistic: FloatArray,
    tails: tuple[FloatArray, FloatArray],
    interval: Comparison,
    *,
    toward: float,
    look: Boundary | None,
    margin: FloatArray,
    absolute: BoolArray,
    method: str,
    exact: bool = False,
) -> NonInferiority:
    """Put the parts of one test together.

    Args:
        statistic: positive on the safe side of the margin.
        tails: one-sided p-values of a single look, of passing and of failing.
        interval: of the same test, at twice the one-sided error.
        toward: 1 where a rise is good, else -1.
        look: the look of a sequential plan.
        margin: harm tolerated.
        absolute: where margin and figures are absolute.
        method: the procedure.
        exact: whether cells may come from an exact test.
    """
    p_value, harm_p_value = tails
    alpha = interval.alpha / 2
    near, far = interval.lower, interval.upper
    if toward < 0:
        near, far = -far, -near
    if look is not None:
        p_value, harm_p_value = _repeated(p_value, look), _repeated(harm_p_value, look)
        method += "" if "repeated" in method else ", repeated"
    if exact:
        # Exact p-values are not quite monotone in the margin, their interval is: where
        # only the interval holds back, so does the p-value.
        p_value = _at_least(p_value, alpha, where=near <= -margin)
        harm_p_value = _at_least(harm_p_value, alpha, where=far >= -margin)
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
        bound=toward * near,
        status=interval.status,
        alpha=alpha,
    )
