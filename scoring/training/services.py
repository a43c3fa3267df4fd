"""A training run: read the log, fit, judge on later time, register.

The run is safe to repeat: the rows it reads are fixed in its job when it first
begins, a long fit resumes from its checkpoint, and a job registers one version.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User

from models_registry import jobs
from models_registry.errors import InvalidError
from models_registry.jobs import JobCancelledError, JobHandle
from models_registry.models import Job, Version
from models_registry.services import (
    EvaluationFacts,
    crown_first,
    ensure_model,
    publish_plan,
    register_version,
)
from scoring.engine.artifact import Artifact, Json, Scalar
from scoring.engine.errors import EngineError
from scoring.engine.evaluation import Evaluation, EvaluationCase, evaluate
from scoring.engine.protocol import (
    SECONDS_PER_DAY,
    Interactions,
    Scorer,
    TrainingCancelled,
)
from scoring.engine.registry import load_scorer, make_trainer, ranker_entry
from scoring.engine.splits import TimeSplit, cut_at_share, time_split
from scoring.training.interactions import Cleaning, clean, names_read
from scoring.training.parameters import (
    RunParametersError,
    split_parameters,
)
from scoring.training.selectors import log_batches, read_log

CASES_SEED = 0  # the same shoppers judge every model
KEPT_PER_UNIT = ("accuracy", "precision", "recall", "f1", "ndcg", "hit_rate")
SHORT_LOG_SHARE = 0.2  # held out of a log too short for the horizon


def request_training(
    model_name: str,
    kind: str,
    parameters: Mapping[str, object] | None = None,
    *,
    seed: int = 0,
    until: datetime | None = None,
    by: User | None = None,
) -> Job:
    """Queue a training run.

    Args:
        model_name: The model that gets a new version; made if it does not exist.
        kind: Which ranker.
        parameters: The ranker's hyper-parameters and the run's, by name.
        seed: Fixes every random draw.
        until: Only events before this moment; None: all there are.
        by: Who asked.

    Raises:
        InvalidError: A name or value is refused; nothing was queued.
    """
    try:
        split_parameters(kind, parameters or {})
    except (EngineError, RunParametersError) as error:
        raise InvalidError(str(error)) from error
    if until is not None and until.tzinfo is None:
        raise InvalidError(
            f"until = {until.isoformat()} has no time zone; append Z or +00:00."
        )
    model = ensure_model(model_name)
    job = jobs.create_job(
        "train",
        f"Train {ranker_entry(kind).title} for {model.name}",
        {
            "model": model.name,
            "kind": kind,
            "parameters": dict(parameters or {}),
            "seed": seed,
            "until": until.astimezone(UTC).isoformat() if until else None,
        },
        by,
    )
    jobs.enqueue(job)
    return job


def train(handle: JobHandle) -> dict[str, object]:
    """Do a queued run; the result names the version.

    Raises:
        InvalidError: The data or the parameters cannot give a model.
        JobCancelledError: Someone asked to stop.
    """
    try:
        return _Run(handle).go()
    except TrainingCancelled as error:
        raise JobCancelledError(str(error)) from error
    except (EngineError, RunParametersError) as error:
        raise InvalidError(str(error)) from error


@dataclass(slots=True)
class _Stage:
    """A stretch of the run's progress; what a trainer sees as its context."""

    handle: JobHandle
    seed: int
    name: str
    begin: float
    end: float
    checkpoint: Path | None
    began_at: float

    def report(self, fraction: float, message: str, **figures: float) -> None:
        """Pass on, scaled into the stretch, with the seconds left of the run."""
        done = self.begin + (self.end - self.begin) * min(1.0, max(0.0, fraction))
        elapsed = time.monotonic() - self.began_at
        left = elapsed * (1.0 - done) / done if done > 0.02 else 0.0
        self.handle.report(
            done,
            f"{self.name}: {message}",
            **{**figures, "seconds_left": round(left, 1)},
        )
        for name, value in figures.items():
            if "loss" in name or "ndcg" in name:
                self.handle.track(f"{self.name}: {name}", fraction, value)

    def cancelled(self) -> bool:
        """Whether someone asked the run to stop."""
        return self.handle.cancelled()


