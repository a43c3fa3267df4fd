"""Bootstrap comparison of means, ratios and lifts, for heavy tails and uneven splits.

Money of few buyers under a 90/10 split breaks Welch's tails. The studentised interval
(bootstrap-t), the default, learns the skew of the statistic from the data; the
percentile interval is an option. Interval and p-value count the same replicates: the
p-value is the smallest alpha whose interval excludes no effect, and never smaller than
2 / (replicates + 1). The lift inverts the same studentised statistic for every possible
lift (Fieller's idea), so it agrees with the difference; on the log scale it is an
option for positive metrics that comes nearer to its stated error. Measured at 5 % with
9,000 and 1,000 units, one in twenty a buyer of a log-normal sum, 10,000 tests: Welch
7.2 % (6.6 in one tail), studentised 6.3 % (4.1), log 5.5 % (3.4). Where the replicates
of a mean are themselves skewed by more than 0.15 the cell carries `skew_warning`: too
few units hold the metric for any of these.

References:
    Efron and Tibshirani (1993), "An introduction to the bootstrap", 12.5 (bootstrap-t),
    13.3 (percentile).
    Davison and Hinkley (1997), "Bootstrap methods and their application", 4.4 (p-values
    of studentised statistics), 5.2.
    Hall (1992), "The bootstrap and Edgeworth expansion", 3.5 (why to studentise).
    Hwang (1995), "Fieller's problems and resampling techniques", Statistica Sinica 5
    (bootstrap of Fieller's statistic).
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
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
    StatisticsError,
    bisect,
    broadcast,
    divide,
    quiet,
)
from experiments.statistics.ratios import linearised
from experiments.statistics.replicates import ReplicateSums

Kind: TypeAlias = Literal["studentised", "percentile"]
LiftKind: TypeAlias = Literal["studentised", "percentile", "log"]

TOO_SKEWED = 0.15
"""Skewness of a mean's replicates above which the cell is flagged."""

_NO_EFFECT = np.asarray(np.pi / 4)
_HALVINGS = 50


