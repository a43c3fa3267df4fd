"""Offline figures as the pages write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.analysis.presentation import numbers
from models_registry.models import Evaluation


@dataclass(frozen=True)
class Measure:
    """How an offline figure is called, written and explained."""

    name: str
    label: str
    meaning: str
    as_share: bool = False


MEASURES = {
    m.name: m
    for m in (
        Measure(
            "ndcg",
            "NDCG",
            "Ranking quality of the first items; early hits count more. 1 is perfect.",
        ),
        Measure(
            "precision",
            "Precision",
            "Of the items shown, the share the shopper then turned to.",
        ),
        Measure(
            "recall",
            "Recall",
            "Of the items the shopper turned to, the share that was shown.",
        ),
        Measure(
            "f1",
            "F1",
            "Harmonic mean of precision and recall, averaged over shoppers.",
        ),
        Measure(
            "hit_rate",
            "Hit rate",
            "Share of shoppers with at least one right item in the list.",
            as_share=True,
        ),
        Measure(
            "map",
            "MAP",
            "Precision at each right item's place, averaged; early hits count more.",
        ),
        Measure(
            "mrr",
            "MRR",
            "One over the place of the first right item, averaged over shoppers.",
        ),
        Measure(
            "coverage",
            "Coverage",
            "Share of the catalogue that stands in at least one list.",
            as_share=True,
        ),
        Measure(
            "gini",
            "Concentration",
            "Gini index of how often items are listed: 0 is even, 1 is one item only.",
        ),
        Measure(
            "accuracy",
            "Accuracy",
            "Share of all catalogue items called right: listed and right, or neither. "
            "Stands beside always saying no, which it must beat to mean anything.",
            as_share=True,
        ),
        Measure(
            "always_no_accuracy",
            "Always saying no",
            "The accuracy of recommending nothing at all.",
            as_share=True,
        ),
    )
}


@dataclass(frozen=True)
class Score:
    """A figure with its interval, if it has one."""

    value: float
    lower: float | None
    upper: float | None

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval; the value itself where there is none."""
        low = self.value if self.lower is None else self.lower
        return low, self.value if self.upper is None else self.upper


def score_of(evaluation: Evaluation | None, name: str) -> Score | None:
    """A figure by its bare name; stored names carry the list's length (``ndcg@10``)."""
    figures: Mapping[str, Mapping[str, float | None]] = (
        evaluation.figures if evaluation else {}
    )
    stored = next((k for k in figures if k.partition("@")[0] == name), None)
    if stored is None:
        return None
    figure = figures[stored]
    value = figure.get("value")
    if value is None:
        return None
    return Score(value, figure.get("lower"), figure.get("upper"))


def length(evaluations: Sequence[Evaluation | None]) -> int:
    """How long the judged lists were."""
    for evaluation in evaluations:
        for name in evaluation.figures if evaluation else ():
            _, _, k = name.partition("@")
            if k.isdecimal():
                return int(k)
    return 10


def written(measure: Measure, number: float | None) -> str:
    """A figure as text: shares in percent, scores with four decimals."""
    if number is None:
        return numbers.NONE
    if not measure.as_share:
        return numbers.score(number)
    if 0.99 < number < 1:
        return numbers.percent(number, 2)
    return numbers.rate(number)


def label(measure: Measure, k: int) -> str:
    """The column's head: ``NDCG@10``."""
    if measure.name in {"coverage", "gini", "always_no_accuracy", "hit_rate"}:
        return measure.label
    return f"{measure.label}@{k}"


def interval_of(measure: Measure, score: Score | None) -> str:
    """``0.0995 to 0.1061``; empty where units cannot be resampled."""
    if score is None or score.lower is None or score.upper is None:
        return ""
    return f"{written(measure, score.lower)} to {written(measure, score.upper)}"


def padded(bounds: Sequence[float]) -> tuple[float, float]:
    """A scale that holds these bounds, with some room on both sides."""
    low, high = (min(bounds), max(bounds)) if bounds else (0.0, 1.0)
    room = (high - low) or 0.01
    return low - 0.15 * room, high + 0.15 * room
