"""What a kind of data gives a method: arms of many simulated experiments at once."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from experiments.statistics.aggregates import CrossMoments
from experiments.statistics.numeric import FloatArray

Part = TypeVar("Part")


class Arm:
    """One arm of every simulation, in the forms that its law offers.

    A form is asked for by its type: ``arm[Moments]``. The first axis of every form is
    the simulation.
    """

    def __init__(self, units: int, *parts: object) -> None:
        """Keep the parts; ``units`` is the number of units in each simulation."""
        self.units = units
        self._parts = {type(part): part for part in parts}

    def __getitem__(self, kind: type[Part]) -> Part:
        """Return the form of this type.

        Raises:
            LookupError: the law does not offer it.
        """
        part = self._parts.get(kind)
        if isinstance(part, kind):
            return part
        offered = ", ".join(sorted(known.__name__ for known in self._parts))
        raise LookupError(f"this law offers {offered}, not {kind.__name__}")


def side_by_side(*arms: CrossMoments) -> CrossMoments:
    """Return several arms as one table whose last axis is the arm."""
    return CrossMoments(
        *(
            np.stack([getattr(arm, field.name) for arm in arms], axis=-1)
            for field in fields(CrossMoments)
        )
    )


@dataclass(frozen=True, slots=True)
class Events:
    """Units with the event, or events of a count metric, shape (simulation,)."""

    count: FloatArray


@dataclass(frozen=True)
class Law(ABC):
    """A kind of data.

    Attributes:
        name: as shown to the analyst.
        units: units of the smaller arm.
        symmetric: whether the metric's distribution is (then tails must balance).
        continuous: whether p-values without an effect are uniform.
        block: simulations drawn together, a matter of memory only.
        fewer: simulations in the normal tests.
    """

    name: str
    units: int
    symmetric: bool = False
    continuous: bool = False
    block: int = 2_000
    fewer: int = 2_000

    @property
    @abstractmethod
    def mean(self) -> float:
        """The metric's true value in the control; a lift multiplies it."""

    @abstractmethod
    def draw(
        self, generator: np.random.Generator, simulations: int, units: int, lift: float
    ) -> Arm:
        """Draw one arm of ``simulations`` experiments."""

    def pair(
        self,
        generator: np.random.Generator,
        simulations: int,
        units: tuple[int, int],
        lift: float,
    ) -> tuple[Arm, Arm]:
        """Draw control and treatment; arms that share something override this."""
        return (
            self.draw(generator, simulations, units[0], 0.0),
            self.draw(generator, simulations, units[1], lift),
        )
