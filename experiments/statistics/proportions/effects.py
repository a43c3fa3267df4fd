"""Difference and ratio of two proportions, each with the p-value of its own test.

The score statistic of Miettinen and Nurminen tests any difference or any ratio of two
proportions with the variance estimated under that hypothesis. Inverted it gives the
interval; at no effect the difference form and the ratio form are one number, so the
absolute interval, the relative interval and the p-value never contradict.

That statistic is close to normal only when events and non-events are plenty. Where a
variant has fewer than 5 of either, or both have fewer than 1,000 units together, the
exact unconditional test of `unconditional` with its own interval takes its place, cell
by cell, at a fixed horizon as at a look of a sequential plan. It is slower
(milliseconds a distinct table) and a little careful: its error is at most alpha.

References:
    Miettinen and Nurminen (1985), "Comparative analysis of two rates", Statistics in
    Medicine 4, equations 8, 9 (difference), 10 (ratio).
    Chan and Zhang (1999), "Test-based exact confidence intervals for the difference of
    two binomial proportions", Biometrics 55.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.comparison import (
    Comparison,
    Level,
    Quantile,
    Scale,
    Status,
    statuses,
)
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    broadcast,
    divide,
    normal_quantile,
    normal_tail,
    quiet,
)
from experiments.statistics.proportions.score import (
    counts,
    difference_score,
    lowest_difference,
    lowest_ratio,
    ratio_score,
)
from experiments.statistics.unconditional import Effect, Table, exact, exact_above

FEWEST_EVENTS = 5
FEWEST_UNITS = 1000
_EXACT = "Exact unconditional (Chan-Zhang)"
_MIXED = "Miettinen-Nurminen score, exact unconditional where counts are small"


@quiet
def difference(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two proportions by their difference (0.01 is one percentage point).

    By the score statistic, or exactly where the counts are small (`small_counts`).

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: counts negative or above the units, or alpha out of (0, 1).
    """
    table = counts(control, control_units, treatment, treatment_units)
    level = Level.resolve(alpha, quantile)
    return _exact_where_small(_score_difference(table, level), table, level, DIFFERENCE)


