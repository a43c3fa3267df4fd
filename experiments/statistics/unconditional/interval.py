"""Two proportions with few events: the exact unconditional test and its interval.

The test adds up the probability of every result at least as far from the hypothesis as
the one seen, and takes the largest such sum over the unknown common rate, so that its
error rate is what it says at any number of units. Results are ordered by the score
statistic of Miettinen and Nurminen; the interval is what two such one-sided tests at
half the error do not reject. It is equal-tailed (and not the slightly shorter inversion
of one two-sided test) because decisions and guardrails read one end at a time.

The unknown rate is searched where the data do not contradict it at 1e-8 (Berger and
Boos), and results rarer than 1e-17 are left out: together the error rate is at most
alpha + 1e-8. Counts are binomial at any number of units up to 1e10, so no Poisson limit
is needed: with 3 and 9 events only the few dozen counts that can occur are added up.

References:
    Chan and Zhang (1999), "Test-based exact confidence intervals for the difference of
    two binomial proportions", Biometrics 55, section 2.
    Agresti and Min (2001), "On small-sample confidence intervals for parameters in
    discrete distributions", Biometrics 57 (the two-sided inversion not taken).
    Berger and Boos (1994), "P values maximized over a confidence set for the nuisance
    parameter", JASA 89.
    Roehmel and Mansmann (1999), "Unconditional non-asymptotic one-sided tests for
    independent binomial proportions", Biometrical Journal 41 (the largest value lies on
    the boundary of the hypothesis).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.numeric import BoolArray, FloatArray, quiet
from experiments.statistics.unconditional.arms import widths
from experiments.statistics.unconditional.hypotheses import (
    GRID,
    Effect,
    Problem,
    Table,
)

_CELLS = 1_000_000  # numbers in the largest temporary array
_ROUNDS = 48
_FARTHER = (0.02, 0.05, 0.1, 0.15, 0.25, 0.4)
_PRECISION = 1e-6  # of the distance from the estimate to its bound


@quiet
def exact(
    table: Table,
    tail: FloatArray,
    start: tuple[FloatArray, FloatArray],
    effect: Effect,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (p-value, lower, upper) of tables of two proportions, each of shape (K,).

    Args:
        table: (x0, n0, x1, n1): events and units of control and treatment.
        tail: error of each end of the interval.
        start: approximate bounds, from where the exact ones are searched.
        effect: difference or ratio.
    """
    unique, place = np.unique(
        np.stack([*table, tail, *start]), axis=1, return_inverse=True
    )
    found = np.empty((3, unique.shape[1]))
    for chunk in _chunks(unique[:4]):
        x0, n0, x1, n1, error, low, high = unique[:, chunk]
        found[:, chunk] = _chunk((x0, n0, x1, n1), error, (low, high), effect)
    p_value, lower, upper = found[:, place.reshape(-1)]
    return p_value, lower, upper


@quiet
def exact_above(table: Table, value: FloatArray, effect: Effect) -> FloatArray:
    """Return the one-sided p-values of "the effect is at most ``value``", shape (K,).

    Args:
        table: (x0, n0, x1, n1): events and units of control and treatment.
        value: the hypotheses.
        effect: difference or ratio.
    """
    unique, place = np.unique(np.stack([*table, value]), axis=1, return_inverse=True)
    found = np.empty(unique.shape[1])
    for chunk in _chunks(unique[:4]):
        x0, n0, x1, n1, tested = unique[:, chunk]
        problem = Problem.of((x0, n0, x1, n1), effect)
        found[chunk] = problem.p_value(tested, rounds=4)
    return found[place.reshape(-1)]


