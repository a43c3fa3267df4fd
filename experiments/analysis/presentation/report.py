"""A report's content and its experiment's present state as the page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.analysis.presentation import (
    charts,
    criteria,
    numbers,
    plots,
    table,
    wording,
)
from experiments.analysis.presentation.banner import Banner, Decided, Facts, Reader
from experiments.analysis.presentation.charts import Chart
from experiments.analysis.presentation.criteria import Line
from experiments.analysis.presentation.offline import OfflineOnline, offline_online
from experiments.analysis.presentation.variants import VariantLine, variant_line
from experiments.analysis.presentation.verdict import banner
from experiments.analysis.presentation.wording import Tag
from experiments.analysis.results import (
    QualityCheck,
    ReportContent,
)
from experiments.analysis.selectors import Offline

WIDE, SIDE = 690, 474
CHECKS = {
    "bad": Tag("bad", "x", "Failed"),
    "warn": Tag("warn", "warn", "Advisory"),
    "good": Tag("good", "check", "Passed"),
}
RULE_TITLES = {
    "ship": "Why the rule says ship",
    "not_distinguishable": "Why a person must decide",
    "keep_running": "What the rule waits for",
    "keep_control": "Why the rule says keep control",
    "no_verdict": "What the rule says",
}


@dataclass(frozen=True)
class LookRow:
    """The effects at one planned look."""

    day: int
    date: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class OverTime:
    """How the primary metric moved."""

    metric: str
    metric_inside: str
    cumulative: Chart
    daily: Chart | None
    letters: tuple[str, ...]
    looks: tuple[LookRow, ...]


@dataclass(frozen=True)
class ReportPage:
    """Everything the report page shows of one report."""

    banner: Banner
    broken: bool
    variants: tuple[VariantLine, ...]
    challengers: tuple[VariantLine, ...]
    winner: VariantLine | None
    candidates: tuple[VariantLine, ...]
    shipped: VariantLine | None
    health: tuple[Line, ...]
    rule_title: str
    criteria: tuple[Line, ...]
    against: tuple[str, ...]
    forest: Chart | None
    groups: tuple[table.Group, ...]
    over_time: OverTime | None
    offline: OfflineOnline | None
    methods: tuple[str, ...]
    plan: str
    notes: tuple[str, ...]
    computed: str


def present(
    content: ReportContent,
    *,
    offline: Sequence[Offline],
    decided: Decided | None,
    reader: Reader,
) -> ReportPage:
    """The view of a report; with a broken split no effect is even computed."""
    facts = Facts.of(content)
    lines = {key: variant_line(facts, key) for key in facts.by_key}
    verdict = content.verdict
    shown = not facts.broken
    holds = decided if decided and decided.action == "ship" else None
    return ReportPage(
        banner=banner(facts, decided, reader),
        broken=facts.broken,
        variants=tuple(lines.values()),
        challengers=tuple(lines[v.key] for v in facts.challengers),
        winner=lines.get(verdict.winner or ""),
        candidates=tuple(lines[key] for key in verdict.candidates if key in lines),
        shipped=lines.get(holds.variant) if holds else None,
        health=_health(content.checks),
        rule_title=RULE_TITLES.get(verdict.decision, "What the rule says"),
        criteria=criteria.lines(facts),
        against=criteria.against(facts) if shown else (),
        forest=_forest(facts) if shown else None,
        groups=table.groups(facts) if shown else (),
        over_time=_over_time(facts) if shown else None,
        offline=offline_online(facts, lines, offline) if shown else None,
        methods=_methods(content) if shown else (),
        plan=_plan(facts),
        notes=content.notes,
        computed=_computed(content),
    )


def _health(checks: Sequence[QualityCheck]) -> tuple[Line, ...]:
    order = list(CHECKS)
    worst_first = sorted(
        checks, key=lambda c: order.index(c.state) if c.state in order else 0
    )
    return tuple(
        Line(
            CHECKS.get(c.state, CHECKS["warn"]),
            wording.upper_first(wording.trouble(c)) if c.state == "bad" else c.title,
            c.sentence,
            c.remedy,
        )
        for c in worst_first
    )


def _forest(facts: Facts) -> Chart | None:
    effects = [
        plots.Effect(
            metric=wording.short(metric),
            letter=variant.letter,
            estimate=effect.estimate,
            lower=effect.lower,
            upper=effect.upper,
            margin=wording.limit(metric),
        )
        for metric in facts.content.metrics
        for variant in facts.challengers
        if not wording.is_absolute(metric)
        and (result := facts.result(metric, variant.key))
        and (effect := result.relative)
        and effect.estimate is not None
        and effect.lower is not None
        and effect.upper is not None
        and effect.status != "not_enough_data"
    ]
    if not effects:
        return None
    primary = wording.short(facts.primary) if facts.primary else "Primary metric"
    says = "; ".join(
        f"{e.letter} {numbers.interval(e.lower, e.upper)}"
        for e in effects
        if e.metric == primary
    )
    label = (
        f"Change against control with 95 percent intervals. {primary}: {says}. "
        "All values are in the metrics table below."
    )
    return charts.draw(label, lambda narrow: plots.forest(effects, narrow=narrow), WIDE)


def _over_time(facts: Facts) -> OverTime | None:
    labels = {v.key: (v.letter, v.label) for v in facts.by_key.values()}
    effects = [
        plots.TimePoint(
            day=p.day,
            letter=labels[p.variant][0],
            label=labels[p.variant][1],
            estimate=p.estimate,
            lower=p.lower,
            upper=p.upper,
            is_look=p.is_look,
        )
        for p in facts.content.days
        if p.estimate is not None and p.variant in labels
        if p.variant != facts.control.key
    ]
    if facts.primary is None or len({p.day for p in effects}) < 2:
        return None
    ends = {p.letter: p for p in effects}
    says = ", ".join(
        f"{p.letter} {numbers.change(p.estimate)} on day {p.day}" for p in ends.values()
    )
    values = [
        plots.TimePoint(
            p.day, labels[p.variant][0], labels[p.variant][1], p.daily_value
        )
        for p in facts.content.days
        if p.daily_value is not None and p.variant in labels
    ]
    name = facts.primary.name
    return OverTime(
        metric=name,
        metric_inside=wording.lower_first(name),
        cumulative=charts.draw(
            f"Cumulative change in {wording.lower_first(name)}: {says}.",
            lambda narrow: plots.cumulative(effects, narrow=narrow),
            WIDE,
        ),
        daily=charts.draw(
            f"{name} on each day, one line per variant.",
            lambda narrow: plots.daily(values, narrow=narrow),
            SIDE,
        )
        if len({p.day for p in values}) > 1
        else None,
        letters=tuple(v.letter for v in facts.challengers),
        looks=_looks(facts),
    )


def _looks(facts: Facts) -> tuple[LookRow, ...]:
    by_day: dict[int, dict[str, str]] = {}
    dates: dict[int, str] = {}
    for point in facts.content.days:
        if point.is_look and point.variant != facts.control.key:
            dates[point.day] = numbers.day(point.date)
            by_day.setdefault(point.day, {})[point.variant] = (
                f"{numbers.change(point.estimate)} "
                f"({numbers.interval(point.lower, point.upper)})"
            )
    return tuple(
        LookRow(
            day,
            dates[day],
            tuple(cells.get(v.key, numbers.NONE) for v in facts.challengers),
        )
        for day, cells in sorted(by_day.items())
    )


def _methods(content: ReportContent) -> tuple[str, ...]:
    found: dict[tuple[str, str], list[str]] = {}
    for metric in content.metrics:
        for result in metric.variants:
            for kind, interval in (
                ("Relative change", result.relative),
                ("Absolute change", result.absolute),
            ):
                if interval is not None and interval.method:
                    names = found.setdefault((kind, interval.method), [])
                    if metric.name not in names:
                        names.append(metric.name)
    return tuple(
        f"{kind} by {method}: {wording.listed(names)}."
        for (kind, method), names in found.items()
    )


def _plan(facts: Facts) -> str:
    plan = facts.content.plan
    worth = (
        f"minimum worth shipping {numbers.change(plan.minimum_effect)}, "
        if plan.minimum_effect
        else ""
    )
    critical = (
        f" At this look an effect must pass {numbers.decimal(plan.critical_value, 3)} "
        "standard errors."
        if plan.critical_value is not None
        else ""
    )
    return (
        f"Primary metric, guardrail limits, {worth}"
        f"{numbers.plural(plan.looks, 'look')} over {plan.planned_days} days, "
        f"error of {numbers.percent(plan.alpha, 0)} over "
        f"{numbers.plural(plan.comparisons, 'comparison')} and all looks together "
        f"(Lan-DeMets spending, O'Brien-Fleming shape).{critical}"
    )


def _computed(content: ReportContent) -> str:
    took = f" in {numbers.duration(content.seconds)}" if content.seconds else ""
    left_out = (
        f"; {numbers.plural(content.excluded_users, 'shopper')} left out"
        if content.excluded_users
        else ""
    )
    return (
        f"Computed {numbers.moment(content.computed_at)}{took} from "
        f"{numbers.count(content.events_read)} events up to "
        f"{numbers.moment(content.as_of)} (UTC); "
        f"{numbers.count(content.users)} shoppers{left_out}."
    )
