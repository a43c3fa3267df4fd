"""An experiment whose shares follow its results: five epochs of top-two Thompson."""

from dataclasses import dataclass

import numpy as np

from benchmarks.validation.arms import Arm, Law
from experiments.statistics.adaptive import allocate
from experiments.statistics.aggregates import Moments
from experiments.statistics.numeric import FloatArray

EPOCHS = 5


@dataclass(frozen=True, slots=True)
class Epochs:
    """One arm by epoch: moments and shares, shape (simulation, epoch)."""

    moments: Moments
    share: FloatArray
    units: FloatArray


@dataclass(frozen=True)
class Adaptive(Law):
    """A normal metric (sd 1) whose level drifts; each epoch's shares follow the last.

    ``units`` of the smaller arm in the first epoch; later epochs are as large as it.
    """

    continuous: bool = True
    block: int = 500

    @property
    def mean(self) -> float:
        """The metric's true value in the control."""
        return 1.0

    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw no arm alone: one's results decide the other's share."""
        raise NotImplementedError("arms of an adaptive experiment are drawn together")

    def pair(
        self,
        generator: np.random.Generator,
        simulations: int,
        units: tuple[int, int],
        lift: float,
    ) -> tuple[Arm, Arm]:
        """Draw epoch by epoch; a normal arm's mean and squares are drawn exactly."""
        total = sum(units)
        shares = np.full((simulations, 2), units[0] / total)
        shares[:, 1] = units[1] / total
        drawn: list[Moments] = []
        given: list[FloatArray] = []
        for epoch in range(EPOCHS):
            counts = generator.binomial(total, shares[:, 1])
            count = np.stack([total - counts, counts], axis=-1).astype(np.float64)
            level = np.array([1.0, 1.0 + lift]) + 0.1 * np.sin(epoch)
            noise = generator.standard_normal((simulations, 2))
            mean = level + noise / np.sqrt(np.maximum(count, 1.0))
            m2 = generator.chisquare(np.maximum(count - 1, 1.0))
            drawn.append(Moments(count, mean, m2, np.zeros_like(m2)))
            given.append(shares)
            merged = drawn[0]
            for more in drawn[1:]:
                merged = merged.merge(more)
            shares = allocate(merged, floor=0.1).shares
        control, treatment = (
            Epochs(
                Moments(
                    *(
                        np.stack([getattr(m, name)[:, arm] for m in drawn], axis=-1)
                        for name in ("count", "mean", "m2", "m3")
                    )
                ),
                np.stack([share[:, arm] for share in given], axis=-1),
                np.full((simulations, EPOCHS), float(total)),
            )
            for arm in (0, 1)
        )
        return Arm(units[0], control), Arm(units[1], treatment)
