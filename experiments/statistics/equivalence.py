"""Equivalence: is the treatment as good as the same as the control?

Two one-sided tests: not lower by the margin, and not higher by it. Both must pass at
alpha each, which is the same as the interval with alpha at either end lying inside the
margins. Failing needs evidence that the effect lies beyond one of them. Use it where
"no difference" is what one wants to show (a migration, a cheaper model): a large
p-value of an ordinary test shows no such thing.

References:
    Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power
    approach", Journal of Pharmacokinetics and Biopharmaceutics 15(6).
    Wellek (2010), "Testing Statistical Hypotheses of Equivalence and Noninferiority",
    2nd edition, 3.1 and 6.6.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Boundary, Comparison, StatusArray
from experiments.statistics.guardrails import (
    Baseline,
    Direction,
    MarginScale,
    NonInferiority,
    Outcome,
    effect_non_inferiority,
    non_inferiority,
    proportion_non_inferiority,
)
from experiments.statistics.numeric import FloatArray


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Equivalence results, cell by cell.

    Attributes:
        outcome: pass: inside the margins; fail: beyond one of them; or inconclusive.
        p_value: of "the effect is at least the margin"; below alpha passes.
        beyond_p_value: one-sided, of "the effect is within the margins", on the side
            it leans to; below alpha fails.
        estimate: the effect, in the units of the margins.
        standard_error: of the estimate.
        lower: lower end of the interval with error alpha at either end.
        upper: upper end of the same interval.
        lower_margin: fall tolerated.
        upper_margin: rise tolerated.
        status: what can be said of the interval.
        method: the procedure.
        alpha: error of passing, and of failing on either side.
    """

    outcome: NDArray[np.object_]
    p_value: FloatArray
    beyond_p_value: FloatArray
    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    lower_margin: FloatArray
    upper_margin: FloatArray
    status: StatusArray
    method: str
    alpha: FloatArray


def equivalence(
    control: Moments,
    treatment: Moments,
    *,
    margin: ArrayLike,
    upper_margin: ArrayLike | None = None,
    scale: MarginScale = "relative",
    alpha: ArrayLike = 0.05,
    look: Boundary | None = None,
) -> Equivalence:
    """Test whether two means differ by less than the margin.

    Args:
        control: moments of the control.
        treatment: moments of the treatment, broadcast against the control.
        margin: difference tolerated either way, as a share of the size of the control's
            mean, or in the metric's unit on the absolute scale.
        upper_margin: rise tolerated, when it is not the fall tolerated.
        scale: of the margins.
        alpha: error.
        look: one look of a sequential plan, made for twice alpha.

    Raises:
        StatisticsError: as `guardrails.non_inferiority`.
    """

    def test(direction: Direction, tolerated: ArrayLike) -> NonInferiority:
        return non_inferiority(
            control,
            treatment,
            margin=tolerated,
            scale=scale,
            direction=direction,
            alpha=alpha,
            look=look,
        )

    rises = margin if upper_margin is None else upper_margin
    return two_one_sided(test("increase", margin), test("decrease", rises))


def proportion_equivalence(  # noqa: PLR0913  # a table and two margins
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    margin: ArrayLike,
    absolute_margin: ArrayLike,
    scale: MarginScale = "relative",
    alpha: ArrayLike = 0.05,
    look: Boundary | None = None,
) -> Equivalence:
    """Test whether two proportions differ by less than the margin (score tests).

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        margin: difference tolerated either way, as a share of the control's proportion.
        absolute_margin: difference of proportions tolerated where the control has no
            event; everywhere on the absolute scale.
        scale: which of the two margins counts.
        alpha: error.
        look: one look of a sequential plan, made for twice alpha.

    Raises:
        StatisticsError: as `guardrails.proportion_non_inferiority`.
    """
    fall, rise = (
        proportion_non_inferiority(
            control,
            control_units,
            treatment,
            treatment_units,
            margin=margin,
            absolute_margin=absolute_margin,
            scale=scale,
            direction=direction,
            alpha=alpha,
            look=look,
        )
        for direction in ("increase", "decrease")
    )
    return two_one_sided(fall, rise)


def effect_equivalence(
    absolute: Comparison,
    *,
    margin: ArrayLike,
    baseline: Baseline | None = None,
    look: Boundary | None = None,
) -> Equivalence:
    """Test whether any estimated effect is smaller than the margin either way.

    Args:
        absolute: the effect in the metric's unit, made with **twice** the error as its
            alpha and with the same look.
        margin: difference tolerated either way, as a share of the size of the baseline,
            or in the metric's unit when there is none.
        baseline: what a relative margin is a share of.
        look: one look of a sequential plan.

    Raises:
        StatisticsError: as `guardrails.effect_non_inferiority`.
    """
    fall, rise = (
        effect_non_inferiority(
            absolute,
            margin=margin,
            baseline=baseline,
            direction=direction,
            look=look,
        )
        for direction in ("increase", "decrease")
    )
    return two_one_sided(fall, rise)


def two_one_sided(fall: NonInferiority, rise: NonInferiority) -> Equivalence:
    """Combine two one-sided tests of one effect into a test of equivalence.

    Args:
        fall: the test against a fall (direction "increase").
        rise: the test against a rise (direction "decrease").
    """
    beyond = np.fmin(fall.harm_p_value, rise.harm_p_value)
    p_value = np.maximum(fall.p_value, rise.p_value)
    outcome = np.full(p_value.shape, Outcome.INCONCLUSIVE, dtype=object)
    outcome[np.asarray(p_value < fall.alpha)] = Outcome.PASS
    outcome[np.asarray(beyond < fall.alpha)] = Outcome.FAIL
    return Equivalence(
        outcome=outcome,
        p_value=p_value,
        beyond_p_value=beyond,
        estimate=fall.estimate,
        standard_error=fall.standard_error,
        lower=fall.lower,
        upper=fall.upper,
        lower_margin=fall.margin,
        upper_margin=rise.margin,
        status=fall.status,
        method=fall.method.replace("non-inferiority", "equivalence"),
        alpha=fall.alpha,
    )
