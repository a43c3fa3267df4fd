"""How many days an experiment takes, from the days before it.

Only units not seen before add to the sample, and their number falls from day to day as
regular visitors have come: 20,000 units are not reached in twenty days of 1,000 daily
visitors. Take the history of *new* units, counted from a day on which all were new, and
plan in whole weeks, since weekdays differ.

References:
    Kohavi, Tang, Xu (2020), "Trustworthy Online Controlled Experiments", chapter 2
    (whole weeks, novelty).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    check_at_least,
    check_open,
    quiet,
)

WEEK = 7


@dataclass(frozen=True, slots=True)
class Duration:
    """Time to reach some numbers of units; one shape.

    Attributes:
        days: whole days; inf where they are never reached.
        weeks: whole weeks.
        extrapolated: where history is too short: its last week is taken to go on.
    """

    days: FloatArray
    weeks: FloatArray
    extrapolated: BoolArray


@quiet
def duration(
    units: ArrayLike, arrivals: ArrayLike, *, traffic: float = 1.0
) -> Duration:
    """Return how long it takes until so many units have come.

    Args:
        units: of all arms together, any shape, for instance from `power.sample_size`.
        arrivals: units that came for the first time on each day of a past period, shape
            (day,).
        traffic: share of the units that enter the experiment.

    Raises:
        StatisticsError: negative values, no day at all, or a share out of (0, 1].
    """
    daily = check_at_least("arrivals", arrivals, 0)
    if daily.ndim != 1 or not daily.size:
        raise StatisticsError(
            f"arrivals must have shape (day,) with a day at least, got {daily.shape}"
        )
    wanted = np.asarray(units, dtype=np.float64)
    share = 1.0 if traffic == 1 else float(check_open("traffic", traffic))
    reached = np.cumsum(daily) * share
    within = np.searchsorted(reached, wanted, side="left") + 1.0
    rate = daily[-WEEK:].mean() * share
    missing = wanted - reached[-1]
    onward = daily.size + np.where(rate > 0, np.ceil(missing / rate), np.inf)
    beyond = np.asarray(missing > 0)
    days = np.where(beyond, onward, within)
    days = np.where(np.isnan(wanted), np.nan, days)
    return Duration(days, np.ceil(days / WEEK), beyond)
