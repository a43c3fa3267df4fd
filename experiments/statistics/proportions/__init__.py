"""Proportions: how many units had the event, compared between two variants."""

from experiments.statistics.proportions.effects import (
    difference,
    p_above,
    relative_difference,
    score_difference,
    score_relative_difference,
)
from experiments.statistics.proportions.intervals import newcombe, wilson
from experiments.statistics.proportions.score import (
    counts,
    difference_score,
    ratio_score,
)

__all__ = [
    "counts",
    "difference",
    "difference_score",
    "newcombe",
    "p_above",
    "ratio_score",
    "relative_difference",
    "score_difference",
    "score_relative_difference",
    "wilson",
]
