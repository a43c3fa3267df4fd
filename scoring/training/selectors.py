"""What training reads: the log, and how versions and runs did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
import pyarrow as pa
from django.conf import settings

from experiments.events.lake import Lake, read_twice
from experiments.events.query import connect
from models_registry.errors import NotFoundError
from models_registry.models import Alias, Evaluation, Job, JobState, Version
from models_registry.selectors import latest_evaluation, live_version
from scoring.engine.errors import EvaluationError
from scoring.engine.evaluation import Evaluation as Judged
from scoring.engine.evaluation import Figure, paired_difference
from scoring.engine.registry import RANKERS
from scoring.training.interactions import COLUMNS

MAIN_METRIC = "ndcg"


def log_batches() -> dict[str, int]:
    """The last batch of each shard of the log: what exists now."""
    return Lake(settings.LAKE_URL).batches()


def read_log(
    names: Sequence[str], *, until: datetime | None, batches: Mapping[str, int]
) -> pa.Table:
    """Rows of the log, with the columns that training cleans.

    Args:
        names: Event names.
        until: Only events before this moment; None: all.
        batches: Last batch of each shard that is read; shards not named are not.
    """
    lake = Lake(settings.LAKE_URL)
    query = f"""
        SELECT {", ".join(COLUMNS)} FROM read_parquet($files, hive_partitioning=true)
        WHERE list_contains($names, name)
          AND ($until IS NULL OR timestamp < CAST($until AS TIMESTAMPTZ))
          AND batch <= map($shards, $batches)[shard]
    """  # noqa: S608 - our own column names

    def read() -> pa.Table:
        files = lake.active_files(date_to=until.date() if until else None)
        if not files:
            return pa.table({name: pa.array([], pa.string()) for name in COLUMNS})
        with connect(lake.url, threads=1) as database:
            return database.sql(
                query,
                params={
                    "files": [file.removeprefix("file://") for file in files],
                    "names": list(names),
                    "until": until,
                    "shards": list(batches),
                    "batches": list(batches.values()),
                },
            ).to_arrow_table()

    return read_twice(read)


@dataclass(frozen=True, slots=True)
class ComparedVersion:
    """One version beside others.

    Attributes:
        aliases: Names that point at it now (``champion``).
        figures: Metric (``ndcg@10``) -> value and 95 % interval.
        differences: Metric -> this version minus the first, paired over the same
            shoppers; empty for the first and where ``not_paired`` says why.
        not_paired: Why no paired difference can be computed; empty: it can.
        protocol: How it was judged; empty: it never was.
    """

    version: Version
    title: str
    aliases: tuple[str, ...]
    figures: Mapping[str, Figure]
    differences: Mapping[str, Figure]
    not_paired: str
    protocol: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """Versions side by side, the first being the reference.

    Attributes:
        metrics: Metrics that at least one version has, main ones first.
        same_protocol: Whether all were judged on the same shoppers.
    """

    versions: tuple[ComparedVersion, ...]
    metrics: tuple[str, ...]
    same_protocol: bool

    @property
    def reference(self) -> ComparedVersion:
        """The version the others are compared with."""
        return self.versions[0]


def comparison(version_ids: Sequence[int]) -> ComparisonView:
    """Versions side by side, in the order asked.

    Raises:
        NotFoundError: A version does not exist, or none was named.
    """
    found = Version.objects.select_related("model").in_bulk(list(version_ids))
    missing = [pk for pk in version_ids if pk not in found]
    if missing or not version_ids:
        named = ", ".join(map(str, missing)) or "(none named)"
        raise NotFoundError(f"There is no version {named}.")
    versions = [found[pk] for pk in dict.fromkeys(version_ids)]
    evaluations = [latest_evaluation(version) for version in versions]
    judged = [_judged(evaluation) if evaluation else None for evaluation in evaluations]
    compared = tuple(
        _compared(version, evaluation, judged[0], mine)
        for version, evaluation, mine in zip(versions, evaluations, judged, strict=True)
    )
    metrics = dict.fromkeys(name for each in compared for name in each.figures)
    hashes = {each.protocol.get("cases_hash") for each in compared}
    return ComparisonView(compared, tuple(metrics), same_protocol=len(hashes) == 1)


def _compared(
    version: Version,
    evaluation: Evaluation | None,
    reference: Judged | None,
    mine: Judged | None,
) -> ComparedVersion:
    differences: dict[str, Figure] = {}
    not_paired = ""
    if mine is None or reference is None:
        not_paired = "not judged yet"
    elif mine is not reference:
        try:
            differences = {
                name: paired_difference(mine, reference, name)
                for name in mine.per_unit
                if name in reference.per_unit
            }
        except EvaluationError as error:
            not_paired = str(error)
    aliases = Alias.objects.filter(version=version).values_list("name", flat=True)
    entry = RANKERS.get(version.kind)
    return ComparedVersion(
        version=version,
        title=entry.title if entry else version.kind,
        aliases=tuple(aliases),
        figures=mine.figures if mine else {},
        differences=differences,
        not_paired=not_paired,
        protocol=evaluation.protocol if evaluation else {},
    )


def _judged(evaluation: Evaluation) -> Judged:
    """A stored evaluation as the engine's."""
    protocol = evaluation.protocol
    return Judged(
        figures={name: Figure(**f) for name, f in evaluation.figures.items()},
        per_unit={
            name: np.array(values, dtype=np.float64)
            for name, values in evaluation.per_unit.items()
        },
        users=int(protocol.get("users", 0)),
        skipped=int(protocol.get("skipped", 0)),
        k=int(protocol.get("k", 10)),
        confidence=float(protocol.get("confidence", 0.95)),
        cases=str(protocol.get("cases_hash", "")),
    )


@dataclass(frozen=True, slots=True)
class RunView:
    """A training run, live or ended.

    Attributes:
        seconds_left: Estimate while it runs; None: unknown or ended.
        figures: Latest figure by name (loss, ndcg@10, rows).
        curves: Name -> points (share of the stage done, value).
        version: What it registered; None: nothing yet.
        champion: The model's present champion; None: it has none.
        champion_figures: How the champion did, to compare with.
    """

    job: Job
    kind: str
    title: str
    model_name: str
    running: bool
    seconds_left: float | None
    figures: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    version: Version | None
    champion: Version | None
    champion_figures: Mapping[str, Figure]


def run_view(job: Job) -> RunView:
    """What a training run's page shows."""
    kind = str(job.parameters.get("kind", ""))
    version = job.versions.select_related("model").first()
    model_name = str(job.parameters.get("model", ""))
    champion = _champion(model_name)
    judged = latest_evaluation(champion) if champion else None
    figures = dict(job.figures)
    curves = cast("dict[str, list[list[float]]]", figures.pop("series", {}))
    left = figures.pop("seconds_left", None)
    running = job.state == JobState.RUNNING
    entry = RANKERS.get(kind)
    return RunView(
        job=job,
        kind=kind,
        title=entry.title if entry else kind,
        model_name=model_name,
        running=running,
        seconds_left=left if running else None,
        figures=figures,
        curves={name: [(x, y) for x, y in points] for name, points in curves.items()},
        version=version,
        champion=champion,
        champion_figures=_judged(judged).figures if judged else {},
    )


def _champion(model_name: str) -> Version | None:
    alias = Alias.objects.filter(model__name=model_name, name="champion").first()
    return live_version(alias.model, alias.name) if alias else None