def _chunks(tables: FloatArray) -> Iterator[NDArray[np.intp]]:
    """Yield tables of about one size together, as many as fit in memory."""
    size = widths(tables[0], tables[1]) + widths(tables[2], tables[3])
    order = np.argsort(size, kind="stable")
    while order.size:
        fits = int(np.clip(_CELLS // (GRID * (size[order[0]] + 64)), 1, order.size))
        chunk = order[:fits]
        chunk = chunk[size[chunk] <= 1.5 * size[chunk[0]] + 32]
        yield chunk
        order = order[chunk.size :]


def _chunk(
    table: Table,
    tail: FloatArray,
    start: tuple[FloatArray, FloatArray],
    effect: Effect,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Solve tables of about one size together: both ends are lower bounds of K rows."""
    x0, n0, x1, n1 = table
    falls = x1 / n1 < x0 / n0
    toward = tuple(
        np.where(falls, b, a) for a, b in ((x0, x1), (n0, n1), (x1, x0), (n1, n0))
    )
    none = np.full_like(x0, effect.none)
    one_sided = Problem.of(toward, effect).p_value(none, rounds=4)  # type: ignore[arg-type]
    p_value = np.minimum(2 * one_sided, 1.0)
    swapped = (x1, n1, x0, n0)
    differs = one_sided < tail
    lower = lower_bound(
        Problem.of(table, effect), tail, start[0], np.where(falls, np.nan, differs)
    )
    upper = lower_bound(
        Problem.of(swapped, effect),
        tail,
        effect.swap(start[1]),
        np.where(falls, differs, np.nan),
    )
    return p_value, lower, effect.swap(upper)


def lower_bound(
    problem: Problem, tail: FloatArray, start: FloatArray, differs: FloatArray
) -> FloatArray:
    """Return the value below which the one-sided test rejects.

    The search never crosses "no effect" against the verdict of the test, so interval
    and p-value agree to the last bit.

    Args:
        problem: K tables.
        tail: one-sided error.
        start: a value near the bound.
        differs: 1 where the test rejects "no effect" in this direction, 0 where it does
            not, NaN where the estimate lies on the other side.
    """
    x0, n0, x1, n1 = problem.table
    effect = problem.effect
    at = effect.position_of
    estimate = at(effect.estimate(x0 / n0, x1 / n1))
    least, none = at(np.asarray(effect.least)), at(np.asarray(effect.none))
    outer = np.where(differs == 1, none, least)
    inner = np.where(differs == 0, np.minimum(none, estimate), estimate)
    # Twenty bits of the start are enough, and rounding elsewhere then changes nothing.
    share, power = np.frexp(estimate - np.clip(at(start), outer, inner))
    first = np.clip(
        estimate - np.ldexp(np.rint(share * 2**20), power - 20), outer, inner
    )
    scale = np.where(estimate > first, estimate - first, estimate - outer)
    bracket = Bracket.of(outer, inner, tail)
    bracket.narrow(problem, first, scale)
    bracket.widen(problem, outer, scale)
    return np.asarray(effect.of_position(0.5 * (bracket.outer + bracket.inner)))


@dataclass(slots=True)
class Bracket:
    """Search positions around K bounds: rejected at ``outer``, not at ``inner``.

    Attributes:
        outer: rejected ends, shape (K,).
        inner: ends not rejected.
        tail: one-sided error.
        low: log of p over the error at the outer ends.
        high: the same at the inner ends.
    """

    outer: FloatArray
    inner: FloatArray
    tail: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, outer: FloatArray, inner: FloatArray, tail: FloatArray) -> Self:
        """Start from ends whose p-values are not known yet."""
        high = np.log(0.5 / tail)
        return cls(outer.copy(), inner.copy(), tail, np.full_like(tail, -8.0), high)

    def narrow(self, problem: Problem, first: FloatArray, scale: FloatArray) -> None:
        """Close the bracket, from a first guess, to 1e-6 of ``scale``."""
        step, probe = 0.05 * scale, first
        before = np.full_like(scale, np.inf)
        here = np.flatnonzero(self.inner - self.outer > _PRECISION * scale)
        for turn in range(_ROUNDS):
            if here.size == 0:
                return
            rejects = self._look(problem.take(here), here, probe[here])
            low, high = self.outer[here], self.inner[here]
            width = high - low
            middle = high - 0.5 * width
            if turn < 2:  # bracket the bound near the starting point first
                near = np.where(rejects, low + step[here], high - step[here])
                near = np.where(
                    rejects, np.minimum(near, middle), np.maximum(near, middle)
                )
            else:  # where a line through both ends crosses, a little to either side
                share = self.high[here] / (self.high[here] - self.low[here])
                past = 0.02 if turn % 2 else -0.02
                near = high - np.clip(share + past, 0.02, 0.98) * width
                near = np.where(width > 0.5 * before[here], middle, near)
            probe[here], before[here] = near, width
            here = here[width > _PRECISION * scale[here]]

    def widen(self, problem: Problem, outer: FloatArray, scale: FloatArray) -> None:
        """Go on to the farthest value near by that is not rejected.

        Because tables change places in the order, p can dip and rise again.
        """
        steps = np.multiply.outer(scale, np.array(_FARTHER))
        spots = np.maximum(self.outer[:, None] - steps, outer[:, None])
        kept = spots > outer[:, None]
        for turn in range(len(_FARTHER)):
            value = problem.effect.of_position(spots[:, turn])
            kept[:, turn] &= problem.p_value(value, rounds=0) >= self.tail
        here = np.flatnonzero(kept.any(axis=-1))
        if here.size == 0:
            return
        last = len(_FARTHER) - 1 - kept[here, ::-1].argmax(axis=-1)
        beyond = np.concatenate([spots, outer[:, None]], axis=-1)
        again = Bracket.of(beyond[here, last + 1], spots[here, last], self.tail[here])
        middle = 0.5 * (again.outer + again.inner)
        again.narrow(problem.take(here), middle, scale[here])
        self.outer[here], self.inner[here] = again.outer, again.inner

    def _look(
        self, problem: Problem, here: NDArray[np.intp], probe: FloatArray
    ) -> BoolArray:
        """Test the probes and move one end of each bracket to them."""
        value = problem.effect.of_position(probe)
        height = np.log(problem.p_value(value) / self.tail[here])
        height = np.maximum(np.nan_to_num(height, nan=-8.0, neginf=-8.0), -8.0)
        rejects = np.asarray(height < 0)
        out, in_ = here[rejects], here[~rejects]
        self.outer[out], self.low[out] = probe[rejects], height[rejects]
        self.inner[in_], self.high[in_] = probe[~rejects], height[~rejects]
        return rejects
