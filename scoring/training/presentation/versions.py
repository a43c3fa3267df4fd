"""The list of models and the page of one version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.analysis.presentation import numbers
from experiments.analysis.presentation.table import IntervalBar, interval_bar
from models_registry.models import AliasMove, Model, Version
from scoring.training.presentation.facts import Fact, facts, moment
from scoring.training.presentation.scores import (
    MEASURES,
    interval_of,
    label,
    length,
    padded,
    score_of,
    written,
)
from scoring.training.registered import Registered

USES_SHOWN = 5


@dataclass(frozen=True)
class Row:
    """A version in its model's table."""

    model: str
    number: int
    value: str
    label: str
    aliases: tuple[str, ...]
    bar: IntervalBar | None
    ndcg: str
    ndcg_bounds: str
    recall: str
    f1: str
    coverage: str
    registered: str
    size: str
    used: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ModelCard:
    """A model and its versions, newest first."""

    name: str
    description: str
    champion: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Step:
    """A link of the lineage strip."""

    title: str
    note: str
    job: int | None = None
    experiment: str = ""


@dataclass(frozen=True)
class Figure:
    """A line of the evaluation table."""

    label: str
    meaning: str
    value: str
    bounds: str


@dataclass(frozen=True)
class VersionPage:
    """Everything the page of a version shows."""

    title: str
    model: str
    number: int
    aliases: tuple[str, ...]
    meta: tuple[str, ...]
    lineage: tuple[Step, ...]
    figures: tuple[Figure, ...]
    accuracy_note: str
    protocol: tuple[Fact, ...]
    manifest: tuple[Fact, ...]
    moves: tuple[Fact, ...]
    used: tuple[tuple[str, str, str, str], ...]
    used_more: int
    notes: str


def cards(
    models: Sequence[Model], found: Sequence[Registered]
) -> tuple[ModelCard, ...]:
    """Every model with its versions; the bars of a model share a scale."""
    made = []
    for model in models:
        own = [r for r in found if r.version.model_id == model.pk]
        bounds = [
            b
            for r in own
            if (score := score_of(r.evaluation, "ndcg"))
            for b in score.bounds
        ]
        scale = padded(bounds)
        champion = next((str(r.version) for r in own if "champion" in r.aliases), "")
        made.append(
            ModelCard(
                name=model.name,
                description=model.description,
                champion=champion,
                rows=tuple(_row(r, scale) for r in own),
            )
        )
    return tuple(made)


def _row(registered: Registered, scale: tuple[float, float]) -> Row:
    version, evaluation = registered.version, registered.evaluation
    ndcg = score_of(evaluation, "ndcg")

    def text(name: str) -> str:
        score = score_of(evaluation, name)
        return written(MEASURES[name], score.value if score else None)

    return Row(
        model=version.model.name,
        number=version.number,
        value=f"{version.model.name}/{version.number}",
        label=str(version),
        aliases=registered.aliases,
        bar=interval_bar(
            "A" if "champion" in registered.aliases else "B",
            ndcg.value,
            ndcg.bounds,
            scale,
            label=f"NDCG of {version}: {interval_of(MEASURES['ndcg'], ndcg)}",
        )
        if ndcg
        else None,
        ndcg=text("ndcg"),
        ndcg_bounds=interval_of(MEASURES["ndcg"], ndcg),
        recall=text("recall"),
        f1=text("f1"),
        coverage=text("coverage"),
        registered=numbers.day(version.created_at),
        size=numbers.size(version.size_bytes),
        used=tuple(
            (v.experiment.key, f"{v.letter}, {v.experiment.name}")
            for v in registered.variants[:2]
        ),
    )


def page(registered: Registered, moves: Sequence[AliasMove]) -> VersionPage:
    """The page of one version."""
    version, evaluation = registered.version, registered.evaluation
    accuracy = score_of(evaluation, "accuracy")
    always_no = score_of(evaluation, "always_no_accuracy")
    note = ""
    if accuracy is not None and always_no is not None:
        note = (
            f"Accuracy alone misleads here: always saying no scores "
            f"{numbers.percent(always_no.value, 2)}, this version "
            f"{numbers.percent(accuracy.value, 2)}."
        )
    return VersionPage(
        title=str(version),
        model=version.model.name,
        number=version.number,
        aliases=registered.aliases,
        meta=(
            f"registered {numbers.moment(version.created_at)}",
            numbers.size(version.size_bytes),
        ),
        lineage=_lineage(registered),
        figures=_figures(registered),
        accuracy_note=note,
        protocol=facts(evaluation.protocol) if evaluation else (),
        manifest=(
            *facts(_manifest(version)),
            Fact("Artifact", _short(version.artifact_digest), is_code=True),
        ),
        moves=tuple(_move(move) for move in moves),
        used=tuple(
            (
                v.experiment.key,
                v.letter,
                v.experiment.name,
                v.experiment.get_status_display().lower(),
            )
            for v in registered.variants[:USES_SHOWN]
        ),
        used_more=max(0, len(registered.variants) - USES_SHOWN),
        notes=version.notes,
    )


def _manifest(version: Version) -> Mapping[str, object]:
    manifest: Mapping[str, object] = version.manifest
    skipped = {"files", "content_hash", "vocabulary"}
    return {name: value for name, value in manifest.items() if name not in skipped}


def _figures(registered: Registered) -> tuple[Figure, ...]:
    evaluation = registered.evaluation
    k = length([evaluation])
    found = []
    for measure in MEASURES.values():
        score = score_of(evaluation, measure.name)
        if score is not None:
            value = (
                numbers.percent(score.value, 2)
                if "accuracy" in measure.name
                else written(measure, score.value)
            )
            found.append(
                Figure(
                    label(measure, k),
                    measure.meaning,
                    value,
                    interval_of(measure, score),
                )
            )
    return tuple(found)


def _lineage(registered: Registered) -> tuple[Step, ...]:
    version, evaluation = registered.version, registered.evaluation
    split = version.manifest.get("split")
    cut = split.get("cut") if isinstance(split, dict) else version.manifest.get("cut")
    steps = [Step("Event log", f"cut {moment(cut)}" if cut else "cut not recorded")]
    if version.job_id is not None:
        steps.append(Step(f"Run {version.job_id}", "training", job=version.job_id))
    if evaluation is not None:
        users = evaluation.protocol.get("users")
        steps.append(
            Step(
                f"Evaluation {evaluation.pk}",
                f"{numbers.count(users)} shoppers"
                if isinstance(users, int)
                else numbers.day(evaluation.created_at),
            )
        )
    steps.append(Step(str(version), f"registered {numbers.day(version.created_at)}"))
    steps.extend(
        Step(
            f"Variant {v.letter}",
            v.experiment.name,
            experiment=v.experiment.key,
        )
        for v in registered.variants[:2]
    )
    steps.extend(
        Step(name.capitalize(), f"of {version.model.name}")
        for name in registered.aliases
    )
    return tuple(steps)


def _short(digest: str) -> str:
    return f"{digest[:8]}…{digest[-4:]}"


def _move(move: AliasMove) -> Fact:
    who = move.moved_by.get_username() if move.moved_by else "the platform"
    before = f"{move.from_version} → " if move.from_version else ""
    reason = f": {move.reason}" if move.reason else ""
    return Fact(
        numbers.moment(move.moved_at),
        f"{move.alias_name}: {before}{move.to_version}, by {who}{reason}",
    )
