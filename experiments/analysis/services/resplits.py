"""The A/A proof on an experiment's own log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.utils.module_loading import import_string

from experiments.analysis.report import Question
from experiments.analysis.resplit import UnitsAtLook, at_look, resplit_winners
from experiments.analysis.results import VerdictResult
from experiments.analysis.services.questions import ask
from experiments.design.models import Experiment

if TYPE_CHECKING:
    from experiments.metrics.selectors import EventLog


def resplit(experiment: Experiment, seeds: Sequence[str]) -> dict[str, VerdictResult]:
    """Return the rule's verdict on the logged shoppers dealt anew by each seed.

    Raises:
        InvalidError: The experiment cannot be analysed.
    """
    from experiments.events.lake import Lake
    from experiments.metrics.selectors import EventLog

    batches = Lake(settings.LAKE_URL).batches()
    question = ask(experiment, as_of=None, batches=batches)
    with EventLog.open(settings.LAKE_URL) as log:
        looks = [
            _units_at(log, at_look(question, look))
            for look in range(1, question.plan.looks + 1)
        ]
    return resplit_winners(looks, seeds, import_string(settings.ANALYSIS_VERDICT))


def _units_at(log: "EventLog", question: Question) -> UnitsAtLook:
    from experiments.metrics.selectors import unit_values

    tables = {
        metric.key: unit_values(log, question.scope, metric.definition)
        for metric in question.watched
    }
    first = next(iter(tables.values()))
    return UnitsAtLook(
        question=question,
        units=[key.hex() for key in first["unit_key"].to_pylist()],
        values={
            key: np.asarray(table["value"], dtype=np.int64)
            for key, table in tables.items()
        },
    )
