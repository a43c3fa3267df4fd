"""The history page: changes, reports and decisions in one order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib.auth.models import AbstractBaseUser

from experiments.analysis.presentation import numbers
from experiments.analysis.presentation.wording import Tag
from experiments.design.models import Change

if TYPE_CHECKING:
    from experiments.decisions.models import Decision

DECISIONS = {
    "ship": Tag("good", "check", "Shipped"),
    "keep_control": Tag("quiet", "flag", "Control kept"),
    "roll_back": Tag("bad", "x", "Rolled back"),
}


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    at: datetime
    when: str
    tag: Tag
    text: str
    by: str
    reason: str
    report: int | None


def entries(
    *,
    changes: Sequence[Change],
    decisions: "Sequence[Decision]",
    reports: Sequence[tuple[int, int, datetime]],
) -> tuple[Entry, ...]:
    """Everything that happened to an experiment, newest first."""
    found = [
        Entry(
            at=change.made_at,
            when=numbers.moment(change.made_at),
            tag=Tag("info", "info", change.action.replace("_", " ").capitalize()),
            text=change.summary,
            by=_name(change.made_by),
            reason="",
            report=None,
        )
        for change in changes
    ]
    found += [_decision(decision) for decision in decisions]
    found += [
        Entry(
            at=made,
            when=numbers.moment(made),
            tag=Tag("quiet", "search", "Report"),
            text=f"Report {number}" + (f", look {look}" if look else ", between looks"),
            by="",
            reason="",
            report=number,
        )
        for number, look, made in reports
    ]
    return tuple(sorted(found, key=lambda entry: entry.at, reverse=True))


def _decision(decision: "Decision") -> Entry:
    what = str(decision.variant) if decision.variant else "the experiment"
    against = ", against the rule" if decision.against_rule else ""
    tag = DECISIONS.get(decision.action, Tag("info", "flag", "Decided"))
    return Entry(
        at=decision.decided_at,
        when=numbers.moment(decision.decided_at),
        tag=tag,
        text=f"{tag.word}: {what}{against}",
        by=_name(decision.decided_by),
        reason=decision.reason,
        report=decision.report.number if decision.report else None,
    )


def _name(user: AbstractBaseUser | None) -> str:
    if user is None:
        return ""
    full = getattr(user, "get_full_name", str)()
    return full or user.get_username()
