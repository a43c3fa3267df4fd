"""How likely a running statistic is to cross its boundaries, and when.

At every look the z statistic of a growing sample moves on like a random walk. This
module follows the walk that has not crossed yet: its density sits at a few hundred
points and is carried from look to look by integration. An effect enters by reweighting
the same points, so one pass serves every effect.

References:
    Armitage, McPherson, Rowe (1969), "Repeated significance tests on accumulating
    data", JRSS A 132 (recursive integration).
    Jennison and Turnbull (2000), "Group Sequential Methods with Applications to
    Clinical Trials", 19.2 (the integrals) and 8.4 (likelihood ratio of an effect).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.numeric import FloatArray, quiet

NODES = 256
FARTHEST = 12.0  # beyond it a standard normal has less than 1e-32


@dataclass(frozen=True, slots=True)
class Walk:
    """The z statistic at one moment, on the paths that have not crossed.

    Leading axes are cells (other boundaries, other starts); the last axis is the node.

    Attributes:
        time: information so far, in units of the planned total.
        z: values of the statistic, shape (..., node).
        mass: probability of each under no effect, shape (..., node).
        since: information where the walk set out.
        score: value there of z times the root of the information, shape (..., 1).
    """

    time: float
    z: FloatArray
    mass: FloatArray
    since: float = 0.0
    score: FloatArray | float = 0.0

    @classmethod
    def start(cls) -> Self:
        """Return the walk before any data."""
        return cls(0.0, np.zeros(1), np.ones(1))

    @classmethod
    def at(cls, time: float, z: ArrayLike) -> Self:
        """Return the walk known to stand at ``z``, one a cell, at this moment."""
        point = np.asarray(z, dtype=np.float64)[..., None]
        return cls(time, point, np.ones_like(point), time, point * np.sqrt(time))

    @quiet
    def above(
        self, time: float, bound: ArrayLike, drift: ArrayLike = 0.0
    ) -> FloatArray:
        """Return P(no crossing before, Z > bound at ``time``), one a cell.

        Args:
            time: information at the next look, above this one's.
            bound: value to exceed, shape of the cells.
            drift: mean of the statistic at full information, 0 under no effect.
        """
        step, noise, mean, mass = self._step(time, drift)
        edge = np.asarray(bound, dtype=np.float64)[..., None]
        tail = scipy.special.ndtr((step + mean - edge) / noise)
        return np.asarray((mass * tail).sum(axis=-1))

    @quiet
    def below(
        self, time: float, bound: ArrayLike, drift: ArrayLike = 0.0
    ) -> FloatArray:
        """Return P(no crossing before, Z < bound at ``time``); see `above`."""
        step, noise, mean, mass = self._step(time, drift)
        edge = np.asarray(bound, dtype=np.float64)[..., None]
        tail = scipy.special.ndtr((edge - step - mean) / noise)
        return np.asarray((mass * tail).sum(axis=-1))

    @quiet
    def advance(self, time: float, bound: ArrayLike, *, nodes: int = NODES) -> "Walk":
        """Return the walk at ``time`` on the paths inside [-bound, bound]."""
        points, weights = np.polynomial.legendre.leggauss(nodes)
        edge = np.minimum(np.asarray(bound, dtype=np.float64), FARTHEST)[..., None]
        grid = edge * points
        step, noise, _, mass = self._step(time, 0.0)
        gaps = (grid[..., :, None] - step[..., None, :]) / noise
        density = np.exp(-0.5 * gaps * gaps) * mass[..., None, :]
        height = density.sum(axis=-1) / (noise * np.sqrt(2 * np.pi))
        return Walk(time, grid, height * edge * weights, self.since, self.score)

    def _step(
        self, time: float, drift: ArrayLike
    ) -> tuple[FloatArray, float, FloatArray, FloatArray]:
        """Return where Z goes to on average without drift, its noise, drift, mass."""
        kept = self.time / time
        effect = np.asarray(drift, dtype=np.float64)[..., None]
        gone = np.sqrt(self.time) * self.z - self.score
        mass = self.mass * np.exp(
            effect * gone - 0.5 * effect * effect * (self.time - self.since)
        )
        mean = effect * np.sqrt(time) * (1 - kept)
        return np.sqrt(kept) * self.z, float(np.sqrt(1 - kept)), mean, mass


def follow(
    times: Sequence[float],
    bounds: Sequence[float] | FloatArray,
    *,
    start: Walk | None = None,
    nodes: int = NODES,
) -> tuple[Walk, ...]:
    """Return the walk that each look sets out from; the last look is not left behind.

    Args:
        times: rising information of the looks.
        bounds: critical value of each look, for both sides.
        start: walk to begin from; by default the one before any data.
        nodes: points of the integration.
    """
    walks = [Walk.start() if start is None else start]
    for time, bound in zip(times[:-1], bounds[:-1], strict=True):
        cells = np.broadcast_to(bound, walks[-1].z.shape[:-1])
        walks.append(walks[-1].advance(time, cells, nodes=nodes))
    return tuple(walks)


def crossings(
    walks: Sequence[Walk],
    times: Sequence[float],
    bounds: Sequence[float] | FloatArray,
    drift: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Return the probabilities of first crossing above and below at each look.

    Args:
        walks: from `follow`, for the same looks.
        times: rising information of the looks.
        bounds: critical value of each look, for both sides.
        drift: mean of the statistic at full information, any shape.

    Returns:
        Two arrays of shape (*drift.shape, look).
    """
    looks = list(zip(walks, times, bounds, strict=True))
    above = [walk.above(time, bound, drift) for walk, time, bound in looks]
    below = [walk.below(time, -bound, drift) for walk, time, bound in looks]
    return np.stack(above, axis=-1), np.stack(below, axis=-1)
