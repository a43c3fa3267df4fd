"""Experiments that switch everyone between control and treatment over time.

Where users share something (stock, drivers, a model trained on all of them) an A/B test
by user is biased; a switchback gives all of a region one arm for a block of time, then
draws again. The blocks are the randomised units. An effect may linger: `burn_in`
periods after each start of a block carry some of the block before.

`block_difference` (the default) drops the burn-in of every block and compares blocks as
clusters: the least noise, right under any trend and autocorrelation. With few blocks
`randomisation_test` gives an exact p-value for no effect, and the interval inverted
from it. The Horvitz-Thompson estimate over assignment paths is in `switchback_paths`.

References:
    Bojinov, Simchi-Levi, Zhao (2023), "Design and analysis of switchback experiments",
    Management Science 69(7), sections 2 (carryover) and 5 (exact test).
    Hu, Wager (2022), "Switchback experiments under geometric mixing", arXiv:2209.00197
    (burn-in).
    Ding (2024), "A First Course in Causal Inference", chapter 3 (randomisation tests
    and their inversion).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.clusters import cluster_difference, cluster_totals
from experiments.statistics.comparison import (
    Comparison,
    Quantile,
    Status,
    statuses,
)
from experiments.statistics.grouping import IntArray, group_sums
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    as_floats,
    broadcast,
    check_at_least,
    check_open,
    divide,
    quiet,
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which arm each period had, and how it was drawn; arrays have shape (period,).

    Periods are in order of time within a region, regions one after the other.

    Attributes:
        block: number of each period's block, 0, 1, ... in order; a block lies in one
            region and has one arm, drawn independently of all others.
        treated: whether the period had the treatment.
        region: number of the region of each period, in order.
        burn_in: periods over which an effect lingers.
        probability: with which a block was given the treatment.
    """

    block: IntArray
    treated: BoolArray
    region: IntArray
    burn_in: int
    probability: float

    @classmethod
    def of(
        cls,
        block: ArrayLike,
        treated: ArrayLike,
        *,
        burn_in: int,
        region: ArrayLike | None = None,
        probability: float = 0.5,
    ) -> "Schedule":
        """Build from ids.

        Args:
            block: id of the block of each period; a new id starts a new draw.
            treated: 0 or 1 for each period.
            burn_in: periods over which an effect lingers, at least 0.
            region: id of the region of each period; one region by default.
            probability: with which a block was given the treatment.

        Raises:
            StatisticsError: shapes that differ, a block in two arms, a treated value
                other than 0 or 1, a negative burn-in, or a probability out of (0, 1).
        """
        ids = np.asarray(block)
        places = np.zeros(ids.shape, np.int64) if region is None else np.asarray(region)
        arm = as_floats("treated", treated)
        if ids.ndim != 1 or not ids.shape == arm.shape == places.shape or not ids.size:
            raise StatisticsError(
                "block, treated and region must share one shape (period,), "
                f"got {ids.shape}, {arm.shape} and {places.shape}"
            )
        if not np.isin(arm, (0.0, 1.0)).all():
            raise StatisticsError("treated must hold 0 and 1 alone")
        check_open("probability", probability)
        if burn_in < 0:
            raise StatisticsError(f"burn_in must be >= 0, got {burn_in}")
        moved = np.append(True, places[1:] != places[:-1])
        number = np.cumsum(moved | np.append(True, ids[1:] != ids[:-1])) - 1
        switched = np.append(False, arm[1:] != arm[:-1])
        if bool((switched & ~np.append(True, number[1:] != number[:-1])).any()):
            raise StatisticsError("block must have one arm, got a block with both")
        return cls(number, arm == 1.0, np.cumsum(moved) - 1, burn_in, probability)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(self.block[-1]) + 1

    @property
    def settled(self) -> BoolArray:
        """Periods after the burn-in of their block."""
        return np.asarray(_since(self.block) >= self.burn_in)

    @property
    def arms(self) -> BoolArray:
        """Whether each block had the treatment, shape (block,)."""
        return np.asarray(self.treated[_since(self.block) == 0])

    @property
    def window_start(self) -> IntArray:
        """First block that still acts on each period; -1 where it began before."""
        position = np.arange(self.block.size) - self.burn_in
        begun = _since(self.region) >= self.burn_in
        return np.where(begun, self.block[np.maximum(position, 0)], -1)


