"""Popularity: what many met lately, the same list for everyone.

Score of an item = sum over its interactions of weight x 0.5^(age / half-life), ages
counted from the last interaction of the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scoring.engine.artifact import Artifact, ArtifactError, library_versions
from scoring.engine.catalogue import CatalogueScorer
from scoring.engine.parameters import Parameters, parameter
from scoring.engine.protocol import (
    SECONDS_PER_DAY,
    History,
    Interactions,
    TrainingCancelled,
    TrainingContext,
)

KIND = "popularity"


@dataclass(frozen=True)
class PopularityParameters(Parameters):
    """How fast the past is forgotten."""

    half_life_days: float = parameter(
        14.0,
        "days after which an interaction counts half; 0: never fades",
        low=0,
        high=3650,
    )
    window_days: float = parameter(
        0.0, "days before the end of the log that count; 0: all", low=0, high=36500
    )


class PopularityTrainer:
    """Counts."""

    kind: ClassVar[str] = KIND

    def __init__(self, parameters: PopularityParameters | None = None) -> None:
        self.parameters = parameters or PopularityParameters()

    def fit(self, interactions: Interactions, context: TrainingContext) -> Artifact:
        """Sum the decayed weights of each item.

        Raises:
            InvalidInteractionsError: There is no interaction with a weight.
            TrainingCancelled: The context asked to stop.
        """
        interactions.require_some()
        if context.cancelled():
            raise TrainingCancelled("cancelled before counting; nothing was made")
        counts = decayed_counts(
            interactions,
            half_life_days=self.parameters.half_life_days,
            window_days=self.parameters.window_days,
        )
        context.report(1.0, f"counted {len(interactions)} interactions")
        return Artifact(
            kind=KIND,
            parameters=self.parameters.as_dict(),
            arrays={"scores": counts.astype(np.float32)},
            item_ids=interactions.item_ids,
            facts={
                "seed": context.seed,
                "data": interactions.fingerprint(),
                "interactions": len(interactions),
                "versions": library_versions("numpy"),
            },
        )


def decayed_counts(
    interactions: Interactions, *, half_life_days: float, window_days: float
) -> NDArray[np.float64]:
    """Decayed weight of each item, float64[n_items]; see the module's formula."""
    age_days = (interactions.timestamp[-1] - interactions.timestamp) / SECONDS_PER_DAY
    weights = interactions.weight.astype(np.float64)
    if half_life_days:
        weights *= 0.5 ** (age_days / half_life_days)
    if window_days:
        weights[age_days > window_days] = 0.0
    counts: NDArray[np.float64] = np.bincount(
        interactions.item, weights=weights, minlength=interactions.n_items
    ).astype(np.float64, copy=False)
    return counts


class PopularityScorer(CatalogueScorer):
    """The same scores for every history; it always has an answer."""

    kind: ClassVar[str] = KIND

    def __init__(self, scores: NDArray[np.float32], item_ids: tuple[str, ...]) -> None:
        super().__init__(item_ids)
        self._scores = scores

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """Make the scorer ready to answer.

        Raises:
            ArtifactError: The scores are missing or do not fit the vocabulary.
        """
        scores = artifact.array("scores")
        if scores.shape != (len(artifact.item_ids),):
            raise ArtifactError(
                f"scores has shape {scores.shape} for {len(artifact.item_ids)} items; "
                "train the version again"
            )
        return cls(scores.astype(np.float32, copy=False), artifact.item_ids)

    def catalogue_scores(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Decayed counts, one row per history."""
        return np.tile(self._scores, (len(histories), 1))

    def explain(self, history: History, item_id: str) -> list[tuple[str, float]]:
        """Nothing: no past item of this unit moved its list."""
        del history, item_id
        return []
