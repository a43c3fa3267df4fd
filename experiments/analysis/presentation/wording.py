"""What metrics, variants and readings are called in a sentence."""

import re
from dataclasses import dataclass

from experiments.analysis.presentation import numbers
from experiments.analysis.results import (
    Interval,
    MetricResult,
    QualityCheck,
    VariantInfo,
    VariantResult,
)

_WHO = re.compile(r"(?:share of )?shoppers who (\w+)(.*)", re.IGNORECASE)
# A verdict speaks in the present: "13% more shoppers click a recommendation".
_PRESENT = {
    "clicked": "click",
    "got": "get",
    "bought": "buy",
    "viewed": "view",
    "saw": "see",
    "returned": "return",
    "ordered": "order",
    "added": "add",
    "searched": "search",
    "came": "come",
}


@dataclass(frozen=True)
class Tag:
    """A word with its icon and tone; never colour alone."""

    tone: str
    icon: str
    word: str


READINGS = {
    "better": Tag("good", "check", "Better"),
    "worse": Tag("bad", "x", "Worse"),
    "unclear": Tag("quiet", "minus", "No clear difference"),
    "holds": Tag("good", "check", "Holds"),
    "not_shown_safe": Tag("warn", "warn", "Not shown safe"),
    "harmed": Tag("bad", "x", "Beyond the limit"),
    "not_enough_data": Tag("quiet", "clock", "Too few shoppers"),
    "baseline": Tag("quiet", "minus", "Baseline"),
}


# A check's title says what holds; these say what does not, when it fails.
TROUBLES = {
    "sample_ratio": "the split is broken",
    "missing_variant": "a variant was never seen",
    "crossover": "shoppers meet more than one variant",
    "freshness": "events are missing",
    "exposure_without_events": "a variant sends no events",
    "currencies": "money is in several currencies",
}


def trouble(check: QualityCheck) -> str:
    """What is wrong when a check fails, inside a sentence."""
    return TROUBLES.get(check.code, f"a check failed ({lower_first(check.title)})")


def reading(name: str) -> Tag:
    """The word of a reading; an unknown one is shown as it is."""
    return READINGS.get(name) or Tag("quiet", "info", name.replace("_", " "))


def named(variant: VariantInfo) -> str:
    """A variant in a sentence: ``C, transformer v3``."""
    return f"{variant.letter}, {variant.label}"


def listed(names: list[str]) -> str:
    """Names as a sentence lists them: ``B``, ``B and C``, ``B, C and D``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def clause(metric: MetricResult, estimate: float | None) -> str:
    """An effect as a clause: ``13% more shoppers click a recommendation``."""
    if estimate is None:
        return f"{lower_first(metric.name)} cannot be compared yet"
    size = numbers.size_of(estimate)
    who = _WHO.match(metric.name)
    if who:
        verb = _PRESENT.get(who[1].lower(), who[1])
        more = "more" if estimate >= 0 else "fewer"
        return f"{size} {more} shoppers {verb}{who[2]}"
    return f"{lower_first(metric.name)} {'up' if estimate >= 0 else 'down'} {size}"


def short(metric: MetricResult) -> str:
    """A name short enough for an axis: ``Clicked a recommendation``."""
    who = _WHO.match(metric.name)
    return f"{who[1].capitalize()}{who[2]}" if who else metric.name


def lower_first(text: str) -> str:
    """The text inside a sentence: its first letter small, unless an abbreviation."""
    if len(text) > 1 and text[1].isupper():
        return text
    return text[:1].lower() + text[1:]


def upper_first(text: str) -> str:
    """The text as a sentence's beginning."""
    return text[:1].upper() + text[1:]


def bounds(interval: Interval | None) -> str:
    """The interval in figures, or why there is none."""
    if interval is None:
        return ""
    if interval.status == "not_enough_data":
        return "too few shoppers"
    return numbers.interval(interval.lower, interval.upper)


def result_of(metric: MetricResult, variant: str) -> VariantResult | None:
    """One variant's result of a metric."""
    return next((r for r in metric.variants if r.variant == variant), None)


def is_absolute(metric: MetricResult) -> bool:
    """Whether a guardrail's limit and change are shown in the metric's own unit."""
    return metric.role == "guardrail" and metric.margin_scale == "absolute"


def shown_effect(metric: MetricResult, result: VariantResult) -> Interval | None:
    """The change a row shows: relative, or absolute where its limit is."""
    return result.absolute if is_absolute(metric) else result.relative


def change(metric: MetricResult, amount: float | None) -> str:
    """A change as its row words it: ``+2.8%``, ``+0.4 points``."""
    if amount is None or not is_absolute(metric):
        return numbers.change(amount)
    return numbers.absolute(amount, metric.unit)


def row_bounds(metric: MetricResult, result: VariantResult) -> str:
    """The interval of a row's change, in words."""
    shown = shown_effect(metric, result)
    if shown is None or not is_absolute(metric):
        return bounds(shown)
    return numbers.absolute_interval(shown.lower, shown.upper, metric.unit)


def limit(metric: MetricResult) -> float | None:
    """A guardrail's limit as a signed change, on the scale its row shows."""
    if metric.role != "guardrail" or metric.margin is None:
        return None
    return metric.margin if metric.direction == "decrease" else -metric.margin