@quiet
def block_difference(
    outcome: ArrayLike,
    schedule: Schedule,
    *,
    size: ArrayLike = 1.0,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare treated with control blocks, the burn-in of every block dropped.

    Args:
        outcome: total of the metric in each period, shape (..., period).
        schedule: the arms of the periods.
        size: users (or the denominator) of each period; the estimate is the difference
            of total over size. With the default it is that of totals per period.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: shapes that do not fit, a negative size, or alpha out of
            (0, 1).
    """
    control, treatment = (
        cluster_totals(sizes * (schedule.arms == arm), totals)
        for sizes, totals in (_block_sums(outcome, size, schedule),)
        for arm in (False, True)
    )
    result = cluster_difference(control, treatment, alpha=alpha, quantile=quantile)
    return replace(result, method=result.method.replace("Cluster", "Block", 1))


@quiet
def randomisation_test(
    outcome: ArrayLike,
    schedule: Schedule,
    *,
    rng: np.random.Generator,
    size: ArrayLike = 1.0,
    draws: int = 2000,
    alpha: float = 0.05,
) -> Comparison:
    """Redraw the arms of the blocks and see how often chance does as much.

    Exact for "no effect in any period", whatever the trend. The interval holds every
    constant effect per user (or period) that the same test does not reject. Draws in
    which all blocks have one arm are thrown back, as the experiment would have been.

    Args:
        outcome: total of the metric in each period, shape (..., period).
        schedule: the arms of the periods.
        rng: the source of chance; the same state gives the same p-value.
        size: users (or the denominator) of each period.
        draws: number of redrawn schedules; the p-value is at least 1 / (draws + 1).
        alpha: two-sided error.

    Raises:
        StatisticsError: shapes that do not fit, draws below 2 / alpha, or alpha out of
            (0, 1).
    """
    check_open("alpha", alpha)
    if draws * alpha < 2:
        raise StatisticsError(f"draws must be >= 2 / alpha, got {draws}")
    sizes, totals = _block_sums(outcome, size, schedule)
    # Without the common level, equal differences are equal to the last digit.
    level = divide(totals.sum(axis=-1), sizes.sum(axis=-1))
    totals = totals - level[..., None] * sizes
    arms = schedule.arms.astype(np.float64)[None]
    redrawn = _redraw(schedule, draws, rng)
    gap = _differences(totals, sizes, arms)
    chance = _differences(totals, sizes, redrawn)
    # How far a constant effect of 1 under the real arms shows under redrawn ones.
    echo = _differences(sizes * arms[0], sizes, redrawn)
    slack = 1e-12 * np.abs(gap)
    extreme = (np.abs(chance) >= np.abs(gap) - slack) | np.isnan(chance)
    p_value = (extreme.sum(axis=-1) + 1) / (draws + 1)
    lower, upper = _accepted(gap, chance, echo, alpha)
    kept = p_value >= alpha
    lower = np.where(kept, np.minimum(lower, 0.0), lower)
    upper = np.where(kept, np.maximum(upper, 0.0), upper)
    found = gap[..., 0]
    both = np.isfinite(found)
    return Comparison(
        estimate=found,
        standard_error=np.where(both, chance.std(axis=-1), np.nan),
        lower=np.where(both, lower, np.nan),
        upper=np.where(both, upper, np.nan),
        p_value=np.where(both, p_value, np.nan),
        degrees_of_freedom=np.asarray(np.inf),
        status=statuses(
            np.shape(found),
            (~both, Status.NOT_ENOUGH_DATA),
            (chance.std(axis=-1) == 0, Status.DEGENERATE),
            (~(np.isfinite(lower) & np.isfinite(upper)), Status.NOT_ENOUGH_DATA),
        ),
        method=f"Randomisation test, {draws:,} draws",
        scale="absolute",
        alpha=np.asarray(alpha),
    )


def _since(number: IntArray) -> IntArray:
    """Return how many places ago each run of one number began; numbers are sorted."""
    begin = np.searchsorted(number, number, side="left")
    return np.asarray(np.arange(number.size) - begin, dtype=np.int64)


def period_rows(
    outcome: ArrayLike, size: ArrayLike, schedule: Schedule
) -> tuple[FloatArray, FloatArray]:
    """Return outcome and size of each period, checked."""
    periods = np.zeros(schedule.block.size)
    rows, sizes, _ = broadcast(
        outcome=outcome, size=check_at_least("size", size, 0), schedule=periods
    )
    if rows.shape[-1] != periods.size:
        raise StatisticsError(
            f"outcome must have shape (..., {periods.size}), got {rows.shape}"
        )
    return rows, sizes


def _block_sums(
    outcome: ArrayLike, size: ArrayLike, schedule: Schedule
) -> tuple[FloatArray, FloatArray]:
    """Return size and outcome of each block after its burn-in, (..., block)."""
    rows, sizes = period_rows(outcome, size, schedule)
    used, place = schedule.settled, schedule.block[schedule.settled]
    return (
        group_sums(sizes[..., used], place, schedule.blocks),
        group_sums(rows[..., used], place, schedule.blocks),
    )


def _differences(totals: FloatArray, sizes: FloatArray, arms: FloatArray) -> FloatArray:
    """Return total over size of treated less control blocks, for each row of arms.

    Args:
        totals: outcome of each block, shape (..., block).
        sizes: size of each block.
        arms: 1 for treated blocks, shape (draw, block).

    Returns:
        Shape (..., draw); NaN where an arm has no block with a size.
    """
    treated = divide(totals @ arms.T, sizes @ arms.T)
    return treated - divide(totals @ (1 - arms).T, sizes @ (1 - arms).T)


def _accepted(
    gap: FloatArray, chance: FloatArray, echo: FloatArray, alpha: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the constant effects that the redrawn schedules accept.

    Args:
        gap: difference under the real schedule, shape (..., 1).
        chance: difference under each redrawn one, shape (..., draw).
        echo: how far a constant effect of 1 shows under it, from -1 to 1.
        alpha: effects whose p-value is below it are out.
    """
    # A redraw is as extreme as the truth for every effect between two roots; one equal
    # to the real schedule, or its mirror, for any effect at all (NaN roots).
    roots = np.stack(
        [divide(gap - chance, 1 - echo), divide(gap + chance, 1 + echo)], axis=-1
    )
    always = np.isnan(roots).any(axis=-1)
    low = np.sort(np.where(always, -np.inf, roots.min(axis=-1)), axis=-1)
    high = np.sort(np.where(always, np.inf, roots.max(axis=-1)), axis=-1)
    draws = chance.shape[-1]
    # The last effect whose p-value, (1 + extreme) / (1 + draws), reaches alpha.
    place = int(np.ceil(alpha * (draws + 1) - 1 - 1e-9))
    return low[..., place - 1], high[..., draws - place]


def _redraw(schedule: Schedule, draws: int, rng: np.random.Generator) -> FloatArray:
    """Return arms of blocks drawn anew, with both arms in every draw where possible."""
    blocks = schedule.blocks
    rows = rng.random((draws, blocks)) < schedule.probability
    while blocks > 1:
        lone = (rows == rows[:, :1]).all(axis=-1)
        if not lone.any():
            break
        rows[lone] = rng.random((int(lone.sum()), blocks)) < schedule.probability
    return rows.astype(np.float64)
