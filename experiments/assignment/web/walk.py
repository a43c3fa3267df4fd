"""An explanation as the page draws it: tones, icons, a bar of ranges."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from experiments.assignment.explanation import Check, Explanation, letter
from experiments.assignment.plan import PlacementPlan

TONES = {"passed": "quiet", "decided": "info", "refused": "warn"}
ICONS = {"passed": "minus", "decided": "split", "refused": "x"}
# A check that looked at something, and found the unit fit.
_LOOKED = frozenset({"audience", "share", "prerequisites"})


@dataclass(frozen=True)
class Piece:
    """A variant's range on the bar, in percent of its width."""

    letter: str
    key: str
    arm: str
    x: float
    width: float


@dataclass(frozen=True)
class Line:
    """A check, ready to draw; ``at`` is the unit's place on the bar, in percent."""

    check: Check
    tone: str
    icon: str
    pieces: tuple[Piece, ...]
    at: float | None
    label: str


@dataclass(frozen=True)
class Rule:
    """A rule, ready to draw."""

    key: str
    decided: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Walk:
    """The page's content."""

    title: str
    explanation: Explanation
    rules: tuple[Rule, ...]
    chance: str
    value: str
    built_at: datetime


def present(found: Explanation, placement: PlacementPlan) -> Walk:
    """What the page shows of an explanation."""
    by_key = {rule.key: rule for rule in placement.experiments}
    letters = {
        rule.key: {v.key: letter(rule, v.key) for v in rule.variants}
        for rule in placement.experiments
    }
    decider = by_key.get(found.experiment or "")
    got = letter(decider, found.variant) if decider else "the default"
    return Walk(
        title=f"Why did this shopper get {got}?",
        explanation=found,
        rules=tuple(
            Rule(
                key=rule.experiment,
                decided=rule.decided,
                lines=tuple(
                    _line(check, letters[rule.experiment]) for check in rule.checks
                ),
            )
            for rule in found.rules
        ),
        chance=f"{found.probability:.0%}" if found.experiment else "",
        value=json.dumps(found.value, ensure_ascii=False),
        built_at=datetime.fromtimestamp(found.plan_built_at, UTC),
    )


def _line(check: Check, letters: dict[str, str]) -> Line:
    fits = check.state == "passed" and check.kind in _LOOKED and bool(check.clauses)
    pieces = tuple(
        Piece(
            letter=letters.get(one.variant, ""),
            key=one.variant,
            arm=letters.get(one.variant, "").lower(),
            x=round(one.start * 100, 2),
            width=round((one.end - one.start) * 100, 2),
        )
        for one in check.ranges
    )
    owned = ", ".join(
        f"{one.variant} from {one.start:.4f} to {one.end:.4f}" for one in check.ranges
    )
    at = check.bucket
    label = f"Ranges: {owned}." + (
        "" if at is None else f" The shopper is at {at:.4f}."
    )
    return Line(
        check=check,
        tone="good" if fits else TONES[check.state],
        icon="check" if fits else ICONS[check.state],
        pieces=pieces,
        at=None if at is None else round(at * 100, 2),
        label=label,
    )
