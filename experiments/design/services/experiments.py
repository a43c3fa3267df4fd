"""Check experiments and move them through their life."""

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from experiments.design import checks
from experiments.design.lifecycle import Action, allowed_actions, next_status
from experiments.design.models import (
    Epoch,
    Experiment,
    Phase,
    Variant,
)
from experiments.design.services.changes import record_change
from experiments.design.services.layers import return_segments, take_segments
from models_registry.errors import ConflictError, Detail, InvalidError
from models_registry.services import publish_plan


def check_experiment(experiment: Experiment) -> tuple[checks.Finding, ...]:
    """The pre-flight list of an experiment as it stands."""
    placement = experiment.placement
    variants = experiment.variants.select_related("version__model")
    facts = checks.ExperimentFacts(
        variants=tuple(
            checks.VariantFacts(
                key=v.key,
                is_control=v.is_control,
                weight=v.weight,
                has_version=v.version is not None,
                has_payload=v.payload is not None,
                model=v.version.model.name if v.version else None,
            )
            for v in variants
        ),
        primary_metrics=experiment.metrics.filter(role="primary").count(),
        placement_is_model=placement.default_model is not None,
        placement_model=placement.default_model.name
        if placement.default_model
        else None,
        coverage=experiment.coverage,
        planned_days=experiment.planned_days,
        looks=experiment.looks,
    )
    return (*checks.preflight(facts), audience_finding(experiment.audience))


def audience_finding(audience: Mapping[str, object]) -> checks.Finding:
    """Whether an audience can be read."""
    if not audience:
        return checks.Finding("audience", ok=True, sentence="Everybody may take part")
    problem: str | None = import_string(settings.CONDITION_CHECK)(audience)
    return checks.Finding(
        "audience", ok=problem is None, sentence=problem or "The audience can be read"
    )


@transaction.atomic
def transition(
    experiment: Experiment,
    action: str,
    *,
    by: User | None,
    now: datetime | None = None,
    outcome: Variant | None = None,
    reason: str = "",
) -> Experiment:
    """Move an experiment along its life under a row lock.

    Args:
        experiment: Which one.
        action: One of ``lifecycle.Action``.
        by: The person who does it.
        now: Start or end on the shop's own clock; default: this moment.
        outcome: What everybody gets once concluded or shipped.
        reason: Kept in the history.

    Raises:
        ConflictError: The table does not allow the action in the present state.
        InvalidError: It may not start: the pre-flight list has open points.
    """
    locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
    if action not in set(Action):
        raise InvalidError(
            f"{action!r} is not an action; use one of {', '.join(Action)}."
        )
    status = next_status(locked.status, action)
    if status is None:
        may = ", ".join(allowed_actions(locked.status)) or "nothing"
        raise ConflictError(
            f"{locked.key} is {locked.status}: {action} is not possible; "
            f"possible: {may}."
        )
    moment = now or timezone.now()
    before = {"status": locked.status}
    if action == Action.START:
        _open_first_phase(locked, moment)
        take_segments(locked)
        locked.started_at = moment
    if action in {Action.CONCLUDE, Action.SHIP, Action.ROLL_BACK}:
        locked.outcome = outcome or locked.variants.filter(is_control=True).first()
        if locked.ended_at is None:
            locked.ended_at = moment
            locked.phases.filter(ended_at=None).update(ended_at=moment)
        return_segments(locked)
    locked.status = status
    locked.save()
    record_change(
        locked,
        action=action,
        summary=_SUMMARIES[Action(action)] + (f": {reason}" if reason else ""),
        by=by,
        before=before,
        after={"status": str(status)},
    )
    publish_plan()
    experiment.refresh_from_db()
    return locked


_SUMMARIES = {
    Action.START: "Started",
    Action.PAUSE: "Paused",
    Action.RESUME: "Resumed",
    Action.CONCLUDE: "Concluded",
    Action.SHIP: "Shipped",
    Action.ROLL_BACK: "Rolled back",
    Action.ARCHIVE: "Archived",
}


def _open_first_phase(experiment: Experiment, moment: datetime) -> None:
    open_points = [f for f in check_experiment(experiment) if not f.ok]
    if open_points:
        raise InvalidError(
            f"{experiment.key} cannot start: "
            + "; ".join(f.sentence for f in open_points)
            + ".",
            details=tuple(Detail(f.code, f.code, f.sentence) for f in open_points),
        )
    phase = Phase.objects.create(
        experiment=experiment,
        number=1,
        seed=experiment.key,
        weights={v.key: v.weight for v in experiment.variants.all()},
        audience=experiment.audience,
        started_at=moment,
    )
    Epoch.objects.create(
        phase=phase, number=1, coverage=experiment.coverage, started_at=moment
    )
