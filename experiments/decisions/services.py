"""Ship, keep control, roll back: what follows a report, with who and why."""

from datetime import datetime

import msgspec
from django.contrib.auth.models import User
from django.db import transaction

from experiments.analysis.models import Report
from experiments.analysis.results import ReportContent
from experiments.decisions.models import Action, Decision
from experiments.design import lifecycle
from experiments.design.models import Experiment, Variant
from experiments.design.services import transition
from models_registry.errors import ConflictError, InvalidError
from models_registry.models import AliasMove
from models_registry.services import move_alias, publish_plan

CHAMPION = "champion"


def report_content(report: Report) -> ReportContent:
    """The typed content of a stored report."""
    return msgspec.convert(report.content, ReportContent)


def follows_rule(report: Report | None, action: str, variant: Variant | None) -> bool:
    """Whether the report's verdict says what is about to be done."""
    if report is None:
        return False
    verdict = report_content(report).verdict
    if action == Action.SHIP:
        return (
            verdict.decision == "ship"
            and variant is not None
            and verdict.winner == variant.key
        )
    return verdict.decision in {"keep_control", "no_verdict", "not_distinguishable"}


@transaction.atomic
def ship(
    experiment: Experiment,
    variant: Variant,
    *,
    report: Report | None,
    by: User | None,
    reason: str = "",
    now: datetime | None = None,
) -> Decision:
    """Make a variant what everybody gets: the champion alias moves, plans follow.

    Raises:
        InvalidError: The variant or report is another experiment's, or the rule says
            otherwise and no reason is given.
        ConflictError: The experiment's state does not allow it.
    """
    _belongs(experiment, variant, report)
    against = not follows_rule(report, Action.SHIP, variant)
    if against and not reason.strip():
        raise InvalidError(
            f"The rule does not say to ship {variant.key}; give the reason for "
            "deciding otherwise."
        )
    move = _make_live(experiment, variant, by=by, reason=reason, report=report)
    transition(
        experiment,
        lifecycle.Action.SHIP,
        by=by,
        now=now,
        outcome=variant,
        reason=f"variant {variant.key}",
    )
    return Decision.objects.create(
        experiment=experiment,
        report=report,
        action=Action.SHIP,
        variant=variant,
        alias_move=move,
        against_rule=against,
        reason=reason,
        decided_by=by,
    )


@transaction.atomic
def keep_control(
    experiment: Experiment,
    *,
    report: Report | None,
    by: User | None,
    reason: str = "",
    now: datetime | None = None,
) -> Decision:
    """End the experiment with the control: nothing moves.

    Raises:
        InvalidError: The rule says otherwise and no reason is given.
        ConflictError: The experiment's state does not allow it.
    """
    control = experiment.variants.get(is_control=True)
    _belongs(experiment, control, report)
    against = not follows_rule(report, Action.KEEP_CONTROL, control)
    if against and not reason.strip():
        raise InvalidError(
            "The rule does not say to keep the control; give the reason for deciding "
            "otherwise."
        )
    transition(
        experiment,
        lifecycle.Action.CONCLUDE,
        by=by,
        now=now,
        outcome=control,
        reason="the control is kept",
    )
    return Decision.objects.create(
        experiment=experiment,
        report=report,
        action=Action.KEEP_CONTROL,
        variant=control,
        against_rule=against,
        reason=reason,
        decided_by=by,
    )


@transaction.atomic
def roll_back(experiment: Experiment, *, by: User | None, reason: str) -> Decision:
    """Undo a shipping: the champion alias goes back to what it was.

    Raises:
        InvalidError: No reason is given.
        ConflictError: Nothing was shipped, or the champion has moved on since.
    """
    if not reason.strip():
        raise InvalidError("Give the reason for rolling back.")
    shipped = experiment.decisions.filter(action=Action.SHIP).first()
    if shipped is None or experiment.status != lifecycle.Status.SHIPPED:
        raise ConflictError(f"{experiment.key} has nothing shipped to roll back.")
    move = None
    done = shipped.alias_move
    former = done.from_version if done else None
    if done is not None and former is not None:
        move = move_alias(
            done.alias_model,
            CHAMPION,
            former,
            by=by,
            reason=reason,
            report=done.report,
            expected_version=done.to_version,
        )
    elif done is None:
        placement = experiment.placement
        placement.default_value = experiment.variants.get(is_control=True).payload
        placement.save(update_fields=["default_value"])
    control = experiment.variants.get(is_control=True)
    transition(
        experiment, lifecycle.Action.ROLL_BACK, by=by, outcome=control, reason=reason
    )
    return Decision.objects.create(
        experiment=experiment,
        report=shipped.report,
        action=Action.ROLL_BACK,
        variant=control,
        alias_move=move,
        reason=reason,
        decided_by=by,
    )


def _belongs(experiment: Experiment, variant: Variant, report: Report | None) -> None:
    if variant.experiment_id != experiment.pk:
        raise InvalidError(f"Variant {variant.key} is not of {experiment.key}.")
    if report is not None and report.experiment_id != experiment.pk:
        raise InvalidError(f"Report {report.number} is not of {experiment.key}.")


def _make_live(
    experiment: Experiment,
    variant: Variant,
    *,
    by: User | None,
    reason: str,
    report: Report | None,
) -> AliasMove | None:
    """Point the placement's default at the variant: alias for models, value else."""
    if variant.version is not None:
        number = f" report {report.number}" if report else ""
        return move_alias(
            variant.version.model,
            CHAMPION,
            variant.version,
            by=by,
            reason=reason or f"shipped by {experiment.key}{number}",
            report=f"{experiment.key}/{report.number}" if report else "",
        )
    placement = experiment.placement
    placement.default_value = variant.payload
    placement.save(update_fields=["default_value"])
    publish_plan()
    return None