@quiet
def bootstrap_difference(
    control: ReplicateSums,
    treatment: ReplicateSums,
    *,
    kind: Kind = "studentised",
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare means or ratios by their difference.

    Args:
        control: the control's sums, any shape.
        treatment: the treatment's, broadcast against the control.
        kind: of the interval.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), unknown kind, shapes that do not fit, or
            too few replicates for the level.
    """
    pair = _Pair.of(control, treatment)
    level, rank = _level(pair, alpha, quantile, kind, Kind)
    if kind == "percentile":
        effects = pair.treatment - pair.control
        return _percentile(pair, level, rank, effects, "absolute")
    error = pair.error(_NO_EFFECT) * np.sqrt(2)
    low, high = _ends(pair.replicates(_NO_EFFECT), rank)
    ends = pair.effect - high * error, pair.effect - low * error
    return _comparison(pair, level, "studentised", "absolute", (error, *ends))


@quiet
def bootstrap_lift(
    control: ReplicateSums,
    treatment: ReplicateSums,
    *,
    kind: LiftKind = "studentised",
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare means or ratios as a lift over the size of the control's.

    Args:
        control: the control's sums, any shape.
        treatment: the treatment's, broadcast against the control.
        kind: of the interval; "log" studentises the log of the ratio, with a p-value of
            its own, and needs both values positive.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), unknown kind, shapes that do not fit, or
            too few replicates for the level.
    """
    pair = _Pair.of(control, treatment)
    level, rank = _level(pair, alpha, quantile, kind, LiftKind)
    if kind == "log":
        return _log_lift(pair, level, rank)
    if kind == "percentile":
        effects = divide(pair.treatment - pair.control, np.abs(pair.control))
        return _percentile(pair, level, rank, effects, "relative")
    # A lift is an angle: tan(angle) = treatment / control, so all lifts are finite.
    edge = np.full(pair.effect.shape, np.pi / 2)
    middle = np.broadcast_to(_NO_EFFECT, edge.shape)

    def above(angle: FloatArray) -> FloatArray:
        return pair.statistic(angle) - _ends(pair.replicates(angle), rank)[1]

    def below(angle: FloatArray) -> FloatArray:
        return pair.statistic(angle) - _ends(pair.replicates(angle), rank)[0]

    roots = []
    for gap in (above, below):
        better = gap(middle) > 0
        low, high = np.where(better, middle, -edge), np.where(better, edge, middle)
        roots.append(np.tan(bisect(gap, low, high, steps=_HALVINGS)) - 1)
    bounded = (above(-edge) > 0) & (below(edge) < 0)
    lower = np.where(pair.sign > 0, roots[0], -roots[1])
    upper = np.where(pair.sign > 0, roots[1], -roots[0])
    size = np.abs(pair.plain_control)
    ratio = divide(pair.plain_treatment, size)
    error = np.sqrt(pair.u_treatment + ratio**2 * pair.u_control) / size
    ends = np.where(bounded, lower, -np.inf), np.where(bounded, upper, np.inf)
    return _comparison(pair, level, "studentised", "relative", (error, *ends))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two variants as linearised means: plain (...), replicates (..., replicate).

    ``u`` are squared standard errors; ``sign`` is that of the control's value.
    """

    plain_control: FloatArray
    plain_treatment: FloatArray
    u_control: FloatArray
    u_treatment: FloatArray
    count: FloatArray
    control: FloatArray
    treatment: FloatArray
    u_control_replicates: FloatArray
    u_treatment_replicates: FloatArray

    @classmethod
    def of(cls, control: ReplicateSums, treatment: ReplicateSums) -> "_Pair":
        """Linearise both variants.

        Raises:
            StatisticsError: the numbers of replicates or the shapes do not fit.
        """
        if control.replicates != treatment.replicates:
            raise StatisticsError(
                f"treatment must have {control.replicates} replicates like the "
                f"control, got {treatment.replicates}"
            )
        a, b = linearised(control.plain), linearised(treatment.plain)
        draws_a = linearised(control.resampled)
        draws_b = linearised(treatment.resampled)
        plain = broadcast(
            a=a.mean,
            b=b.mean,
            u=a.standard_error2,
            v=b.standard_error2,
            n=np.minimum(a.count, b.count),
        )
        replicates = broadcast(
            a=draws_a.mean,
            b=draws_b.mean,
            u=draws_a.standard_error2,
            v=draws_b.standard_error2,
        )
        return cls(*plain, *replicates)

    @property
    def sign(self) -> FloatArray:
        """Orientation of the control's value."""
        return np.where(self.plain_control < 0, -1.0, 1.0)

    @property
    def effect(self) -> FloatArray:
        """Treatment minus control."""
        return self.plain_treatment - self.plain_control

    def error(self, angle: FloatArray) -> FloatArray:
        """Return the error of cos(angle) treatment - sin(angle) control."""
        c, s = np.cos(angle), np.sin(angle)
        return np.sqrt(c * c * self.u_treatment + s * s * self.u_control)

    def statistic(self, angle: FloatArray) -> FloatArray:
        """Return the oriented statistic of "treatment = tan(angle) control"."""
        c, s = np.cos(angle), np.sin(angle)
        gap = c * self.plain_treatment - s * self.plain_control
        return divide(self.sign * gap, self.error(angle))

    def replicates(self, angle: FloatArray) -> FloatArray:
        """Return the statistic of every replicate around the plain values."""
        c, s = np.cos(angle)[..., None], np.sin(angle)[..., None]
        treatment = self.treatment - self.plain_treatment[..., None]
        control = self.control - self.plain_control[..., None]
        gap = self.sign[..., None] * (c * treatment - s * control)
        noise = c * c * self.u_treatment_replicates + s * s * self.u_control_replicates
        return _standardised(gap, noise)


def _level(
    pair: _Pair, alpha: ArrayLike, quantile: Quantile, kind: str, kinds: object
) -> tuple[Level, FloatArray]:
    """Return the level and how many replicates lie outside each end, plus one."""
    if kind not in get_args(kinds):
        raise StatisticsError(f"kind must be one of {get_args(kinds)}, got {kind!r}")
    level = Level.resolve(alpha, quantile)
    replicates = pair.control.shape[-1]
    # Strictly inside, so that the interval excludes zero exactly when p < alpha.
    rank = np.ceil((replicates + 1) * level.nominal / 2) - 1
    if (rank < 1).any():
        needed = int(np.ceil(2 / level.nominal.min()))
        raise StatisticsError(
            f"replicates must be >= {needed} at this level, got {replicates}"
        )
    return level, rank