@quiet
def relative_difference(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two proportions by their ratio minus one (0.05 is +5 %).

    By the score statistic, or exactly where the counts are small (`small_counts`). With
    no event in the control the upper end is infinite and the status unbounded.

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: counts negative or above the units, or alpha out of (0, 1).
    """
    table = counts(control, control_units, treatment, treatment_units)
    level = Level.resolve(alpha, quantile)
    return _exact_where_small(_score_ratio(table, level), table, level, RATIO)


@quiet
def score_difference(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two proportions by their difference, always by the score: an option.

    Marks the cells whose counts are too few for it.

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: counts negative or above the units, or alpha out of (0, 1).
    """
    table = counts(control, control_units, treatment, treatment_units)
    return _score_difference(table, Level.resolve(alpha, quantile))


@quiet
def score_relative_difference(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two proportions by their ratio less one, always by the score: an option.

    Marks the cells whose counts are too few for it.

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: counts negative or above the units, or alpha out of (0, 1).
    """
    table = counts(control, control_units, treatment, treatment_units)
    return _score_ratio(table, Level.resolve(alpha, quantile))


@quiet
def p_above(
    control: ArrayLike,
    control_units: ArrayLike,
    treatment: ArrayLike,
    treatment_units: ArrayLike,
    *,
    value: ArrayLike,
    scale: Scale = "absolute",
) -> FloatArray:
    """Return the one-sided p-value of "the effect is at most ``value``".

    For a margin: small where the treatment is surely better than the margin. By the
    same test as `difference` and `relative_difference`, so exact where the counts are
    small; below alpha just where their lower end at 2 alpha lies above the margin.

    Args:
        control: control units with the event.
        control_units: all control units.
        treatment: treatment units with the event.
        treatment_units: all treatment units.
        value: the difference, or the ratio less one, that is tested.
        scale: what ``value`` is.

    Raises:
        StatisticsError: counts negative or above the units, or shapes that do not fit.
    """
    effect, offset = (DIFFERENCE, 0.0) if scale == "absolute" else (RATIO, 1.0)
    table = counts(control, control_units, treatment, treatment_units)
    x0, n0, x1, n1, tested = broadcast(
        x0=table[0], n0=table[1], x1=table[2], n1=table[3], value=value
    )
    tested = tested + offset
    p_value = normal_tail(effect.score(x0, n0, x1, n1, tested))
    here = _exactly(table) & np.ones(tested.shape, dtype=bool)
    if here.any():
        small = x0[here], n0[here], x1[here], n1[here]
        p_value[here] = exact_above(small, tested[here], effect)
    return np.where(_empty(table), np.nan, p_value)


def _score_difference(table: Table, level: Level) -> Comparison:
    x0, n0, x1, n1 = table
    q = normal_quantile(level.nominal / 2)
    p0, p1 = divide(x0, n0), divide(x1, n1)
    lower = lowest_difference(x0, n0, x1, n1, q)
    upper = -lowest_difference(x1, n1, x0, n0, q)
    error = np.sqrt(divide(p0 * (1 - p0), n0) + divide(p1 * (1 - p1), n1))
    return _by_score(level, table, (p1 - p0, error, lower, upper), scale="absolute")


def _score_ratio(table: Table, level: Level) -> Comparison:
    x0, n0, x1, n1 = table
    q = normal_quantile(level.nominal / 2)
    p0, p1 = divide(x0, n0), divide(x1, n1)
    ratio = divide(p1, p0)
    lower = lowest_ratio(x0, n0, x1, n1, q) - 1
    most = 1 / lowest_ratio(x1, n1, x0, n0, q)
    upper = np.where(x0 == 0, np.inf, most) - 1
    error = ratio * np.sqrt(divide(1 - p0, x0) + divide(1 - p1, x1))
    return _by_score(level, table, (ratio - 1, error, lower, upper), scale="relative")


def _by_score(
    level: Level, table: Table, figures: tuple[FloatArray, ...], *, scale: Scale
) -> Comparison:
    empty = _empty(table)
    estimate, error, lower, upper = figures
    p_value = 2 * normal_tail(np.abs(difference_score(*table, np.zeros_like(table[0]))))
    p_value = np.where(empty, np.nan, np.minimum(p_value, 1.0))
    return Comparison(
        estimate=np.where(empty, np.nan, estimate),
        standard_error=error,
        lower=np.where(empty, np.nan, lower),
        upper=np.where(empty, np.nan, upper),
        p_value=level.p_of(p_value),
        degrees_of_freedom=np.where(empty, np.nan, np.inf),
        status=statuses(
            lower.shape,
            (empty, Status.NOT_ENOUGH_DATA),
            (np.asarray((table[0] == 0) & (scale == "relative")), Status.UNBOUNDED),
            (few_events(*table), Status.SKEW_WARNING),
        ),
        method="Miettinen-Nurminen score" + level.label,
        scale=scale,
        alpha=level.alpha,
    )


def _exactly(table: Table) -> BoolArray:
    whole = np.logical_and.reduce([np.floor(count) == count for count in table])
    return np.asarray(small_counts(*table) & whole & ~_empty(table))


def _empty(table: Table) -> BoolArray:
    _, n0, _, n1 = table
    return np.asarray((n0 < 1) | (n1 < 1))


def few_events(
    x0: FloatArray, n0: FloatArray, x1: FloatArray, n1: FloatArray
) -> BoolArray:
    """Where a variant has too few events, or too few units without, for the score."""
    smallest = np.minimum(np.minimum(x0, n0 - x0), np.minimum(x1, n1 - x1))
    return np.asarray(smallest < FEWEST_EVENTS)


def small_counts(
    x0: FloatArray, n0: FloatArray, x1: FloatArray, n1: FloatArray
) -> BoolArray:
    """Where events, non-events or units are so few that the exact test is used."""
    return few_events(x0, n0, x1, n1) | np.asarray(n0 + n1 < FEWEST_UNITS)


def _ratio(p0: FloatArray, p1: FloatArray) -> FloatArray:
    return np.where(p1 == 0, 0.0, p1 / np.where(p0 == 0, 1e-300, p0))


def _share(ratio: FloatArray) -> FloatArray:
    return 1 / (1 + 1 / np.clip(ratio, 1e-300, 1e300))


def _odds(share: FloatArray) -> FloatArray:
    inside = np.clip(share, 1e-300, 1 - 1e-16)
    return inside / (1 - inside)


DIFFERENCE = Effect(
    score=difference_score,
    line=lambda value: (np.ones_like(value), value),
    least=-1.0,
    none=0.0,
    estimate=lambda p0, p1: p1 - p0,
    swap=np.negative,
    position_of=np.asarray,
    of_position=np.asarray,
)
RATIO = Effect(
    score=ratio_score,
    line=lambda value: (value, np.zeros_like(value)),
    least=0.0,
    none=1.0,
    estimate=_ratio,
    swap=np.reciprocal,
    position_of=_share,
    of_position=_odds,
)


def _exact_where_small(
    scored: Comparison, table: Table, level: Level, effect: Effect
) -> Comparison:
    """Replace p-value and interval by the exact ones where the counts are small."""
    chosen = _exactly(table)
    if not chosen.any():
        return scored
    offset = 1.0 if effect is RATIO else 0.0
    shape = scored.lower.shape
    here = np.broadcast_to(chosen, shape)
    p_value, lower, upper = np.ones(shape), scored.lower.copy(), scored.upper.copy()
    cells = [np.broadcast_to(array, shape)[here] for array in (*table, level.nominal)]
    x0, n0, x1, n1, nominal = cells
    start = lower[here] + offset, upper[here] + offset
    p_value[here], low, high = exact((x0, n0, x1, n1), nominal / 2, start, effect)
    if effect is RATIO:
        low, high = np.where(x1 == 0, 0.0, low), np.where(x0 == 0, np.inf, high)
    lower[here], upper[here] = low - offset, high - offset
    name = _EXACT if (here | _empty(table)).all() else _MIXED
    status = scored.status.copy()
    status[here & (status == Status.SKEW_WARNING)] = Status.OK
    return replace(
        scored,
        lower=lower,
        upper=upper,
        p_value=np.where(here, level.p_of(p_value), scored.p_value),
        status=status,
        method=name + level.label,
    )
