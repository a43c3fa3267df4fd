"""To which list an engagement belongs (pure): by request, else by the last showing.

An engagement that names a request and an item of its list belongs to that list. One
that does not belongs to the last showing of the item to the unit, wherever that was, if
it lies within the metric's window; so a click after the item was last seen at another
placement is never credited to ours.
"""

from collections.abc import Sequence
from datetime import timedelta

import ibis
from ibis.expr.types import BooleanValue, Table

SHOWINGS = ("served", "impression")
FALSE = ibis.literal(value=False)


def attribute(log: Table, engagements: Table, *, placement: str, minutes: int) -> Table:
    """Say for each engagement whether and when our placement showed its item.

    Args:
        log: Rows of the log, showings among them.
        engagements: Columns ``event_id, unit_key, request_id, item_id, timestamp``.
        placement: Whose lists count.
        minutes: How far back a showing is looked for, at most.

    Returns:
        ``event_id, by_request, shown_at``; ``shown_at`` is null when the last showing
        was elsewhere, or the engagement's request names another placement.
    """
    shown = log.filter(
        log.name.isin(SHOWINGS), log.item_id.notnull(), log.placement.notnull()
    ).select(
        "unit_key",
        "item_id",
        "request_id",
        shown_at=log.timestamp,
        ours=log.placement == placement,
    )
    asked = engagements.filter(engagements.item_id.notnull())
    by_request = _by_request(asked, shown)
    by_window = _by_window(asked, shown, minutes)
    both = asked.select("event_id").left_join(by_request, "event_id")
    both = both.drop("event_id_right").left_join(by_window, "event_id")
    ours_last = both.ours_at.notnull() & (
        both.other_at.isnull() | (both.ours_at >= both.other_at)
    )
    return both.select(
        "event_id",
        by_request=both.request_ours.fill_null(FALSE),
        shown_at=ibis.ifelse(
            both.request_ours.isnull() & ours_last, both.ours_at, ibis.null()
        ),
    )


def _by_request(asked: Table, shown: Table) -> Table:
    lists = shown.filter(shown.request_id.notnull())
    lists = lists.group_by("unit_key", "request_id", "item_id").aggregate(
        request_ours=lists.ours.any()
    )
    named = asked.filter(asked.request_id.notnull())
    return named.join(lists, ["unit_key", "request_id", "item_id"]).select(
        "event_id", "request_ours"
    )


def _by_window(asked: Table, shown: Table, minutes: int) -> Table:
    pairs = asked.join(
        shown.drop("request_id"),
        [
            "unit_key",
            "item_id",
            shown.shown_at <= asked.timestamp,
            shown.shown_at >= asked.timestamp - ibis.interval(minutes=minutes),
        ],
    )
    return pairs.group_by("event_id").aggregate(
        ours_at=pairs.shown_at.max(where=pairs.ours),
        other_at=pairs.shown_at.max(where=~pairs.ours),
    )


def belongs(rows: Table, windows: Sequence[tuple[str, timedelta]]) -> BooleanValue:
    """Where a row belongs to a list of ours, given each event's window.

    Args:
        rows: With ``name``, ``timestamp``, ``by_request`` and ``shown_at``.
        windows: Event name and how long after a showing it still counts.
    """
    timely = FALSE
    for name, window in windows:
        timely |= (rows.name == name) & (
            rows.timestamp - ibis.interval(seconds=int(window.total_seconds()))
            <= rows.shown_at
        )
    return (rows.by_request | timely).fill_null(FALSE)
