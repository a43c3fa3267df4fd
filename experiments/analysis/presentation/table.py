"""The metric table: a row a variant, bars of one group on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.analysis.presentation import charts, numbers, wording
from experiments.analysis.presentation.banner import Facts
from experiments.analysis.presentation.plots import reach
from experiments.analysis.presentation.wording import Tag
from experiments.analysis.results import MetricResult, VariantInfo, VariantResult

ROLES = ("primary", "secondary", "guardrail")


@dataclass(frozen=True)
class IntervalBar:
    """An interval on its group's scale, in percent of the bar's width.

    Attributes:
        cut_low: The interval goes on to the left of the frame.
        limit: A guardrail's limit; None: none.
    """

    slot: str
    label: str
    low: str
    high: str
    point: str
    zero: str
    limit: str | None
    cut_low: bool
    cut_high: bool


@dataclass(frozen=True)
class Row:
    """One variant's result of one metric."""

    letter: str
    slot: str
    label: str
    value: str
    change: str
    bar: IntervalBar | None
    bounds: str
    p: str
    reading: Tag


@dataclass(frozen=True)
class Detail:
    """A labelled figure of the details that fold out."""

    label: str
    figure: str
    note: str


@dataclass(frozen=True)
class MetricRows:
    """One metric: its control value, its rows, its details."""

    key: str
    name: str
    description: str
    control: str
    rows: tuple[Row, ...]
    details: tuple[Detail, ...]
    is_open: bool


@dataclass(frozen=True)
class Group:
    """Metrics with one role."""

    title: str
    metrics: tuple[MetricRows, ...]


def groups(facts: Facts) -> tuple[Group, ...]:
    """The whole table, primary first."""
    found = []
    for role in ROLES:
        metrics = [m for m in facts.content.metrics if m.role == role]
        if metrics:
            # Bars share a scale where they share a unit.
            scales = {
                kind: _scale([m for m in metrics if wording.is_absolute(m) == kind])
                for kind in {wording.is_absolute(m) for m in metrics}
            }
            found.append(
                Group(
                    title=_title(role, facts),
                    metrics=tuple(
                        _metric(facts, m, scales[wording.is_absolute(m)])
                        for m in metrics
                    ),
                )
            )
    return tuple(found)


def _title(role: str, facts: Facts) -> str:
    plan = facts.content.plan
    if role == "primary":
        return (
            f"Primary, corrected for {numbers.plural(plan.comparisons, 'variant')} "
            f"and {numbers.plural(plan.looks, 'look')}"
        )
    if role == "secondary":
        compared = len(facts.secondary) * len(facts.challengers)
        return f"Secondary, corrected for {numbers.plural(compared, 'comparison')}"
    return "Guardrails: harm must stay inside the limit"


def _scale(metrics: Sequence[MetricResult]) -> tuple[float, float]:
    bounds = [
        bound
        for metric in metrics
        for result in metric.variants
        if (effect := wording.shown_effect(metric, result)) is not None
        for bound in (
            effect.lower,
            effect.upper,
            effect.estimate,
            wording.limit(metric),
        )
        if bound is not None
    ]
    return reach(bounds, most=0.8)


def _metric(
    facts: Facts, metric: MetricResult, scale: tuple[float, float]
) -> MetricRows:
    control = facts.result(metric, facts.control.key)
    limit = wording.limit(metric)
    worth = numbers.value(control.value if control else None, metric.unit)
    note = f"Control {worth}"
    if limit is not None:
        note += f", limit {wording.change(metric, limit)}"
    rows = tuple(
        _row(metric, variant, result, scale)
        for variant in facts.challengers
        if (result := facts.result(metric, variant.key)) is not None
    )
    return MetricRows(
        key=metric.key,
        name=metric.name,
        description=metric.description,
        control=note,
        rows=rows,
        details=_details(facts, metric),
        is_open=metric.role == "primary",
    )


def _row(
    metric: MetricResult,
    variant: VariantInfo,
    result: VariantResult,
    scale: tuple[float, float],
) -> Row:
    effect = wording.shown_effect(metric, result)
    return Row(
        letter=variant.letter,
        slot=charts.slot(variant.letter),
        label=variant.label,
        value=numbers.value(result.value, metric.unit),
        change=wording.change(metric, effect.estimate if effect else None),
        bar=_bar(metric, variant, result, scale),
        bounds=wording.row_bounds(metric, result),
        p=numbers.p_value(effect.p_value)
        if effect and metric.role != "guardrail"
        else "",
        reading=wording.reading(result.reading),
    )


def _bar(
    metric: MetricResult,
    variant: VariantInfo,
    result: VariantResult,
    scale: tuple[float, float],
) -> IntervalBar | None:
    effect = wording.shown_effect(metric, result)
    if (
        effect is None
        or effect.estimate is None
        or effect.lower is None
        or effect.upper is None
        or effect.status == "not_enough_data"
    ):
        return None
    return interval_bar(
        variant.letter,
        effect.estimate,
        (effect.lower, effect.upper),
        scale,
        limit=wording.limit(metric),
        label=f"Variant {variant.letter}: {wording.row_bounds(metric, result)}",
    )


def interval_bar(
    letter: str,
    estimate: float,
    bounds: tuple[float, float],
    scale: tuple[float, float],
    *,
    label: str,
    limit: float | None = None,
) -> IntervalBar:
    """An interval bar on a scale; what the frame cuts gets an arrow."""
    low, high = scale

    def at(number: float) -> str:
        inside = max(low, min(high, number))
        return f"{(inside - low) / (high - low) * 100:.2f}%"

    return IntervalBar(
        slot=charts.slot(letter),
        label=label,
        low=at(bounds[0]),
        high=at(bounds[1]),
        point=at(estimate),
        zero=at(0.0) if low <= 0.0 <= high else "",
        limit=None if limit is None or not low <= limit <= high else at(limit),
        cut_low=bounds[0] < low,
        cut_high=bounds[1] > high,
    )


def _details(facts: Facts, metric: MetricResult) -> tuple[Detail, ...]:
    found = []
    for variant in facts.challengers:
        result = facts.result(metric, variant.key)
        if result is None:
            continue
        if result.absolute is not None:
            absolute = result.absolute
            found.append(
                Detail(
                    f"Absolute change, {variant.letter}",
                    numbers.absolute(absolute.estimate, metric.unit),
                    numbers.absolute_interval(
                        absolute.lower, absolute.upper, metric.unit
                    ),
                )
            )
        if result.uncorrected is not None and metric.role != "guardrail":
            raw = result.uncorrected
            found.append(
                Detail(
                    f"Uncorrected, {variant.letter}",
                    numbers.change(raw.estimate),
                    f"{wording.bounds(raw)}, {numbers.p_equals(raw.p_value)}".rstrip(
                        ", "
                    ),
                )
            )
    shoppers = [facts.result(metric, v) for v in facts.by_key]
    found.append(
        Detail(
            "Shoppers " + " / ".join(v.letter for v in facts.by_key.values()),
            " / ".join(numbers.count(r.users) if r else "–" for r in shoppers),
            "",
        )
    )
    return tuple(found)
