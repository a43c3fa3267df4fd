"""Half way: is it worth going on, and how much more traffic does it take?

Two questions about an experiment that is running. *Conditional power*: given what is
seen, how likely is it that one of the looks still to come finds the effect? *Extra
traffic*: how many times the units so far are still to come until an effect worth having
would be found? Both guide people; neither is evidence, and neither may change the
error that was planned.

References:
    Lachin (2005), "A review of methods for futility stopping based on conditional
    power", Statistics in Medicine 24(18).
    Jennison and Turnbull (2000), "Group Sequential Methods", 10.2.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.crossing import Walk, crossings, follow
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    bisect,
    broadcast,
    check_at_least,
    check_open,
    normal_quantile,
    quiet,
)
from experiments.statistics.sequential import Look, boundaries

_MOST = 1e9


@quiet
def conditional_power(
    z: ArrayLike,
    look: Look,
    remaining: tuple[float, ...],
    *,
    drift: ArrayLike | None = None,
) -> FloatArray:
    """Return the probability that a coming look finds an effect in the good direction.

    Args:
        z: statistic at the latest look, good direction positive, any shape.
        look: the looks so far.
        remaining: information fractions of the looks to come, rising.
        drift: true effect over the standard error expected at full information; by
            default the trend seen so far. Give the effect that was planned for: the
            trend makes a poor start look hopeless.

    Raises:
        StatisticsError: looks to come that do not rise beyond the last one.
    """
    now = look.information[-1]
    if not remaining or remaining[0] <= now:
        raise StatisticsError(
            f"remaining must rise from above {now:g}, got {remaining}"
        )
    taken = len(look.information)
    bounds = boundaries(
        (*look.information, *remaining), look.alpha, kind=look.kind, final=True
    )
    seen = np.asarray(z, dtype=np.float64)
    trend = seen / np.sqrt(now) if drift is None else drift
    seen, trend = broadcast(z=seen, drift=trend)
    bounds = bounds[taken:]
    walks = follow(remaining, bounds, start=Walk.at(now, seen))
    above, _ = crossings(walks, remaining, bounds, trend)
    return np.asarray(np.minimum(above.sum(axis=-1), 1.0))


@quiet
def extra_traffic(
    effect: ArrayLike,
    standard_error: ArrayLike,
    *,
    alpha: float = 0.05,
    power: ArrayLike = 0.8,
    critical_at: Callable[[FloatArray], ArrayLike] | None = None,
    prior: tuple[float, float] | None = None,
) -> FloatArray:
    """Return the units still to come, in units so far, until an effect would be found.

    25 means: 25 times as many again. 0: enough already; inf: never.

    Args:
        effect: effect worth having, on the scale of the standard error.
        standard_error: of the estimate so far, at that effect.
        alpha: two-sided error.
        power: probability to find it.
        critical_at: normal critical value after so many times the present units, for
            instance ``lambda times: AlwaysValid(units * times, alpha).critical``; a
            single look by default.
        prior: mean and variance of a normal prior on the effect, for a Bayesian reading
            (posterior interval excludes zero).

    Raises:
        StatisticsError: a standard error below 0, or alpha, power or the prior's
            variance out of range.
    """
    edge = float(normal_quantile(check_open("alpha", alpha) / 2))
    reserve = normal_quantile(1 - check_open("power", power))
    size, error, reserve = broadcast(
        effect=np.abs(np.asarray(effect, dtype=np.float64)),
        standard_error=check_at_least("standard_error", standard_error, 0),
        power=reserve,
    )
    mean, variance = prior or (0.0, np.inf)
    if not variance > 0:
        raise StatisticsError(
            f"variance of the prior must be above 0, got {variance!r}"
        )
    # The prior counts in the effect's own direction.
    pull = mean * np.sign(np.asarray(effect, dtype=np.float64)) / variance

    def missing(log: FloatArray) -> FloatArray:
        times = np.exp(log)
        now = error / np.sqrt(times)
        critical = edge if critical_at is None else np.asarray(critical_at(times))
        shrunk = np.sqrt(1 + now**2 / variance)
        return np.asarray(critical * shrunk - pull * now - size / now + reserve)

    none, most = np.zeros_like(size), np.full_like(size, np.log(_MOST))
    times = np.exp(bisect(missing, none, most))
    times = np.where(missing(none) <= 0, 1.0, times)
    never = np.asarray(missing(most) > 0)
    known = ~np.isnan(size + error)
    return np.where(known, np.where(never, np.inf, times - 1), np.nan)
