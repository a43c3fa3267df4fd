"""Barnard's, Boschloo's and Fisher's tests of one small table: options.

They bring p-values without intervals, so beside another interval they may disagree
with it; the default of `proportions` is the exact test that has its own. Barnard and
Boschloo search every rate of the nuisance, as textbooks and SciPy do.

References:
    Barnard (1947), "Significance tests for 2 x 2 tables", Biometrika 34.
    Boschloo (1970), "Raised conditional level of significance for the 2 x 2 table when
    testing the equality of two probabilities", Statistica Neerlandica 24.
    Fisher (1935), "The logic of inductive inference", JRSS 98.
"""

from typing import Literal, TypeAlias

import numpy as np

from experiments.statistics.numeric import FloatArray, StatisticsError, quiet
from experiments.statistics.unconditional.arms import Arm
from experiments.statistics.unconditional.hypotheses import largest

Alternative: TypeAlias = Literal["two-sided", "greater", "less"]

_LARGEST_ARM = 2000
_POINTS = 256
_TIE = 1e-7  # relative: results as far as the one seen count with it


@quiet
def barnard(
    control: int,
    control_units: int,
    treatment: int,
    treatment_units: int,
    *,
    alternative: Alternative = "two-sided",
) -> float:
    """Return Barnard's p-value, tables ordered by the pooled z statistic.

    Args:
        control: control units with the event.
        control_units: all control units, at most 2,000.
        treatment: treatment units with the event.
        treatment_units: all treatment units, at most 2,000.
        alternative: "greater": the treatment has more.

    Raises:
        StatisticsError: counts negative or above the units, or too many units.
    """
    n0, n1 = _checked(control, control_units, treatment, treatment_units)
    x0, x1 = np.arange(n0 + 1.0)[:, None], np.arange(n1 + 1.0)
    pooled = (x0 + x1) / (n0 + n1)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    z = np.where(error > 0, (x1 / n1 - x0 / n0) / np.where(error > 0, error, 1.0), 0.0)
    far = {"greater": z, "less": -z, "two-sided": np.abs(z)}[alternative]
    seen = far[control, treatment]
    return _most_probable(far >= seen - _TIE * abs(seen))


@quiet
def boschloo(
    control: int,
    control_units: int,
    treatment: int,
    treatment_units: int,
    *,
    alternative: Alternative = "two-sided",
) -> float:
    """Return Boschloo's p-value: tables ordered by Fisher's one-sided p-value.

    Two-sided it is twice the smaller one-sided one.

    Args:
        control: control units with the event.
        control_units: all control units, at most 2,000.
        treatment: treatment units with the event.
        treatment_units: all treatment units, at most 2,000.
        alternative: "greater": the treatment has more.

    Raises:
        StatisticsError: counts negative or above the units, or too many units.
    """
    n0, n1 = _checked(control, control_units, treatment, treatment_units)
    if alternative == "two-sided":
        table = control, control_units, treatment, treatment_units
        sides = [boschloo(*table, alternative=side) for side in ("greater", "less")]
        return min(1.0, 2 * min(sides))
    tail = _conditional(n0, n1, least_first=alternative == "less")[1]
    seen = tail[control, treatment]
    return _most_probable(tail <= seen * (1 + _TIE))


@quiet
def fisher(
    control: int,
    control_units: int,
    treatment: int,
    treatment_units: int,
    *,
    alternative: Alternative = "two-sided",
) -> float:
    """Return Fisher's conditional p-value; two-sided it adds the rarer tables.

    Args:
        control: control units with the event.
        control_units: all control units, at most 2,000.
        treatment: treatment units with the event.
        treatment_units: all treatment units, at most 2,000.
        alternative: "greater": the treatment has more.

    Raises:
        StatisticsError: counts negative or above the units, or too many units.
    """
    n0, n1 = _checked(control, control_units, treatment, treatment_units)
    chance, tail = _conditional(n0, n1, least_first=alternative == "less")
    if alternative != "two-sided":
        return float(tail[control, treatment])
    x1 = np.arange(n1 + 1)
    x0 = control + treatment - x1
    possible = (x0 >= 0) & (x0 <= n0)
    same_total = chance[x0[possible], x1[possible]]
    seen = chance[control, treatment]
    return min(1.0, float(same_total[same_total <= seen * (1 + _TIE)].sum()))


def _checked(control: int, n0: int, treatment: int, n1: int) -> tuple[int, int]:
    for name, x, n in (("control", control, n0), ("treatment", treatment, n1)):
        if not 1 <= n <= _LARGEST_ARM:
            raise StatisticsError(
                f"{name}_units must lie in [1, {_LARGEST_ARM}], got {n!r}"
            )
        if not 0 <= x <= n:
            raise StatisticsError(f"{name} must lie in [0, {n}], got {x!r}")
    return n0, n1


def _conditional(
    n0: int, n1: int, *, least_first: bool
) -> tuple[FloatArray, FloatArray]:
    """Return each table's chance given its total, and that of it or any beyond.

    Args:
        n0: control units.
        n1: treatment units.
        least_first: add the tables with fewer treatment events, else with more.
    """
    log0, log1 = Arm.whole(n0).ways[0], Arm.whole(n1).ways[0]
    x1 = np.arange(n1 + 1)
    total = np.arange(n0 + n1 + 1)[:, None]
    x0 = total - x1
    possible = (x0 >= 0) & (x0 <= n0)
    weight = np.where(possible, log0[np.clip(x0, 0, n0)] + log1, -np.inf)
    chance = np.exp(weight - weight.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    if least_first:
        tail = chance.cumsum(axis=1)
    else:
        tail = chance[:, ::-1].cumsum(axis=1)[:, ::-1]
    by_arm = np.arange(n0 + 1)[:, None] + x1
    return chance[by_arm, x1], tail[by_arm, x1]


def _most_probable(region: FloatArray) -> float:
    """Return the largest probability of a set of tables over one common rate."""
    arms = [Arm.whole(size - 1) for size in region.shape]
    weight = region.astype(np.float64)

    def chance(angle: FloatArray) -> FloatArray:
        first, second = (arm.probabilities(np.sin(angle) ** 2)[0] for arm in arms)
        return np.asarray(((first @ weight) * second).sum(axis=-1)[None])

    ends = np.zeros(1), np.full(1, np.pi / 2)
    return float(min(largest(chance, *ends, rounds=4, points=_POINTS)[0], 1.0))
