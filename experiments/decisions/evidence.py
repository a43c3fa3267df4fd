"""What the decision rule looks at: the evidence of one look, typed and checked.

Evidence that contradicts itself is refused here, so that the rule never has to guess
which of two figures is the true one.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, get_args

from experiments.statistics.comparison import Scale
from experiments.statistics.guardrails import Direction, Outcome

MINIMUM_DAYS = 7
"""Full days before a ship verdict, so that every weekday is in the data."""


class DecisionError(ValueError):
    """Evidence that contradicts itself: the message names the value and the remedy."""


CheckState: TypeAlias = Literal["ok", "warning", "failed"]

Item = TypeVar("Item")

Sharing: TypeAlias = Literal["bonferroni", "dunnett"]
"""How the comparisons share the error: each its own part, or one joint critical value.

Parts may be equal (alpha over the number of treatments) or weighted.
"""


@dataclass(frozen=True, slots=True)
class PrimaryResult:
    """The primary metric of one treatment variant against control.

    Attributes:
        variant: key of the variant.
        estimate: effect against control; NaN where there is not enough data.
        lower: lower end of the interval, already adjusted for looks and treatments;
            -inf where unbounded, NaN (with the upper end) where nothing is known.
        upper: upper end of the same interval.
        direction: the good direction of the metric.
        scale: whether the effect is relative (0.05 is +5 %) or in the metric's unit.
        alpha: error this comparison spends, when it is to be checked.
        p_value: of the same procedure, to be compared with ``alpha``.
    """

    variant: str
    estimate: float
    lower: float
    upper: float
    direction: Direction = "increase"
    scale: Scale = "relative"
    alpha: float | None = None
    p_value: float | None = None

    def __post_init__(self) -> None:
        """Refuse figures that contradict each other.

        Raises:
            DecisionError: an interval upside down or half known, an estimate on the
                other side of zero, or a p-value that disagrees with the interval.
        """
        where = f"primary result of {self.variant}"
        _check_interval(where, self.lower, self.upper)
        if self.direction not in get_args(Direction):
            raise DecisionError(
                f"{where}: direction must be one of {get_args(Direction)}, "
                f"got {self.direction!r}"
            )
        differs = self.lower > 0 or self.upper < 0
        if self.estimate < 0 < self.lower or self.upper < 0 < self.estimate:
            raise DecisionError(
                f"{where}: estimate {self.estimate:g} lies on the other side of zero "
                f"than its interval ({self.lower:g}, {self.upper:g})"
            )
        for name in ("alpha", "p_value"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise DecisionError(f"{where}: {name} must lie in [0, 1], got {value}")
        if self.alpha is None or self.p_value is None or self.is_unbounded:
            return
        close = math.isclose(self.p_value, self.alpha, rel_tol=1e-6)
        if not close and (self.p_value < self.alpha) != differs:
            raise DecisionError(
                f"{where}: p_value {self.p_value:g} and interval ({self.lower:g}, "
                f"{self.upper:g}) disagree at alpha {self.alpha:g}; take both from one "
                "procedure"
            )

    @property
    def is_unbounded(self) -> bool:
        """Whether the interval says nothing: unknown, or without any end."""
        return not (math.isfinite(self.lower) or math.isfinite(self.upper))

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

    def __post_init__(self) -> None:
        """Refuse a comparison with itself, or an interval that is none.

        Raises:
            DecisionError: one variant twice, an interval upside down or half known.
        """
        where = f"head_to_head of {self.variant} and {self.other}"
        if self.variant == self.other:
            raise DecisionError(f"{where}: a variant cannot be compared with itself")
        _check_interval(where, self.lower, self.upper)

    @property
    def excludes_zero(self) -> bool:
        """Whether the two variants can be told apart."""
        return self.lower > 0 or self.upper < 0

    def favours(self, variant: str, direction: Direction) -> bool:
        """Whether this comparison shows a variant to be the better one."""
        rises = (variant == self.variant) == (direction == "increase")
        return self.lower > 0 if rises else self.upper < 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the rule looks at.

    Attributes:
        primary: one result a treatment variant; at least one.
        guardrails: every guardrail of every variant; one left out for a variant is
            refused, since a guardrail that was not read must not let it ship.
        quality: checks of the data.
        look: looks taken so far; 0 before the first, and between looks.
        planned_looks: looks of the plan; 1 is a fixed horizon.
        days_run: days since the start of the phase.
        head_to_head: comparisons between treatments; at least of the two best that
            qualify (`qualifying` names them).
        minimum_days: days before a ship verdict.
        minimum_effect: effect the interval must clear in the good direction, >= 0, on
            the scale of the primary results.
        alpha: error of all comparisons together, when the parts are to be checked.
        sharing: how the comparisons share it; Dunnett only in a plan with one look.
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
    alpha: float | None = None
    sharing: Sharing = "bonferroni"

    def __post_init__(self) -> None:
        """Refuse evidence that contradicts itself.

        Raises:
            DecisionError: the message names the field and what is wrong with it.
        """
        self._check_plan()
        self._check_variants()
        self._check_error()
        for check in self.quality:
            if check.state not in get_args(CheckState):
                raise DecisionError(
                    f"quality check {check.code}: state must be one of "
                    f"{get_args(CheckState)}, got {check.state!r}"
                )

    def _check_plan(self) -> None:
        for name, value, least in (
            ("look", self.look, 0),
            ("planned_looks", self.planned_looks, 1),
            ("days_run", self.days_run, 0),
            ("minimum_days", self.minimum_days, 0),
            ("minimum_effect", self.minimum_effect, 0),
        ):
            if not value >= least or not math.isfinite(value):
                raise DecisionError(
                    f"{name} must be finite and >= {least}, got {value}"
                )
        if self.look > self.planned_looks:
            raise DecisionError(
                f"look must be <= planned_looks ({self.planned_looks}), got {self.look}"
            )

    def _check_variants(self) -> None:
        variants = [result.variant for result in self.primary]
        if not variants or len(set(variants)) < len(variants):
            raise DecisionError(
                f"primary must hold one result a treatment variant, got {variants}"
            )
        for name in ("direction", "scale"):
            if len(found := {getattr(result, name) for result in self.primary}) > 1:
                raise DecisionError(
                    f"primary must have one {name} for all variants, got "
                    f"{sorted(found)}"
                )
        named = {item.variant for item in self.guardrails}
        pairs = [frozenset((pair.variant, pair.other)) for pair in self.head_to_head]
        named = named.union(*pairs)
        if unknown := sorted(named - set(variants)):
            raise DecisionError(
                f"{unknown} have no primary result: add one or drop them"
            )
        if twice := _repeated(pairs):
            raise DecisionError(
                f"head_to_head must hold one comparison a pair, {sorted(twice)} have "
                "two"
            )
        self._check_guardrails(variants)

    def _check_guardrails(self, variants: list[str]) -> None:
        cells = [(item.variant, item.metric) for item in self.guardrails]
        if twice := _repeated(cells):
            raise DecisionError(
                f"guardrails must hold one result a variant and metric, {twice} has two"
            )
        for metric in {item.metric for item in self.guardrails}:
            for variant in variants:
                if (variant, metric) not in cells:
                    raise DecisionError(
                        f"guardrails must hold {metric!r} for every variant, "
                        f"{variant!r} has none; give an inconclusive result instead"
                    )
        for item in self.guardrails:
            if item.outcome not in list(Outcome):
                raise DecisionError(
                    f"guardrail {item.metric!r} of {item.variant!r}: outcome must be "
                    f"one of {[str(known) for known in Outcome]}, got {item.outcome!r}"
                )

    def _check_error(self) -> None:
        if self.sharing not in get_args(Sharing):
            raise DecisionError(
                f"sharing must be one of {get_args(Sharing)}, got {self.sharing!r}"
            )
        if self.sharing == "dunnett" and self.planned_looks > 1:
            raise DecisionError(
                'sharing "dunnett" needs a plan with one look, got '
                f'{self.planned_looks}; use "bonferroni"'
            )
        if self.alpha is None:
            return
        if not 0 < self.alpha < 1:
            raise DecisionError(f"alpha must lie in (0, 1), got {self.alpha}")
        parts = [result.alpha for result in self.primary if result.alpha is not None]
        spent = max(parts, default=0.0) if self.sharing == "dunnett" else sum(parts)
        if spent > self.alpha * (1 + 1e-9):
            raise DecisionError(
                f"primary results spend an error of {spent:g} together, more than "
                f"alpha ({self.alpha:g}); share it between them"
            )

    @property
    def is_last_look(self) -> bool:
        """Whether the plan has no look left."""
        return self.look >= self.planned_looks

    @property
    def is_blind(self) -> bool:
        """Whether a fixed-horizon plan has not ended: effects are not read yet."""
        return self.planned_looks == 1 and self.look == 0

    @property
    def direction(self) -> Direction:
        """The good direction of the primary metric."""
        return self.primary[0].direction

    @property
    def has_run_long_enough(self) -> bool:
        """Whether the minimum number of days has passed."""
        return self.days_run >= self.minimum_days


def number(value: float, scale: Scale) -> str:
    """Return an effect as people read it."""
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "no bound"
    return (
        f"{value:+.1%}".replace("%", " %") if scale == "relative" else f"{value:+.4g}"
    )


def figure(estimate: float, lower: float, upper: float, scale: Scale) -> str:
    """Return an effect with its interval as people read it; empty: there is none."""
    if math.isnan(estimate) and math.isnan(lower) and math.isnan(upper):
        return ""
    low, high = number(lower, scale), number(upper, scale)
    return f"{number(estimate, scale)} ({low} to {high})"


def _check_interval(where: str, lower: float, upper: float) -> None:
    if math.isnan(lower) != math.isnan(upper):
        raise DecisionError(
            f"{where}: lower and upper must both be known or both NaN, got "
            f"({lower}, {upper}); an end without bound is infinite"
        )
    if lower > upper:
        raise DecisionError(
            f"{where}: lower must be <= upper, got ({lower:g}, {upper:g})"
        )


def _repeated(items: Iterable[Item]) -> Item | None:
    """Return an item that comes twice, None when there is none."""
    return next((item for item, count in Counter(items).items() if count > 1), None)