@quiet
def _ends(draws: FloatArray, rank: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the rank-th smallest and largest replicate; unknown ones lie outside."""
    shape, count = draws.shape[:-1], draws.shape[-1]
    at = np.broadcast_to(rank, shape).astype(np.intp)[..., None]
    last = count - at
    kth = np.unique([at - 1, last])
    unknown = np.isnan(draws)
    ends = []
    for fill, index in ((-np.inf, at - 1), (np.inf, last)):
        filled = np.where(unknown, fill, draws)
        filled.partition(kth, axis=-1) if kth.size <= 2 else filled.sort(axis=-1)
        ends.append(np.take_along_axis(filled, index, axis=-1)[..., 0])
    return ends[0], ends[1]


@quiet
def _p_value(draws: FloatArray, point: FloatArray) -> FloatArray:
    """Return the smallest alpha whose interval excludes the point; unknown count."""
    low = (~(draws > point[..., None])).sum(axis=-1)
    high = (~(draws < point[..., None])).sum(axis=-1)
    p_value = 2 * (np.minimum(low, high) + 1) / (draws.shape[-1] + 1)
    return np.asarray(np.minimum(p_value, 1.0))


def _percentile(
    pair: _Pair, level: Level, rank: FloatArray, effects: FloatArray, scale: Scale
) -> Comparison:
    known = np.isfinite(effects)
    count = known.sum(axis=-1)
    centre = divide(np.where(known, effects, 0.0).sum(axis=-1), count)
    squares = np.where(known, (effects - centre[..., None]) ** 2, 0.0).sum(axis=-1)
    error = np.sqrt(divide(squares, count - 1))
    ends = _ends(effects, rank)
    p_value = _p_value(effects, np.zeros(error.shape))
    return _comparison(pair, level, "percentile", scale, (error, *ends), p_value)


@quiet
def _log_lift(pair: _Pair, level: Level, rank: FloatArray) -> Comparison:
    """Studentise the log of treatment over control, whose skew is less."""
    a, b = pair.plain_control, pair.plain_treatment
    positive = (a > 0) & (b > 0)
    log = np.log(np.where(positive, divide(b, a), np.nan))
    error = np.sqrt(divide(pair.u_control, a**2) + divide(pair.u_treatment, b**2))
    top, bottom = pair.treatment, pair.control
    known = (top > 0) & (bottom > 0)
    gap = np.log(np.where(known, divide(top, bottom), np.nan)) - log[..., None]
    noise = divide(pair.u_control_replicates, bottom**2)
    draws = _standardised(gap, noise + divide(pair.u_treatment_replicates, top**2))
    low, high = _ends(draws, rank)
    ratio = np.exp(log)
    lower, upper = ratio * np.exp(-high * error) - 1, ratio * np.exp(-low * error) - 1
    figures = ratio * error, np.where(positive, lower, np.nan), upper
    p_value = _p_value(draws, divide(log, error))
    result = _comparison(pair, level, "log", "relative", figures, p_value)
    status = result.status.copy()
    status[~positive & (pair.count > 1)] = Status.DEGENERATE
    return replace(
        result, status=status, p_value=np.where(positive, result.p_value, np.nan)
    )


def _standardised(gap: FloatArray, noise: FloatArray) -> FloatArray:
    """Return gap over the root of noise; NaN where unknown, infinite without noise."""
    flat = np.where(gap == 0, 0.0, np.copysign(np.inf, gap))
    draws = np.where(noise > 0, divide(gap, np.sqrt(noise)), flat)
    return np.where(np.isnan(gap) | np.isnan(noise), np.nan, draws)


@quiet
def _skewed(draws: FloatArray) -> BoolArray:
    """Where a mean's replicates are skewed, so that it is far from normal."""
    return np.asarray(np.abs(Moments.from_units(draws).skewness) > TOO_SKEWED)


def _comparison(
    pair: _Pair,
    level: Level,
    kind: LiftKind,
    scale: Scale,
    figures: tuple[FloatArray, FloatArray, FloatArray],
    p_value: FloatArray | None = None,
) -> Comparison:
    """Put error and ends together with the p-value of the same replicates."""
    error, lower, upper = figures
    plain = pair.error(_NO_EFFECT)
    if p_value is None:
        p_value = _p_value(pair.replicates(_NO_EFFECT), pair.statistic(_NO_EFFECT))
    estimate = pair.effect
    if scale == "relative":
        estimate = divide(estimate, np.abs(pair.plain_control))
    empty = pair.count < 2
    flat = ~(plain > 0) | ~np.isfinite(plain)
    unbounded = ~(np.isfinite(lower) & np.isfinite(upper) & np.isfinite(estimate))
    same = flat & (pair.effect == 0) & ~empty
    return Comparison(
        estimate=np.where(pair.count < 1, np.nan, estimate),
        standard_error=error,
        lower=np.where(empty | flat, np.nan, lower),
        upper=np.where(empty | flat, np.nan, upper),
        p_value=level.p_of(
            np.where(same, 1.0, np.where(empty | flat, np.nan, p_value))
        ),
        degrees_of_freedom=np.full(plain.shape, np.nan),
        status=statuses(
            plain.shape,
            (empty, Status.NOT_ENOUGH_DATA),
            (flat, Status.DEGENERATE),
            (
                unbounded,
                Status.UNBOUNDED if scale == "relative" else Status.NOT_ENOUGH_DATA,
            ),
            (_skewed(pair.control) | _skewed(pair.treatment), Status.SKEW_WARNING),
        ),
        method=f"Poisson bootstrap, {kind}" + level.label,
        scale=scale,
        alpha=level.alpha,
    )