class _Run:
    """One run of a training job."""

    def __init__(self, handle: JobHandle) -> None:
        self.handle = handle
        asked = handle.parameters
        self.kind = str(asked["kind"])
        self.model_name = str(asked["model"])
        self.seed = cast("int", asked["seed"])
        until = asked["until"]
        self.until = datetime.fromisoformat(str(until)) if until else None
        self.ranker, self.parameters = split_parameters(
            self.kind, cast("Mapping[str, object]", asked["parameters"])
        )
        self.refits = self.parameters.refits(self.kind)
        self.began_at = time.monotonic()

    def go(self) -> dict[str, object]:
        """Read, fit, judge, perhaps fit again, register."""
        interactions, data = self._read()
        split = self._split(interactions)
        cases = _drawn(split.cases, self.parameters.max_cases)
        judged = self._fit("fit", split.train, 0.05, 0.55 if self.refits else 0.85)
        self.handle.check()
        self.handle.report(self._progress(0.6, 0.88), "judging on later time")
        evaluation = evaluate(_reloaded(judged), cases, self.parameters.k)
        for name, figure in evaluation.figures.items():
            self.handle.report(
                self._progress(0.62, 0.92), "judged", **{name: figure.value}
            )
        artifact = judged
        if self.refits:
            artifact = self._fit("refit", interactions, 0.65, 0.95)
        self.handle.check()
        version = self._register(artifact, evaluation, split, data)
        self._remove_checkpoints()
        return {
            "version_id": version.pk,
            "model": self.model_name,
            "number": version.number,
            "ndcg": evaluation.figures[f"ndcg@{self.parameters.k}"].value,
            "seconds": round(time.monotonic() - self.began_at, 1),
        }

    def _progress(self, refitted: float, plain: float) -> float:
        return refitted if self.refits else plain

    def _read(self) -> tuple[Interactions, dict[str, Json]]:
        self.handle.report(0.01, "reading the log")
        batches = self._fixed_batches()
        log = read_log(names_read(self.parameters), until=self.until, batches=batches)
        interactions, cleaning = clean(log, self.parameters)
        interactions.require_some()
        self._say(cleaning)
        self.handle.report(
            0.05, "read the log", rows=cleaning.read, interactions=cleaning.kept
        )
        return interactions, {
            "batches": batches,
            "until": self.until.isoformat() if self.until else None,
            "cleaning": cleaning.as_dict(),
            "units": interactions.n_units,
            "items": interactions.n_items,
            "first": float(interactions.timestamp[0]),
            "last": float(interactions.timestamp[-1]),
            "sha256": interactions.fingerprint(),
        }

    def _fixed_batches(self) -> dict[str, int]:
        """The log's extent when the job first began, so that a resumed one reads it."""
        known = self.handle.parameters.get("batches")
        if known is not None:
            return cast("dict[str, int]", known)
        batches = log_batches()
        parameters = {**self.handle.parameters, "batches": batches}
        Job.objects.filter(pk=self.handle.job_id).update(parameters=parameters)
        return batches

    def _say(self, cleaning: Cleaning) -> None:
        counts = ", ".join(f"{n} {name}" for name, n in cleaning.as_dict().items())
        self.handle.log(f"rows: {counts}".replace("_", " "))

    def _split(self, interactions: Interactions) -> TimeSplit:
        parameters = self.parameters
        first, last = interactions.timestamp[0], interactions.timestamp[-1]
        horizon = parameters.horizon_days * SECONDS_PER_DAY
        gap = parameters.gap_days * SECONDS_PER_DAY
        cut = float(last) - horizon - gap
        if cut - float(first) < horizon:
            cut = cut_at_share(interactions, SHORT_LOG_SHARE)
            self.handle.log(
                f"the log is shorter than twice horizon_days = "
                f"{parameters.horizon_days:g}; its last fifth judges instead"
            )
        # The last event itself must lie inside the judged time.
        return time_split(
            interactions,
            cut,
            gap=gap,
            horizon=horizon + 1.0,
            exclude_seen=parameters.exclude_seen,
        )

    def _fit(
        self, name: str, interactions: Interactions, begin: float, end: float
    ) -> Artifact:
        trainer = make_trainer(self.kind, self.ranker)
        # Trainers bring torch along if they need it; the web processes never do.
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(self.parameters.threads)
        stage = _Stage(
            handle=self.handle,
            seed=self.seed,
            name=name,
            begin=begin,
            end=end,
            checkpoint=self._checkpoint(name),
            began_at=self.began_at,
        )
        self.handle.log(f"{name}: {len(interactions)} interactions")
        return trainer.fit(interactions, stage)

    def _checkpoint(self, name: str) -> Path:
        folder = Path(settings.DATA_DIR) / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"job-{self.handle.job_id}-{name}.safetensors"

    def _remove_checkpoints(self) -> None:
        for name in ("fit", "refit"):
            self._checkpoint(name).unlink(missing_ok=True)

    def _register(
        self,
        artifact: Artifact,
        evaluation: Evaluation,
        split: TimeSplit,
        data: Mapping[str, Json],
    ) -> Version:
        self.handle.report(0.97, "registering the version")
        protocol = self._protocol(evaluation, split)
        facts: dict[str, Json] = {
            "seed": self.seed,
            "log": data,
            "run_parameters": cast("Json", self.parameters.as_dict()),
            "split": split.facts,
            "refit": self.refits,
        }
        files = artifact.with_facts(**facts).to_files()
        ranker: Mapping[str, Scalar] = self.ranker.as_dict()
        model = ensure_model(self.model_name)
        version = register_version(
            model,
            files=files,
            kind=self.kind,
            manifest={
                "parameters": ranker,
                **facts,
                "versions": artifact.facts.get("versions", {}),
                "training_seconds": round(time.monotonic() - self.began_at, 1),
            },
            evaluation=EvaluationFacts(
                protocol=protocol,
                figures={n: f._asdict() for n, f in evaluation.figures.items()},
                per_unit={
                    name: np.round(values, 6).tolist()
                    for name, values in evaluation.per_unit.items()
                    if name.partition("@")[0] in KEPT_PER_UNIT
                },
            ),
            job=Job.objects.get(pk=self.handle.job_id),
        )
        if crown_first(model, version) is not None:
            self.handle.log("first version of its model: it is the champion now")
        publish_plan()
        return version

    def _protocol(self, evaluation: Evaluation, split: TimeSplit) -> dict[str, object]:
        return {
            **split.facts,
            "k": evaluation.k,
            "users": evaluation.users,
            "skipped": evaluation.skipped,
            "items": split.train.n_items,
            "confidence": evaluation.confidence,
            "interval": "percentile bootstrap over shoppers, 1000 draws",
            "candidates": "whole catalogue",
            "exclusion_rule": evaluation.exclusion_rule,
            "tie_rule": evaluation.tie_rule,
            "cases_hash": evaluation.cases,
            "refit": self.refits,
            "judged": (
                "the fit before the cut; the registered model was fitted again on all"
                if self.refits
                else "the registered model itself"
            ),
        }


def _drawn(
    cases: tuple[EvaluationCase, ...], at_most: int
) -> tuple[EvaluationCase, ...]:
    """As many cases, the same ones for every model judged on this split."""
    if len(cases) <= at_most:
        return cases
    rng = np.random.default_rng(CASES_SEED)
    chosen = np.sort(rng.choice(len(cases), size=at_most, replace=False))
    return tuple(cases[i] for i in chosen)


def _reloaded(artifact: Artifact) -> Scorer:
    """The scorer as serving will load it: from the files, not from memory."""
    return load_scorer(Artifact.from_files(artifact.to_files()))
