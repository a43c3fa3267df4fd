"""Hyper-parameters that check themselves and describe themselves to forms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Self, TypeVar, cast

from scoring.engine.artifact import Scalar
from scoring.engine.errors import InvalidParametersError

Value = TypeVar("Value", int, float, str, bool)


def parameter(
    default: Value,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Value:
    """A dataclass field with its meaning and what it may hold.

    Args:
        default: Its default; its type is the field's type.
        meaning: One line with the unit, shown in forms and errors.
        low: Smallest allowed number.
        high: Largest allowed number.
        choices: Allowed words.
    """
    return field(
        default=default,
        metadata={"meaning": meaning, "low": low, "high": high, "choices": choices},
    )


@dataclass(frozen=True, slots=True)
class ParameterField:
    """One hyper-parameter, described for a form or an error message."""

    name: str
    default: Scalar
    meaning: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]

    def checked(self, value: object) -> Scalar:
        """Return the value in the field's type.

        Raises:
            InvalidParametersError: It has the wrong type or is out of range.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise InvalidParametersError(
                f"{self.name} = {value!r} is no {kind.__name__}; {self.allowed}"
            )
        in_choices = not self.choices or value in self.choices
        if not in_choices or not self._within(value):
            raise InvalidParametersError(
                f"{self.name} = {value!r} is out of range; {self.allowed}"
            )
        return value

    def _within(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return math.isfinite(value) and low <= value <= high

    @property
    def allowed(self) -> str:
        """What may stand here, as the end of a sentence."""
        if self.choices:
            return f"use one of {', '.join(self.choices)}"
        kind = type(self.default).__name__
        if self.low is None and self.high is None:
            return f"use a {kind} ({self.meaning})"
        return f"use a {kind} from {self.low} to {self.high} ({self.meaning})"


@dataclass(frozen=True)
class Parameters:
    """Base of every ranker's hyper-parameters.

    Raises:
        InvalidParametersError: A value has the wrong type or is out of range.
    """

    def __post_init__(self) -> None:
        for described in self.described():
            value = described.checked(getattr(self, described.name))
            object.__setattr__(self, described.name, value)

    @classmethod
    def described(cls) -> tuple[ParameterField, ...]:
        """Every hyper-parameter in order."""
        return tuple(
            ParameterField(
                name=each.name, default=cast("Scalar", each.default), **each.metadata
            )
            for each in fields(cls)
        )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Scalar]) -> Self:
        """Read them from JSON-like values; absent ones keep their default.

        Raises:
            InvalidParametersError: A name is unknown or a value is refused.
        """
        names = [each.name for each in fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise InvalidParametersError(
                f"unknown parameter {', '.join(unknown)}; known are {', '.join(names)}"
            )
        return cls(**values)

    def as_dict(self) -> dict[str, Scalar]:
        """The values by name, ready for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}
