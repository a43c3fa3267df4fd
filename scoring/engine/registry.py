"""Which rankers exist and how to get them; torch is imported by a trainer only."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from scoring.engine.artifact import Artifact, Scalar
from scoring.engine.errors import EngineError
from scoring.engine.parameters import Parameters
from scoring.engine.protocol import Scorer, Trainer
from scoring.engine.rankers.item_knn import ItemKnnParameters
from scoring.engine.rankers.popularity import PopularityParameters
from scoring.engine.rankers.transformer import TransformerParameters

_RANKERS = "scoring.engine.rankers"


class UnknownRankerError(EngineError):
    """No ranker of that kind exists."""


@dataclass(frozen=True, slots=True)
class RankerEntry:
    """Where a ranker lives.

    Attributes:
        trainer: Import path of the trainer class, `module:Class`.
        scorer: Import path of the scorer class, which never needs torch.
        parameters: Its hyper-parameters, which describe themselves to forms.
        title: What people call it.
    """

    trainer: str
    scorer: str
    parameters: type[Parameters]
    title: str


RANKERS: dict[str, RankerEntry] = {
    "popularity": RankerEntry(
        trainer=f"{_RANKERS}.popularity:PopularityTrainer",
        scorer=f"{_RANKERS}.popularity:PopularityScorer",
        parameters=PopularityParameters,
        title="Popularity",
    ),
    "item_knn": RankerEntry(
        trainer=f"{_RANKERS}.item_knn:ItemKnnTrainer",
        scorer=f"{_RANKERS}.item_knn:ItemKnnScorer",
        parameters=ItemKnnParameters,
        title="Item to item",
    ),
    "transformer": RankerEntry(
        trainer=f"{_RANKERS}.transformer_trainer:TransformerTrainer",
        scorer=f"{_RANKERS}.transformer:TransformerScorer",
        parameters=TransformerParameters,
        title="Sequence transformer",
    ),
}


def ranker_entry(kind: str) -> RankerEntry:
    """Look a ranker up.

    Raises:
        UnknownRankerError: No ranker of that kind exists.
    """
    if kind not in RANKERS:
        raise UnknownRankerError(
            f"unknown ranker {kind!r}; known are {', '.join(RANKERS)}"
        )
    return RANKERS[kind]


def make_trainer(
    kind: str, parameters: Parameters | Mapping[str, Scalar] | None = None
) -> Trainer:
    """A trainer with checked hyper-parameters; absent ones keep their default.

    Raises:
        UnknownRankerError: No ranker of that kind exists.
        InvalidParametersError: A hyper-parameter is refused.
    """
    entry = ranker_entry(kind)
    if not isinstance(parameters, Parameters):
        parameters = entry.parameters.from_mapping(parameters or {})
    return cast("Trainer", _load(entry.trainer)(parameters))


def load_scorer(artifact: Artifact) -> Scorer:
    """The scorer of an artifact, ready to answer.

    Raises:
        UnknownRankerError: No ranker of the artifact's kind exists.
        ArtifactError: The artifact lacks a part or its parts do not fit.
    """
    scorer = cast("type[Scorer]", _load(ranker_entry(artifact.kind).scorer))
    return scorer.load(artifact)


def _load(path: str) -> type:
    module, name = path.split(":")
    return cast("type", getattr(importlib.import_module(module), name))
