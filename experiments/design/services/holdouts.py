"""Open and end holdouts."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from experiments.design.models import Holdout
from models_registry.errors import ConflictError
from models_registry.services import publish_plan

__all__ = ["end_holdout", "open_holdout"]


def open_holdout(
    *,
    key: str,
    name: str,
    share: float,
    tags: Sequence[str] = (),
    description: str = "",
    now: datetime | None = None,
) -> Holdout:
    """Keep a share of units out of the experiments that start from now on.

    Args:
        key: Its name in the plan; also its hash seed, so that it is never dealt anew.
        name: For people.
        share: Of all units, above 0, at most one half.
        tags: Only experiments with one of them; none: every experiment.
        description: Why.
        now: Its start; default: this moment.

    Raises:
        ConflictError: The key is taken.
        django.core.exceptions.ValidationError: The share is out of bounds.
    """
    if Holdout.objects.filter(key=key).exists():
        raise ConflictError(f"The holdout key {key!r} is taken; choose another one.")
    holdout = Holdout(
        key=key,
        name=name,
        description=description,
        share=share,
        tags=list(tags),
        started_at=now or timezone.now(),
    )
    holdout.full_clean()
    holdout.save()
    publish_plan()
    return holdout


@transaction.atomic
def end_holdout(holdout: Holdout, *, now: datetime | None = None) -> Holdout:
    """Let experiments that start from now on have its units again.

    Those that run keep them out until they end: nobody joins in the middle.

    Raises:
        ConflictError: It ended already.
    """
    locked = Holdout.objects.select_for_update().get(pk=holdout.pk)
    if locked.ended_at is not None:
        raise ConflictError(f"Holdout {locked.key!r} ended at {locked.ended_at}.")
    locked.ended_at = now or timezone.now()
    locked.full_clean()
    locked.save()
    publish_plan()
    return locked
