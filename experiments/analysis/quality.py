"""Health checks: may the figures be trusted, and if not, what to do (pure).

A ``bad`` check forbids a verdict: a broken split or broken tracking shows effects that
are not there, and hides ones that are.

References:
    Fabijan et al. (2019), "Diagnosing sample ratio mismatch in online controlled
    experiments", KDD: alert at p < 0.001.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np

from experiments.analysis.results import QualityCheck
from experiments.metrics.sums import Measurement
from experiments.statistics.srm import sample_ratio

SAMPLE_RATIO_ALERT = 0.001
CROSSOVER_LIMIT = 0.01
FEWEST_USERS = 100
LATE = timedelta(hours=24)
MISSING = timedelta(days=3)
ODD_SILENCE = 0.001


def checks_of(
    measured: Measurement,
    *,
    weights: Mapping[str, float],
    names: Mapping[str, str],
    as_of: datetime,
) -> tuple[QualityCheck, ...]:
    """Return every check, worst first.

    Args:
        measured: What the log says.
        weights: Variant -> planned share.
        names: Variant -> what people call it.
        as_of: Up to when the log was read.
    """
    found = [
        *_variants(measured, weights, names),
        _sample_ratio(measured, weights, names),
        _crossover(measured),
        _freshness(measured, as_of),
        *_silence(measured, names),
        *_currencies(measured),
        _users(measured, names),
    ]
    order = {"bad": 0, "warn": 1, "good": 2}
    return tuple(sorted(found, key=lambda check: order[check.state]))


def _variants(
    measured: Measurement, weights: Mapping[str, float], names: Mapping[str, str]
) -> list[QualityCheck]:
    users = dict(zip(measured.variants, measured.users[:, -1], strict=True))
    absent = [v for v in measured.variants if weights[v] > 0 and not users[v]]
    found = []
    if absent and sum(users.values()):
        listed = ", ".join(names[v] for v in absent)
        found.append(
            QualityCheck(
                "missing_variant",
                "Every variant is seen",
                "bad",
                f"No shopper met {listed}.",
                "See on the explain page what a shopper of that variant gets, and "
                "whether its exposures are rejected.",
            )
        )
    if measured.unknown:
        found.append(
            QualityCheck(
                "unknown_variant",
                "Every variant is known",
                "warn",
                f"{measured.unknown:,} shoppers met a variant that is not in the "
                "experiment; they are left out.",
                "Let the shop send the variant exactly as it was assigned.",
            )
        )
    return found


def _sample_ratio(
    measured: Measurement, weights: Mapping[str, float], names: Mapping[str, str]
) -> QualityCheck:
    users = measured.users[:, -1]
    shares = np.array([weights[variant] for variant in measured.variants])
    title = "Shoppers are split as planned"
    if not users.sum() or not shares.sum():
        return QualityCheck(
            "sample_ratio", title, "warn", "No shopper has met the experiment yet."
        )
    result = sample_ratio(users, shares)
    split = ", ".join(
        f"{names[v]} {n:,} of {e:,.0f} expected"
        for v, n, e in zip(measured.variants, users, result.expected, strict=True)
    )
    p_value = _p(result.p_value)
    if result.p_value < SAMPLE_RATIO_ALERT:
        return QualityCheck(
            "sample_ratio",
            title,
            "bad",
            f"The split is off: {split}. A fair split gives such numbers with "
            f"probability {p_value}.",
            "Find what loses or adds shoppers in one variant (redirects, failing "
            "lists, bots, exposures sent late), mend it and open a new phase.",
        )
    return QualityCheck("sample_ratio", title, "good", f"{split} (p = {p_value}).")


def _crossover(measured: Measurement) -> QualityCheck:
    total = int(measured.users[:, -1].sum()) + measured.crossed
    share = measured.crossed / total if total else 0.0
    bad = share > CROSSOVER_LIMIT
    sentence = (
        f"{measured.crossed:,} of {total:,} shoppers ({share:.2%}) met more than one "
        "variant; they are left out."
    )
    return QualityCheck(
        "crossover",
        "Shoppers stay in their variant",
        "bad" if bad else "good",
        sentence if measured.crossed else "No shopper met more than one variant.",
        "Send one stable unit id per shopper before and after signing in, then open a "
        "new phase."
        if bad
        else "",
    )


def _freshness(measured: Measurement, as_of: datetime) -> QualityCheck:
    title = "Data is complete"
    if measured.last_event_at is None:
        return QualityCheck(
            "freshness",
            title,
            "bad",
            "The log holds no event since the experiment began.",
            "See on the events page whether events arrive and why they are rejected.",
        )
    late = as_of - measured.last_event_at
    state = "bad" if late > MISSING else "warn" if late > LATE else "good"
    hours = late / timedelta(hours=1)
    if state == "good":
        sentence = (
            f"{measured.events_read:,} events were read; the last is of "
            f"{measured.last_event_at:%-d %b %Y, %H:%M}."
        )
        return QualityCheck("freshness", title, state, sentence)
    return QualityCheck(
        "freshness",
        title,
        state,
        f"The last event is {hours:,.0f} hours older than the end of this report.",
        "See on the events page whether events arrive; then analyse again.",
    )


def _silence(measured: Measurement, names: Mapping[str, str]) -> list[QualityCheck]:
    """Exposed shoppers without any event of their own, in one variant only."""
    users, active = measured.users[:, -1], measured.active
    title = "Exposed shoppers send events"
    if not users.sum():
        return []
    silent = [
        names[v]
        for v, n, a in zip(measured.variants, users, active, strict=True)
        if n >= FEWEST_USERS and not a
    ]
    if silent:
        return [
            QualityCheck(
                "exposure_without_events",
                title,
                "bad",
                f"Not one shopper of {', '.join(silent)} sent an event after exposure.",
                "Check the shop's tracking where that variant is shown.",
            )
        ]
    share = active.sum() / users.sum()
    return [
        QualityCheck(
            "exposure_without_events",
            title,
            "good" if share > ODD_SILENCE else "warn",
            f"{share:.1%} of the exposed shoppers sent an event of their own.",
            ""
            if share > ODD_SILENCE
            else "Check that the shop sends clicks and views.",
        )
    ]


def _currencies(measured: Measurement) -> list[QualityCheck]:
    if len(measured.currencies) < 2:
        return []
    return [
        QualityCheck(
            "currencies",
            "Money is in one currency",
            "bad",
            f"Purchases came in {' and '.join(measured.currencies)}; their values are "
            "added as they are.",
            "Send values in one currency, or filter the metric by currency.",
        )
    ]


def _users(measured: Measurement, names: Mapping[str, str]) -> QualityCheck:
    users = measured.users[:, -1]
    few = [
        f"{names[v]} {n:,}"
        for v, n in zip(measured.variants, users, strict=True)
        if n < FEWEST_USERS
    ]
    title = "Enough shoppers to compare"
    if few:
        return QualityCheck(
            "few_users",
            title,
            "warn",
            f"Under {FEWEST_USERS} shoppers in {', '.join(few)}: no interval is drawn.",
            "Wait, or raise the coverage.",
        )
    return QualityCheck(
        "few_users", title, "good", f"{users.sum():,} shoppers are compared."
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"
