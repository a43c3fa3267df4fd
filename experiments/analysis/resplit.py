"""The A/A proof: deal the same shoppers anew; how often is there a winner? (pure).

Dealt by fresh seeds, no variant differs from another, whatever the shoppers did; a rule
that keeps its promise names a winner in no more than alpha of such splits, all looks,
variants and guardrails together.

References:
    Kohavi, Tang, Xu (2020), "Trustworthy Online Controlled Experiments", chapter 19
    (A/A tests by re-splitting logged units).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.report import Question, Verdict, answer
from experiments.analysis.results import VerdictResult
from experiments.assignment.vectors import bucket_many
from experiments.metrics.sums import IntArray, Measurement, MetricSums, WholeArray


@dataclass(frozen=True)
class UnitsAtLook:
    """Per-unit totals up to one look.

    Attributes:
        question: The look's question; its scope says when it is.
        units: Names of the units exposed by then; what is hashed.
        values: Metric -> steps of each unit, in the order of ``units``.
    """

    question: Question
    units: Sequence[str]
    values: Mapping[str, IntArray]

    @cached_property
    def powers(self) -> dict[str, tuple[WholeArray | IntArray, ...]]:
        """Each metric's values to the powers 1, 2, 3; the same for every split."""
        return {
            key: tuple(_power(values, power) for power in (1, 2, 3))
            for key, values in self.values.items()
        }


def resplit_winners(
    looks: Sequence[UnitsAtLook], seeds: Sequence[str], verdict_of: Verdict
) -> dict[str, VerdictResult]:
    """Return each seed's verdict: the first look's that ships, else the last look's.

    Args:
        looks: Every planned look, in order; a later one holds the earlier one's units.
        seeds: A split each.
        verdict_of: The decision rule.
    """
    return {seed: _verdict(looks, seed, verdict_of) for seed in seeds}


def deal(seed: str, units: Sequence[str], weights: Sequence[float]) -> NDArray[np.intp]:
    """Return each unit's variant, 0 to k - 1, as the plan deals it by this seed."""
    edges = np.cumsum(weights)[:-1]
    return np.searchsorted(edges, bucket_many(seed, units), side="right")


def _verdict(
    looks: Sequence[UnitsAtLook], seed: str, verdict_of: Verdict
) -> VerdictResult:
    found = None
    for look in looks:
        question = look.question
        report = answer(
            question,
            _measured(look, seed),
            verdict_of,
            computed_at=question.scope.as_of,
            seconds=0.0,
        )
        found = report.verdict
        if found.winner is not None:
            break
    if found is None:
        raise ValueError("looks is empty; give every planned look.")
    return found


def _measured(look: UnitsAtLook, seed: str) -> Measurement:
    """Return what the log would hold had the units been dealt by this seed."""
    question = look.question
    weights = [info.weight for info in question.variants]
    dealt = deal(seed, look.units, weights)
    users = np.bincount(dealt, minlength=len(weights))[:, None]
    return Measurement(
        variants=question.scope.variants,
        users=users,
        sums={
            metric.key: MetricSums(
                metric.definition.scale,
                *(
                    _power_sums(powers, dealt, len(weights))
                    for powers in look.powers[metric.key]
                ),
            )
            for metric in question.watched
        },
        active=users[:, 0],
        crossed=0,
        unknown=0,
        events_read=len(look.units),
        last_event_at=question.scope.as_of,
        currencies=(),
    )


def _power_sums(
    powers: WholeArray | IntArray, dealt: NDArray[np.intp], variants: int
) -> WholeArray:
    """Return exact sums by variant, shape (variant, 1)."""
    sums = [int(powers[dealt == variant].sum()) for variant in range(variants)]
    return np.array(sums, dtype=object)[:, None]


def _power(values: IntArray, power: int) -> WholeArray | IntArray:
    """Return powers of whole numbers, as Python integers where 64 bits overflow."""
    largest = int(np.abs(values).max(initial=0))
    if largest**power * max(values.size, 1) < 2**63:
        return values**power
    return np.asarray(values.astype(object) ** power)


def at_look(question: Question, look: int) -> Question:
    """Return the question as of a planned look, 1, 2, ..."""
    moment = question.plan.look_times[look - 1]
    return replace(question, scope=replace(question.scope, as_of=moment))
