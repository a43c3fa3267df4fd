"""The experiment list: what needs attention first, then every experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from experiments.analysis.presentation import numbers, wording
from experiments.analysis.presentation.banner import Facts, Reader
from experiments.analysis.presentation.situation import STALE_AFTER, status_tag
from experiments.analysis.presentation.verdict import banner
from experiments.analysis.presentation.wording import Tag
from experiments.analysis.results import VariantInfo
from experiments.analysis.selectors import Listed
from experiments.design.lifecycle import Status

CARDS_SHOWN = 6
SPARK_WIDTH, SPARK_HEIGHT, SPARK_REACH = 128, 36, 0.6
OPEN = {Status.RUNNING, Status.PAUSED}
VERDICTS = {
    "ship": Tag("good", "check", "Ready to ship"),
    "not_distinguishable": Tag("info", "user", "A person must decide"),
    "keep_running": Tag("quiet", "clock", "Too early to tell"),
    "keep_control": Tag("quiet", "minus", "No clear difference"),
    "no_verdict": Tag("bad", "x", "Not to be read"),
}


@dataclass(frozen=True)
class Card:
    """Something that waits for a person."""

    tag: Tag
    title: str
    key: str
    text: str


@dataclass(frozen=True)
class Spark:
    """The leading variant's cumulative change with its interval, as SVG paths."""

    band: str
    line: str
    zero: str


@dataclass(frozen=True)
class Row:
    """One experiment of the list."""

    key: str
    name: str
    about: str
    state: Tag
    state_note: str
    spark: Spark | None
    instead: str
    change: str
    bounds: str
    verdict: Tag | None
    verdict_note: str


def rows(listed: Sequence[Listed]) -> tuple[Row, ...]:
    """The list's rows."""
    return tuple(_row(item) for item in listed)


def attention(listed: Sequence[Listed], now: datetime) -> tuple[Card, ...]:
    """Experiments that wait for a person: broken first, then due, then stale."""
    cards = [(rank, card) for item in listed for rank, card in _cards(item, now)]
    ordered = sorted(cards, key=lambda pair: pair[0])
    return tuple(card for _, card in ordered[:CARDS_SHOWN])


def _cards(item: Listed, now: datetime) -> list[tuple[int, Card]]:
    experiment, content = item.experiment, item.content
    if experiment.status not in OPEN:
        return []

    def card(tag: Tag, text: str) -> Card:
        return Card(tag, experiment.name, experiment.key, text)

    if content is not None and content.variants:
        facts = Facts.of(content)
        says = banner(facts, None, Reader())
        if facts.broken:
            remedy = next((c.remedy for c in content.checks if c.state == "bad"), "")
            text = f"{says.sentence}. {remedy}".strip()
            return [(0, card(Tag("bad", "x", "Results broken"), text))]
        if content.verdict.decision in {"ship", "not_distinguishable", "keep_control"}:
            return [
                (1, card(Tag("good", "check", "Decision due"), f"{says.sentence}."))
            ]
    if experiment.status == Status.PAUSED:
        text = "Every shopper gets the default until it resumes or concludes."
        return [(3, card(Tag("warn", "pause", "Paused"), text))]
    if item.reported_at is not None and now - item.reported_at > STALE_AFTER:
        text = f"The last report is from {numbers.moment(item.reported_at)}."
        return [(2, card(Tag("warn", "warn", "Report is late"), text))]
    return []


def _row(item: Listed) -> Row:
    experiment, content = item.experiment, item.content
    facts = Facts.of(content) if content and content.variants else None
    owner = experiment.owner
    count = len(experiment.variants.all())
    about = [
        experiment.placement.key,
        *([owner.get_full_name() or owner.get_username()] if owner else []),
        numbers.plural(count, "variant"),
    ]
    change, bounds, spark, instead = "", "", None, "not started"
    if facts is not None and facts.broken:
        instead = "hidden, results broken"
    elif facts is not None:
        change, bounds = _leading_effect(facts)
        spark = _spark(facts)
        instead = f"from day {facts.content.plan.minimum_days}"
    elif experiment.status != Status.DRAFT:
        instead = "no report yet"
    verdict, note = _verdict(item, facts)
    return Row(
        key=experiment.key,
        name=experiment.name,
        about=", ".join(about),
        state=status_tag(experiment.status),
        state_note=_state_note(item),
        spark=spark,
        instead=instead,
        change=change if spark else "",
        bounds=bounds if spark else "",
        verdict=verdict,
        verdict_note=note,
    )


