"""Counts: events per unit or per hour of exposure, when events come one by one.

Two Poisson rates are compared by their difference or ratio. With plenty of events the
score statistic serves; with few (under 5 in a variant, or under 100 together) the exact
unconditional test and its own interval, for which a Poisson count is a binomial one
among very many units. Difference and ratio share one p-value. The conditional test is
an option: more widely known, and more careful than it need be.

Counts per shopper are rarely Poisson: a few shoppers make most of the clicks. Then
these intervals are too narrow; `unit_rate_difference` and `unit_rate_ratio` check it,
mark the cell and send the reader to Welch (`means.welch`, `relative.fieller`), which
needs no such assumption and is the default for every count of a shopper.

References:
    Przyborowski and Wilenski (1940), "Homogeneity of results in testing samples from
    Poisson series", Biometrika 31 (conditional test).
    Garwood (1936), Biometrika 28; Clopper and Pearson (1934), Biometrika 26.
    Gu, Ng, Tang, Schucany (2008), "Testing the ratio of two Poisson rates", Biometrical
    Journal 50, section 2 (score statistic of a ratio).
    Chan and Zhang (1999), Biometrics 55 (exact unconditional inversion).
    Fisher (1950), "The significance of deviations from expectation in a Poisson
    series", Biometrics 6 (index of dispersion).
"""

from dataclasses import replace

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import (
    Comparison,
    Level,
    Quantile,
    Scale,
    Status,
    StatusArray,
    statuses,
)
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    bisect,
    broadcast,
    check_at_least,
    divide,
    normal_quantile,
    normal_tail,
    quiet,
)
from experiments.statistics.proportions.effects import DIFFERENCE, RATIO
from experiments.statistics.unconditional import Table, exact

FEWEST_EVENTS = 5
FEWEST_IN_ALL = 100
RARE = 1e-10
"""Chance of an event a unit at which a binomial count is taken for a Poisson one."""
LARGEST_DISPERSION = 1.05
SURE = 0.001


