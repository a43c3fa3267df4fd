"""Looking more than once: group-sequential boundaries.

A spending function says how much of the error may be used up by each look; the critical
values follow by integrating the joint density of the running statistic. The repeated
interval of a look uses its critical value, and the repeated p-value is the smallest
overall alpha at which that interval excludes no effect, so the two never disagree.

References:
    Lan and DeMets (1983), "Discrete sequential boundaries for clinical trials",
    Biometrika 70(3).
    Jennison and Turnbull (2000), "Group Sequential Methods with Applications to
    Clinical Trials", 7.2 (spending), 9.1 and 9.4 (repeated intervals and p-values),
    19.2 (recursive integration).
    Armitage, McPherson, Rowe (1969), "Repeated significance tests on accumulating
    data", JRSS A 132.
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2021), "Time-uniform central limit
    theory and asymptotic confidence sequences", arXiv:2103.06476, theorem 2.2.
    Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric,
    nonasymptotic confidence sequences", Annals of Statistics 49(2) (normal mixture).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    bisect,
    broadcast,
    check_open,
    normal_quantile,
    normal_tail,
    quiet,
)

Spending: TypeAlias = Literal["obrien_fleming", "pocock"] | float
"""A named family, or the exponent phi of the power family alpha * t^phi."""

NODES = 256
_TABLE_NODES = 128
_FARTHEST = 9.0  # beyond it a standard normal has less than 1e-18
_TABLE_SIZE = 161


@quiet
def spending(kind: Spending, alpha: ArrayLike, t: ArrayLike) -> FloatArray:
    """Return the two-sided error spent when a share ``t`` of the information is in.

    Args:
        kind: "obrien_fleming" (Lan-DeMets, each side by itself: almost nothing early),
            "pocock" (evenly), or an exponent phi > 0 for alpha * t^phi.
        alpha: two-sided error over all looks.
        t: information fraction; values above 1 count as 1.

    Raises:
        StatisticsError: unknown kind, or an argument out of its range.
    """
    error = np.asarray(alpha, dtype=np.float64)
    share = np.minimum(check_open("t", t, 0.0, np.inf), 1.0)
    if not isinstance(kind, str):
        if kind > 0:
            return np.asarray(error * share**kind)
    elif kind == "obrien_fleming":
        return 4 * normal_tail(normal_quantile(error / 4) / np.sqrt(share))
    elif kind == "pocock":
        return np.asarray(error * np.log1p((np.e - 1) * share))
    raise StatisticsError(
        f'kind must be "obrien_fleming", "pocock" or a number > 0, got {kind!r}'
    )


def boundaries(
    information: Sequence[float],
    alpha: float,
    *,
    kind: Spending = "obrien_fleming",
    two_sided: bool = True,
    nodes: int = NODES,
) -> FloatArray:
    """Return the normal critical value of each look.

    Args:
        information: rising information fractions of the looks so far, of the planned
            total. When the last exceeds 1 (overrun) all are divided by it and the rest
            of the error is spent.
        alpha: error over all looks.
        kind: spending function.
        two_sided: when False alpha is spent on one side: the boundary is that of two
            sides at 2 alpha, which is conservative by less than alpha^2.
        nodes: Gauss-Legendre nodes of the integration.

    Raises:
        StatisticsError: fractions that do not rise from above 0, or alpha out of range.
    """
    fractions = checked_fractions(information)
    total = check_open("alpha", alpha, 0.0, 1.0 if two_sided else 0.5)
    both_sides = np.atleast_1d(total if two_sided else 2 * total)
    return np.asarray(_critical_values(fractions, both_sides, kind, nodes)[0])


def checked_fractions(information: Sequence[float]) -> tuple[float, ...]:
    """Return the fractions, rescaled when they overrun.

    Raises:
        StatisticsError: empty, not positive or not rising.
    """
    fractions = tuple(float(share) for share in information)
    rising = all(a < b for a, b in zip((0.0, *fractions), fractions, strict=False))
    if not fractions or not rising or not np.isfinite(fractions[-1]):
        raise StatisticsError(
            f"information must rise strictly from above 0, got {fractions!r}"
        )
    last = fractions[-1]
    return tuple(share / last for share in fractions) if last > 1 else fractions


def _critical_values(
    fractions: tuple[float, ...], alphas: FloatArray, kind: Spending, nodes: int
) -> FloatArray:
    """Return critical values, shape (alpha, look), by recursive integration.

    Between looks the density of the statistic Z on the continuation region [-c, c] is
    kept at Gauss-Legendre nodes; Z' = sqrt(t/t') Z + sqrt(1 - t/t') noise.
    """
    points, weights = np.polynomial.legendre.leggauss(nodes)
    spent = np.zeros_like(alphas)
    critical = np.empty((alphas.size, len(fractions)))
    z = mass = drift = np.empty((alphas.size, 0))
    noise = 1.0
    for look, share in enumerate(fractions):
        due = np.maximum(spending(kind, alphas, share) - spent, 0.0)
        spent = spent + due
        if look == 0:
            bound = normal_quantile(due / 2)
        else:
            drift = np.sqrt(fractions[look - 1] / share) * z
            noise = np.sqrt(1 - fractions[look - 1] / share)
            bound = _exit_bound(drift, noise, mass, due)
        critical[:, look] = bound
        if look == len(fractions) - 1:
            break
        edge = np.minimum(bound, _FARTHEST)[:, None]
        grid = edge * points
        if look == 0:
            density = _normal_density(grid)
        else:
            steps = (grid[:, :, None] - drift[:, None, :]) / noise
            density = (_normal_density(steps) * mass[:, None, :]).sum(-1) / noise
        z, mass = grid, density * edge * weights
    return critical


@quiet
def _exit_bound(
    drift: FloatArray, noise: float, mass: FloatArray, due: FloatArray
) -> FloatArray:
    """Return c with P(no exit before, |Z| > c) equal to the error that is due."""

    def excess(c: FloatArray) -> FloatArray:
        upper = special.ndtr((drift - c[:, None]) / noise)
        lower = special.ndtr((-drift - c[:, None]) / noise)
        return np.asarray((mass * (upper + lower)).sum(-1) - due)

    return bisect(excess, np.zeros_like(due), np.full_like(due, 2 * _FARTHEST))


@quiet
def _normal_density(z: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi))


@dataclass(frozen=True, slots=True)
class Look:
    """One look of a group-sequential plan; give it to a comparison as its quantile.

    Attributes:
        information: information fractions of the looks up to and including this one;
            give the last planned look 1.0, so that all of alpha is spent.
        alpha: two-sided error over all looks.
        kind: spending function.
    """

    information: tuple[float, ...]
    alpha: float
    kind: Spending = "obrien_fleming"

    def __post_init__(self) -> None:
        """Check the arguments once."""
        check_open("alpha", self.alpha)
        object.__setattr__(self, "information", checked_fractions(self.information))

    @property
    def critical(self) -> float:
        """Normal critical value of this look."""
        return _critical(self.information, self.alpha, self.kind)

    def repeated_p(self, p_value: ArrayLike) -> FloatArray:
        """Return the repeated p-value of a single-look two-sided p-value.

        It is below alpha exactly when the single-look statistic exceeds `critical`.
        """
        single = np.asarray(p_value, dtype=np.float64)
        return repeated_p(
            normal_quantile(single / 2),
            self.information,
            alpha=self.alpha,
            kind=self.kind,
        )


@quiet
def repeated_p(
    z: ArrayLike,
    information: Sequence[float],
    *,
    alpha: float = 0.05,
    kind: Spending = "obrien_fleming",
) -> FloatArray:
    """Return the smallest overall alpha whose repeated interval excludes no effect.

    The boundary of the latest look is tabulated over alpha and inverted; z of alpha is
    nearly a straight line in the boundary, so interpolation costs less than 1e-4 of the
    p-value. At the plan's own alpha the table is exact.

    Args:
        z: statistic of the latest look, any shape; NaN stays NaN.
        information: information fractions of the looks so far, this one last.
        alpha: the plan's error over all looks.
        kind: spending function.

    Raises:
        StatisticsError: as `boundaries`.
    """
    fractions = checked_fractions(information)
    plan_alpha = float(check_open("alpha", alpha))
    bounds, levels = _boundary_table(fractions, kind)
    here = _critical(fractions, plan_alpha, kind)
    level = float(normal_quantile(plan_alpha / 2))
    place = int(np.searchsorted(bounds, here))
    bounds = np.insert(bounds, place, here)
    levels = np.maximum.accumulate(np.insert(levels, place, level))
    size = np.abs(np.asarray(z, dtype=np.float64))
    slope = (levels[-1] - levels[-2]) / (bounds[-1] - bounds[-2])
    beyond = levels[-1] + slope * (np.minimum(size, 1e3) - bounds[-1])
    found = np.where(size > bounds[-1], beyond, np.interp(size, bounds, levels))
    p_value = np.where(size < bounds[0], 1.0, 2 * normal_tail(found))
    return np.where(np.isnan(size), np.nan, np.minimum(p_value, 1.0))


@lru_cache(maxsize=256)
def _critical(fractions: tuple[float, ...], alpha: float, kind: Spending) -> float:
    return float(_critical_values(fractions, np.array([alpha]), kind, NODES)[0, -1])


@lru_cache(maxsize=64)
def _boundary_table(
    fractions: tuple[float, ...], kind: Spending
) -> tuple[FloatArray, FloatArray]:
    """Return rising boundaries of the last look and the z of alpha / 2 of each."""
    levels = np.linspace(0.0, 7.5, _TABLE_SIZE)
    alphas = np.minimum(2 * normal_tail(levels), 1.0)
    bounds = _critical_values(fractions, alphas, kind, _TABLE_NODES)[:, -1]
    bounds = np.maximum.accumulate(bounds)
    rising = np.isfinite(bounds) & (np.diff(bounds, prepend=-1.0) > 0)
    return bounds[rising], levels[rising]


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """An interval that holds at every look together, however often one looks.

    Attributes:
        half_width: of the interval around the estimate.
        p_value: valid at any time; keep the smallest seen so far.
        log_evidence: log of the e-value against no effect; -inf on the wrong side.
    """

    half_width: FloatArray
    p_value: FloatArray
    log_evidence: FloatArray


@quiet
def always_valid(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    n: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    n_opt: ArrayLike,
    one_sided: bool = False,
) -> ConfidenceSequence:
    """Return the asymptotic confidence sequence of a normal mixture at this moment.

    Works on any asymptotically linear estimate (mean, ratio, covariate-adjusted). Wait
    for about 100 units a variant before the first look.

    Args:
        estimate: effect, any shape.
        standard_error: of the estimate.
        n: units of both arms together.
        alpha: error over all time.
        n_opt: number of units at which the interval is narrowest; fix it beforehand.
        one_sided: test for a positive effect; the lower bound is estimate - half_width.

    Raises:
        StatisticsError: alpha out of (0, 1), out of (0, 0.5) when one-sided, or n_opt
            not positive.
    """
    error = check_open("alpha", alpha, 0.0, 0.5 if one_sided else 1.0)
    best = check_open("n_opt", n_opt, 0.0, np.inf)
    d, se, units = broadcast(estimate=estimate, standard_error=standard_error, n=n)
    log_alpha = np.log(2 * error if one_sided else error)
    rho2 = (-2 * log_alpha + np.log1p(-2 * log_alpha)) / best
    t = units * rho2 + 1
    usable = np.where((se > 0) & (units > 0), se, np.nan)
    x = units * rho2 * (d / usable) ** 2 / (2 * t)
    evidence = x - 0.5 * np.log(t)
    if one_sided:
        limit = np.log1p(np.sqrt(t) / (2 * error))
        evidence = np.log(2) + x + np.log(-np.expm1(-x)) - 0.5 * np.log(t)
        evidence = np.where(d > 0, evidence, -np.inf)
    else:
        limit = 0.5 * np.log(t) - np.log(error)
    p_value = np.exp(np.minimum(-evidence, 0.0))
    half_width = usable * np.sqrt(2 * t * limit / np.where(units > 0, units * rho2, 1))
    p_value = np.where(np.isnan(usable), np.nan, p_value)
    return ConfidenceSequence(half_width, p_value, evidence)
