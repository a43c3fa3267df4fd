"""What the decision rule looks at: the evidence of one look, typed and checked."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from experiments.statistics.comparison import Scale
from experiments.statistics.guardrails import Direction, Outcome

MINIMUM_DAYS = 7
"""Full days before a ship verdict, so that every weekday is in the data."""


class DecisionError(ValueError):
    """Evidence that contradicts itself: the message names the value and the remedy."""


CheckState: TypeAlias = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class PrimaryResult:
    """The primary metric of one treatment variant against control.

    Attributes:
        variant: key of the variant.
        estimate: effect against control; NaN where there is not enough data.
        lower: lower end of the repeated interval at alpha / (number of treatments).
        upper: upper end of the same interval.
        direction: the good direction of the metric.
        scale: whether the effect is relative (0.05 is +5 %) or in the metric's unit.
    """

    variant: str
    estimate: float
    lower: float
    upper: float
    direction: Direction = "increase"
    scale: Scale = "relative"

    def oriented(self) -> tuple[float, float, float]:
        """Return estimate, lower and upper with better counted as positive."""
        if self.direction == "increase":
            return self.estimate, self.lower, self.upper
        return -self.estimate, -self.upper, -self.lower

    @property
    def figure(self) -> str:
        """The effect with its interval, for people."""
        return figure(self.estimate, self.lower, self.upper, self.scale)


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """One guardrail of one treatment variant.

    Attributes:
        variant: key of the variant.
        metric: name of the guardrail, as people call it.
        outcome: pass, fail or inconclusive.
    """

    variant: str
    metric: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """A check of the data behind the figures.

    Attributes:
        code: stable name of the check, such as ``sample_ratio``.
        state: a failed check withholds the verdict.
        sentence: what was found, in plain words.
    """

    code: str
    state: CheckState
    sentence: str


@dataclass(frozen=True, slots=True)
class HeadToHead:
    """Two treatment variants against each other, ``variant`` minus ``other``.

    Attributes:
        variant: key of the first variant.
        other: key of the second variant.
        estimate: effect of the first over the second.
        lower: lower end of the interval.
        upper: upper end of the interval.
        scale: relative or absolute.
    """

    variant: str
    other: str
    estimate: float
    lower: float
    upper: float
    scale: Scale = "relative"

    @property
    def excludes_zero(self) -> bool:
        """Whether the two variants can be told apart."""
        return self.lower > 0 or self.upper < 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the rule looks at.

    Attributes:
        primary: one result a treatment variant; at least one.
        guardrails: every guardrail of every variant.
        quality: checks of the data.
        head_to_head: comparisons between treatments; at least of the two best that
            qualify (`qualifying` names them).
        look: looks taken so far; 0 before the first.
        planned_looks: looks of the plan, at least 1.
        days_run: days since the start of the phase.
        minimum_days: days before a ship verdict.
        minimum_effect: effect the interval must clear in the good direction, >= 0, on
            the scale of the primary results.
    """

    primary: tuple[PrimaryResult, ...]
    guardrails: tuple[GuardrailResult, ...]
    quality: tuple[QualityCheck, ...]
    look: int
    planned_looks: int
    days_run: float
    head_to_head: tuple[HeadToHead, ...] = ()
    minimum_days: float = MINIMUM_DAYS
    minimum_effect: float = 0.0

    def __post_init__(self) -> None:
        """Refuse evidence that contradicts itself.

        Raises:
            DecisionError: no or repeated variants, a result of an unknown variant, or a
                number out of its range.
        """
        variants = [result.variant for result in self.primary]
        if not variants or len(set(variants)) < len(variants):
            raise DecisionError(
                f"primary must hold one result a treatment variant, got {variants}"
            )
        named = {item.variant for item in self.guardrails}
        for pair in self.head_to_head:
            named |= {pair.variant, pair.other}
        if unknown := sorted(named - set(variants)):
            raise DecisionError(
                f"{unknown} have no primary result: add one or drop them"
            )
        for name, value, least in (
            ("look", self.look, 0),
            ("planned_looks", self.planned_looks, 1),
            ("days_run", self.days_run, 0),
            ("minimum_days", self.minimum_days, 0),
            ("minimum_effect", self.minimum_effect, 0),
        ):
            if not value >= least:
                raise DecisionError(f"{name} must be >= {least}, got {value}")

    @property
    def is_last_look(self) -> bool:
        """Whether the plan has no look left."""
        return self.look >= self.planned_looks

    @property
    def has_run_long_enough(self) -> bool:
        """Whether the minimum number of days has passed."""
        return self.days_run >= self.minimum_days


def number(value: float, scale: Scale) -> str:
    """Return an effect as people read it."""
    if math.isnan(value):
        return "unknown"
    return (
        f"{value:+.1%}".replace("%", " %") if scale == "relative" else f"{value:+.4g}"
    )


def figure(estimate: float, lower: float, upper: float, scale: Scale) -> str:
    """Return an effect with its interval as people read it; empty: there is none."""
    if math.isnan(estimate) and math.isnan(lower) and math.isnan(upper):
        return ""
    low, high = number(lower, scale), number(upper, scale)
    return f"{number(estimate, scale)} ({low} to {high})"