@quiet
def rate_difference(
    control: ArrayLike,
    control_exposure: ArrayLike,
    treatment: ArrayLike,
    treatment_exposure: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two rates by their difference, in events per unit of exposure.

    Args:
        control: events of the control.
        control_exposure: units, hours or views during which they could happen.
        treatment: events of the treatment.
        treatment_exposure: its exposure, in the same measure.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: negative events or exposure, or alpha out of (0, 1).
    """
    table = _table(control, control_exposure, treatment, treatment_exposure)
    level = Level.resolve(alpha, quantile)
    x0, e0, x1, e1 = table
    q = normal_quantile(level.nominal / 2)
    rate0, rate1 = divide(x0, e0), divide(x1, e1)
    estimate = rate1 - rate0

    def score(delta: FloatArray) -> FloatArray:
        # Restricted rate of the control: e r^2 + (e delta - x) r - x0 delta = 0.
        e, middle = e0 + e1, (x0 + x1) - (e0 + e1) * delta
        root = np.sqrt(middle**2 + 4 * e * x0 * delta)
        base = np.where(
            middle > 0, (middle + root) / (2 * e), divide(2 * x0 * delta, root - middle)
        )
        base = np.maximum(np.nan_to_num(base), np.maximum(-delta, 0.0))
        gap = estimate - delta
        error = np.sqrt(base / e0 + np.maximum(base + delta, 0.0) / e1)
        flat = np.where(gap == 0, 0.0, np.copysign(np.inf, gap))
        return np.where(error > 0, divide(gap, error), flat)

    # Garwood's interval of each rate bounds the difference loosely.
    far = (q + 1) ** 2 * (1 / e0 + 1 / e1) + 8 * q * np.sqrt(x0 / e0**2 + x1 / e1**2)
    start = np.nan_to_num(estimate) + np.zeros_like(far)
    lower = bisect(lambda at: score(at) - q, start - far, start)
    upper = bisect(lambda at: score(at) + q, start, start + far)
    error = np.sqrt(divide(rate0, e0) + divide(rate1, e1))
    return _finish(level, table, (estimate, error, lower, upper), "absolute")


@quiet
def rate_ratio(
    control: ArrayLike,
    control_exposure: ArrayLike,
    treatment: ArrayLike,
    treatment_exposure: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two rates by their ratio minus one (0.05 is +5 %).

    With no event in the control the upper end is infinite and the status unbounded.

    Args:
        control: events of the control.
        control_exposure: units, hours or views during which they could happen.
        treatment: events of the treatment.
        treatment_exposure: its exposure, in the same measure.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: negative events or exposure, or alpha out of (0, 1).
    """
    table = _table(control, control_exposure, treatment, treatment_exposure)
    level = Level.resolve(alpha, quantile)
    x0, e0, x1, e1 = table
    q = normal_quantile(level.nominal / 2)
    ratio = divide(x1 * e0, x0 * e1)
    # The score set is Wilson's for the treatment's share of the events.
    total = x0 + x1
    centre, spread = x1 + q * q / 2, q * np.sqrt(x0 * divide(x1, total) + q * q / 4)
    low, high = centre - spread, centre + spread
    scale = e0 / e1
    lower = np.where(x1 == 0, 0.0, scale * divide(low, total + q * q - low))
    upper = scale * divide(high, total + q * q - high)
    upper = np.where(x0 == 0, np.inf, upper)
    error = ratio * np.sqrt(divide(1, x0) + divide(1, x1))
    return _finish(level, table, (ratio - 1, error, lower - 1, upper - 1), "relative")


@quiet
def conditional_rate_ratio(
    control: ArrayLike,
    control_exposure: ArrayLike,
    treatment: ArrayLike,
    treatment_exposure: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two rates by the exact conditional test and its interval, an option.

    Given all events, the treatment's are binomial. Exact at any counts, but wider than
    it need be, and without an interval of the difference.

    Args:
        control: events of the control.
        control_exposure: units, hours or views during which they could happen.
        treatment: events of the treatment.
        treatment_exposure: its exposure, in the same measure.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: negative events or exposure, or alpha out of (0, 1).
    """
    table = _table(control, control_exposure, treatment, treatment_exposure)
    level = Level.resolve(alpha, quantile)
    x0, e0, x1, e1 = table
    tail = level.nominal / 2
    low = scipy.special.betaincinv(np.maximum(x1, 1), x0 + 1, tail)
    # From the other side: 1 - share keeps its digits when the control has few events.
    rest = scipy.special.betaincinv(np.maximum(x0, 1), x1 + 1, tail)
    scale = e0 / e1
    lower = np.where(x1 == 0, 0.0, scale * low / (1 - low)) - 1
    upper = np.where(x0 == 0, np.inf, scale * (1 - rest) / rest) - 1
    ratio = divide(x1 * e0, x0 * e1)
    share = e1 / (e0 + e1)
    more = np.where(
        x1 > 0, scipy.special.betainc(np.maximum(x1, 1), x0 + 1, share), 1.0
    )
    less = np.where(
        x0 > 0, scipy.special.betainc(np.maximum(x0, 1), x1 + 1, 1 - share), 1.0
    )
    p_value = np.minimum(1.0, 2 * np.minimum(more, less))
    error = ratio * np.sqrt(divide(1, x0) + divide(1, x1))
    figures = (ratio - 1, error, lower, upper)
    return _comparison(
        level, table, figures, p_value, "Exact conditional Poisson", "relative"
    )


@quiet
def unit_rate_difference(
    control: Moments,
    treatment: Moments,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare events per unit, marked where units differ more than chance counts do.

    Args:
        control: moments of the count over units.
        treatment: the same of the treatment.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: negative counts, or alpha out of (0, 1).
    """
    table = _events(control), control.count, _events(treatment), treatment.count
    found = rate_difference(*table, alpha=alpha, quantile=quantile)
    return _marked(found, control, treatment)


@quiet
def unit_rate_ratio(
    control: Moments,
    treatment: Moments,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare events per unit by their ratio minus one, with the same mark.

    Args:
        control: moments of the count over units.
        treatment: the same of the treatment.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: negative counts, or alpha out of (0, 1).
    """
    table = _events(control), control.count, _events(treatment), treatment.count
    return _marked(
        rate_ratio(*table, alpha=alpha, quantile=quantile), control, treatment
    )


def dispersion(arm: Moments) -> FloatArray:
    """Return the variance over the mean: 1 for Poisson counts, NaN without events."""
    return divide(arm.variance, arm.mean)


@quiet
def overdispersed(arm: Moments) -> BoolArray:
    """Where the counts vary more than Poisson ones, surely and by more than 5 %.

    Sure is 1 in 1,000 by the index of dispersion test; 5 % more variance turns an error
    of 5 % into 5.6 %, less is let pass however sure it is.
    """
    index = dispersion(arm)
    chance = scipy.special.chdtrc(arm.count - 1, (arm.count - 1) * index)
    return np.asarray((index > LARGEST_DISPERSION) & (chance < SURE))


def _events(arm: Moments) -> FloatArray:
    events = arm.mean * arm.count
    whole = np.rint(events)
    return np.where(
        np.abs(events - whole) <= 1e-9 * np.maximum(whole, 1), whole, events
    )


def _marked(found: Comparison, control: Moments, treatment: Moments) -> Comparison:
    usable = np.isin(found.status.astype(str), [Status.OK, Status.SKEW_WARNING])
    too_wide = usable & (overdispersed(control) | overdispersed(treatment))
    return replace(found, status=_put(found.status, too_wide, Status.OVERDISPERSED))


def _put(statuses: StatusArray, here: BoolArray, mark: Status) -> StatusArray:
    marked = statuses.copy()
    marked[here] = mark
    return marked


def _table(
    control: ArrayLike,
    control_exposure: ArrayLike,
    treatment: ArrayLike,
    treatment_exposure: ArrayLike,
) -> Table:
    x0, e0, x1, e1 = broadcast(
        control=check_at_least("control", control, 0),
        control_exposure=check_at_least("control_exposure", control_exposure, 0),
        treatment=check_at_least("treatment", treatment, 0),
        treatment_exposure=check_at_least("treatment_exposure", treatment_exposure, 0),
    )
    return x0, e0, x1, e1


def _finish(
    level: Level, table: Table, figures: tuple[FloatArray, ...], scale: Scale
) -> Comparison:
    """Put the result together, exact where there are few events."""
    x0, e0, x1, e1 = table
    share = e1 / (e0 + e1)
    error = np.sqrt((x0 + x1) * share * (1 - share))
    p_value = 2 * normal_tail(np.abs(divide(x1 - (x0 + x1) * share, error)))
    p_value = np.where(x0 + x1 == 0, 1.0, np.minimum(p_value, 1.0))
    few = (np.minimum(x0, x1) < FEWEST_EVENTS) | (x0 + x1 < FEWEST_IN_ALL)
    whole = (np.floor(x0) == x0) & (np.floor(x1) == x1)
    here = np.broadcast_to(few & whole & (e0 > 0) & (e1 > 0), figures[2].shape)
    name = "Poisson score"
    if here.any():
        figures, p_value = _exactly(here, level, table, figures, p_value, scale)
        name = "Exact unconditional Poisson" if here.all() else _MIXED
    found = _comparison(level, table, figures, p_value, name, scale)
    vague = (found.status == Status.OK) & few & ~here
    return replace(found, status=_put(found.status, vague, Status.SKEW_WARNING))


_MIXED = "Poisson score, exact unconditional where events are few"


def _exactly(
    here: BoolArray,
    level: Level,
    table: Table,
    figures: tuple[FloatArray, ...],
    p_value: FloatArray,
    scale: Scale,
) -> tuple[tuple[FloatArray, ...], FloatArray]:
    estimate, error, lower, upper = figures
    cells = (np.broadcast_to(a, here.shape)[here] for a in (*table, level.nominal))
    x0, e0, x1, e1, nominal = cells
    # So many units for one of exposure that an event in any of them is very rare.
    many = np.exp2(np.ceil(np.log2(np.maximum((x0 + 1) / e0, (x1 + 1) / e1) / RARE)))
    units = (x0, e0 * many, x1, e1 * many)
    lower, upper, p_value = (
        np.broadcast_to(a, here.shape).copy() for a in (lower, upper, p_value)
    )
    if scale == "relative":
        start = lower[here] + 1, np.minimum(upper[here] + 1, 1e300)
        p_value[here], low, high = exact(units, nominal / 2, start, RATIO)
        lower[here] = np.where(x1 == 0, 0.0, low) - 1
        upper[here] = np.where(x0 == 0, np.inf, high) - 1
    else:
        start = lower[here] / many, upper[here] / many
        p_value[here], low, high = exact(units, nominal / 2, start, DIFFERENCE)
        lower[here], upper[here] = low * many, high * many
    return (estimate, error, lower, upper), p_value


def _comparison(
    level: Level,
    table: Table,
    figures: tuple[FloatArray, ...],
    p_value: FloatArray,
    name: str,
    scale: Scale,
) -> Comparison:
    x0, e0, _, e1 = table
    estimate, error, lower, upper = figures
    empty = np.asarray((e0 <= 0) | (e1 <= 0))
    never = np.asarray(x0 == 0) & (scale == "relative")
    return Comparison(
        estimate=np.where(empty, np.nan, estimate),
        standard_error=error,
        lower=np.where(empty, np.nan, lower),
        upper=np.where(empty, np.nan, upper),
        p_value=np.where(empty, np.nan, level.p_of(np.asarray(p_value))),
        degrees_of_freedom=np.where(empty, np.nan, np.inf),
        status=statuses(
            np.broadcast_shapes(lower.shape, p_value.shape),
            (empty, Status.NOT_ENOUGH_DATA),
            (never, Status.UNBOUNDED),
        ),
        method=name + level.label,
        scale=scale,
        alpha=level.alpha,
    )
