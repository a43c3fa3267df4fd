"""Keep who changed what of an experiment."""

from collections.abc import Mapping

from django.contrib.auth.models import User

from experiments.design.models import Change, Experiment


def record_change(
    experiment: Experiment,
    *,
    action: str,
    summary: str,
    by: User | None,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> Change:
    """Keep who changed what, for the history page."""
    return Change.objects.create(
        experiment=experiment,
        action=action,
        summary=summary,
        before=dict(before or {}),
        after=dict(after or {}),
        made_by=by,
    )