def _state_note(item: Listed) -> str:
    planned = item.experiment.planned_days
    if item.content is not None:
        day = min(planned, max(1, int(item.content.plan.days)))
        return f"day {day} of {planned}"
    if item.experiment.started_at is not None:
        return f"since {numbers.day(item.experiment.started_at)}"
    return f"{planned} days planned"


def _leader(facts: Facts) -> VariantInfo | None:
    winner = facts.by_key.get(facts.content.verdict.winner or "")
    if winner is not None or not facts.challengers or facts.primary is None:
        return winner
    sign = 1 if facts.primary.direction == "increase" else -1

    def effect(variant: VariantInfo) -> float:
        result = facts.result(facts.primary, variant.key)
        estimate = result.relative.estimate if result and result.relative else None
        return float("-inf") if estimate is None else sign * estimate

    return max(facts.challengers, key=effect)


def _leading_effect(facts: Facts) -> tuple[str, str]:
    leader = _leader(facts)
    result = facts.result(facts.primary, leader.key) if leader else None
    effect = result.relative if result else None
    if effect is None or effect.estimate is None:
        return "", ""
    return numbers.change(effect.estimate), wording.bounds(effect)


def _spark(facts: Facts) -> Spark | None:
    leader = _leader(facts)
    if leader is None or facts.content.plan.days < facts.content.plan.minimum_days:
        return None
    points = [
        (p.estimate, p.lower, p.upper)
        for p in facts.content.days
        if p.variant == leader.key and p.estimate is not None
    ]
    if len(points) < 2:
        return None
    settled = points[len(points) // 3 :]
    bounds = [b for p in settled for b in p if b is not None]
    estimates = [p[0] for p in settled]
    low = min(max(-SPARK_REACH, min(0.0, *bounds)), *estimates)
    high = max(min(SPARK_REACH, max(0.0, *bounds)), *estimates)
    room = (high - low) or 1.0

    def x(i: int) -> str:
        return f"{2 + i * (SPARK_WIDTH - 4) / (len(points) - 1):.1f}"

    def y(number: float) -> str:
        held = min(high, max(low, number))
        return f"{SPARK_HEIGHT - 2 - (held - low) / room * (SPARK_HEIGHT - 4):.1f}"

    upper = [f"{x(i)},{y(e if u is None else u)}" for i, (e, _, u) in enumerate(points)]
    lower = [
        f"{x(i)},{y(e if lo is None else lo)}" for i, (e, lo, _) in enumerate(points)
    ]
    line = "L".join(f"{x(i)} {y(e)}" for i, (e, _, _) in enumerate(points))
    band = " ".join(upper) + "L" + " ".join(reversed(lower))
    return Spark(band=f"M{band}z", line=f"M{line}", zero=y(0.0))


def _verdict(item: Listed, facts: Facts | None) -> tuple[Tag | None, str]:
    decision = item.last_decision
    if decision is not None:
        tags = {
            "ship": Tag("good", "check", "Shipped"),
            "keep_control": Tag("quiet", "flag", "Control kept"),
            "roll_back": Tag("bad", "x", "Rolled back"),
        }
        name = str(decision.variant) if decision.variant else ""
        return tags.get(decision.action), name
    if facts is None:
        return None, ""
    verdict = facts.content.verdict
    if facts.broken:
        return VERDICTS["no_verdict"], ""
    winner = facts.by_key.get(verdict.winner or "")
    return VERDICTS.get(verdict.decision), wording.named(winner) if winner else ""


def counts(by_status: Mapping[str, int]) -> tuple[str, ...]:
    """What runs and what ended, in words: ``5 running``."""
    return tuple(
        f"{numbers.count(by_status[status])} {status_tag(status).word.lower()}"
        for status in Status
        if by_status.get(status)
    )
