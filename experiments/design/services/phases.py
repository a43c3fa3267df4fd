"""Change what a running experiment splits: an epoch or a phase, never by accident."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from experiments.design import checks
from experiments.design.lifecycle import Status
from experiments.design.models import Epoch, Experiment, Phase
from experiments.design.services.changes import record_change
from experiments.design.services.experiments import audience_finding
from models_registry.errors import ConflictError, InvalidError
from models_registry.services import publish_plan

__all__ = ["Mode", "change_coverage", "change_split"]


class Mode(StrEnum):
    """What a new phase does with the units of the one before.

    Attributes:
        CONTINUE: Same seed: most units keep their variant; those whose variant changes
            are left out of the analysis and counted.
        RERANDOMISE: New seed: everybody is dealt anew and the analysis starts anew.
    """

    CONTINUE = "continue"
    RERANDOMISE = "rerandomise"


@transaction.atomic
def change_coverage(
    experiment: Experiment,
    coverage: float,
    *,
    by: User | None,
    now: datetime | None = None,
) -> Epoch:
    """Take more (or fewer) shoppers into a running experiment: a new epoch.

    Raising coverage moves nobody who is in already (DESIGN section 5).

    Raises:
        ConflictError: The experiment does not run.
        InvalidError: The share is not in (0, 1].
    """
    if not 0.0 < coverage <= 1.0:
        raise InvalidError(f"Coverage is {coverage}; use a share above 0, at most 1.")
    locked, phase = _open_phase(experiment, "coverage opens an epoch")
    before, locked.coverage = locked.coverage, coverage
    locked.save(update_fields=["coverage"])
    epoch = Epoch.objects.create(
        phase=phase,
        number=phase.epochs.count() + 1,
        coverage=coverage,
        started_at=now or timezone.now(),
    )
    record_change(
        locked,
        action="coverage",
        summary=f"Coverage from {before:.0%} to {coverage:.0%}",
        by=by,
        before={"coverage": before},
        after={"coverage": coverage},
    )
    publish_plan()
    experiment.refresh_from_db()
    return epoch


@transaction.atomic
def change_split(
    experiment: Experiment,
    *,
    weights: Mapping[str, float] | None = None,
    audience: Mapping[str, object] | None = None,
    mode: str,
    by: User | None,
    now: datetime | None = None,
) -> Phase:
    """Give a running experiment other weights or another audience: a new phase.

    Args:
        experiment: Which one.
        weights: Variant key to share, all variants, summing to 1; None: as they are.
        audience: Condition over attributes; None: as it is.
        mode: One of `Mode`.
        by: The person who does it.
        now: When the phase opens; default: this moment.

    Raises:
        ConflictError: The experiment does not run.
        InvalidError: The weights, the audience or the mode are wrong.
    """
    if mode not in set(Mode):
        raise InvalidError(f"{mode!r} is no mode; use one of {', '.join(Mode)}.")
    locked, old = _open_phase(experiment, "weights and audience open a phase")
    new_weights = _weights(locked, old.weights if weights is None else weights)
    new_audience = dict(old.audience if audience is None else audience)
    finding = audience_finding(new_audience)
    if not finding.ok:
        raise InvalidError(finding.sentence)
    moment = now or timezone.now()
    rerandomise = mode == Mode.RERANDOMISE
    old.ended_at = moment
    old.save(update_fields=["ended_at"])
    phase = Phase.objects.create(
        experiment=locked,
        number=old.number + 1,
        seed=f"{locked.key}-{old.number + 1}" if rerandomise else old.seed,
        weights=new_weights,
        audience=new_audience,
        started_at=moment,
    )
    Epoch.objects.create(
        phase=phase, number=1, coverage=locked.coverage, started_at=moment
    )
    locked.audience = new_audience
    locked.bucket_version += rerandomise
    locked.save(update_fields=["audience", "bucket_version"])
    for variant in locked.variants.all():
        locked.variants.filter(pk=variant.pk).update(weight=new_weights[variant.key])
    record_change(
        locked,
        action="split",
        summary=f"Phase {phase.number} opened ({mode})",
        by=by,
        before={"weights": old.weights, "audience": old.audience},
        after={"weights": new_weights, "audience": new_audience},
    )
    publish_plan()
    experiment.refresh_from_db()
    return phase


def _open_phase(experiment: Experiment, what: str) -> tuple[Experiment, Phase]:
    """The experiment under a row lock, and its open phase."""
    locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
    phase = locked.phases.filter(ended_at=None).first()
    if phase is None or locked.status not in {Status.RUNNING, Status.PAUSED}:
        raise ConflictError(
            f"{locked.key} is {locked.status}: {what} only while it runs; edit the "
            "draft instead."
        )
    return locked, phase


def _weights(
    experiment: Experiment, weights: Mapping[str, float]
) -> Mapping[str, float]:
    keys = {variant.key for variant in experiment.variants.all()}
    if set(weights) != keys:
        raise InvalidError(
            f"Weights name {', '.join(sorted(weights)) or 'nobody'}; give one for each "
            f"of {', '.join(sorted(keys))}."
        )
    wrong = [key for key, weight in weights.items() if not 0.0 <= weight <= 1.0]
    total = sum(weights.values())
    if wrong or abs(total - 1.0) > checks.WEIGHT_TOLERANCE:
        raise InvalidError(
            f"Weights are {dict(weights)} and sum to {total:g}; each is a share of 0 "
            "to 1 and they sum to 1."
        )
    return dict(weights)
