"""Did the offline test predict the shop? Offline figures beside online changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.analysis.presentation import charts, numbers, plots, wording
from experiments.analysis.presentation.banner import Facts
from experiments.analysis.presentation.charts import Chart
from experiments.analysis.presentation.variants import VariantLine
from experiments.analysis.selectors import Offline

SIDE = 474


@dataclass(frozen=True)
class OfflineRow:
    """A variant's model: offline figures beside the online change."""

    variant: VariantLine
    model: str
    number: int
    label: str
    role: str
    ndcg: str
    ndcg_bounds: str
    recall: str
    f1: str
    change: str
    bounds: str
    is_leader: bool


@dataclass(frozen=True)
class OfflineOnline:
    """Whether the offline test predicted the shop."""

    finding: str
    online: str
    rows: tuple[OfflineRow, ...]
    chart: Chart | None


def offline_online(
    facts: Facts, lines: dict[str, VariantLine], offline: Sequence[Offline]
) -> OfflineOnline | None:
    """Each variant's model and result; None where no model was evaluated."""
    known = [o for o in offline if o.variant in lines]
    if not known:
        return None
    leader = facts.content.verdict.winner
    rows = tuple(_offline_row(facts, lines[o.variant], o, leader) for o in known)
    points = [point for o in known if (point := _offline_point(facts, o)) is not None]
    chart = None
    if len(points) > 1:
        chart = charts.draw(
            "NDCG at 10 against the online change of each variant, with intervals.",
            lambda narrow: plots.offline_online(points, narrow=narrow),
            SIDE,
        )
    return OfflineOnline(
        finding=_finding(points),
        online=facts.primary.name if facts.primary else "Online change",
        rows=rows,
        chart=chart,
    )


def _figure(offline: Offline, name: str) -> Mapping[str, float | None]:
    """A figure by its bare name; stored names carry the length (``ndcg@10``)."""
    stored = next((k for k in offline.figures if k.partition("@")[0] == name), name)
    return offline.figures.get(stored) or {}


def _offline_row(
    facts: Facts, line: VariantLine, offline: Offline, leader: str | None
) -> OfflineRow:
    ndcg = _figure(offline, "ndcg")
    result = facts.result(facts.primary, offline.variant)
    effect = result.relative if result and not line.is_control else None
    roles = [
        word
        for word, holds in (
            ("champion", offline.is_champion),
            ("control", line.is_control),
        )
        if holds
    ]
    low, high = ndcg.get("lower"), ndcg.get("upper")
    return OfflineRow(
        variant=line,
        model=offline.model,
        number=offline.number,
        label=offline.label,
        role=", ".join(roles),
        ndcg=numbers.score(ndcg.get("value")),
        ndcg_bounds=""
        if low is None or high is None
        else f"{numbers.score(low)} to {numbers.score(high)}",
        recall=numbers.score(_figure(offline, "recall").get("value")),
        f1=numbers.score(_figure(offline, "f1").get("value")),
        change="baseline"
        if line.is_control
        else numbers.change(effect.estimate if effect else None),
        bounds=wording.bounds(effect),
        is_leader=offline.variant == leader,
    )


def _offline_point(facts: Facts, offline: Offline) -> plots.OfflinePoint | None:
    ndcg = _figure(offline, "ndcg")
    value = ndcg.get("value")
    variant = facts.by_key[offline.variant]
    result = facts.result(facts.primary, offline.variant)
    effect = result.relative if result else None
    if value is None:
        return None
    low, high = ndcg.get("lower"), ndcg.get("upper")
    bounds = (0.0, 0.0, 0.0)
    if not variant.is_control:
        if effect is None or effect.estimate is None:
            return None
        lower = effect.estimate if effect.lower is None else effect.lower
        upper = effect.estimate if effect.upper is None else effect.upper
        bounds = (effect.estimate, lower, upper)
    return plots.OfflinePoint(
        letter=variant.letter,
        label=offline.label,
        score=value,
        score_lower=value if low is None else low,
        score_upper=value if high is None else high,
        estimate=bounds[0],
        lower=bounds[1],
        upper=bounds[2],
    )


def _finding(points: Sequence[plots.OfflinePoint]) -> str:
    if len(points) < 2:
        return "Offline figures of each variant's model beside its result in the shop."
    offline = [p.letter for p in sorted(points, key=lambda p: -p.score)]
    online = [p.letter for p in sorted(points, key=lambda p: -p.estimate)]
    if offline == online:
        return "The offline test ranked the models as the shop did."
    if offline[0] == online[0]:
        return f"The offline test found the best, {online[0]}, but not the whole order."
    return (
        f"Offline, {offline[0]} was best; in the shop it is {online[0]}. "
        "Offline figures alone do not promote a model."
    )
