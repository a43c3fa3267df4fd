"""Manifests and protocols as labelled facts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from experiments.analysis.presentation import numbers

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
LABELS = {
    "kind": "Ranker",
    "parameters": "Hyper-parameters",
    "method": "Split",
    "split": "Split",
    "cut": "Cut (UTC)",
    "gap_seconds": "Gap after the cut",
    "horizon_seconds": "Judged on the next",
    "cases": "Shoppers to judge",
    "users": "Shoppers judged",
    "skipped": "Shoppers left out",
    "items": "Items",
    "candidates": "Ranked",
    "k": "List length",
    "exclude_seen": "Seen items left out",
    "exclusion_rule": "Exclusion rule",
    "tie_rule": "Tie rule",
    "confidence": "Interval's level",
    "interval": "Interval",
    "log": "Log",
    "data": "Data",
    "fingerprint": "Data fingerprint",
    "seed": "Seed",
    "refit": "Fitted again on all data",
    "run_parameters": "Run",
    "versions": "Library",
    "training_seconds": "Training took",
    "cases_hash": "Judged cases",
}


@dataclass(frozen=True)
class Fact:
    """A labelled value."""

    label: str
    value: str
    is_code: bool = False


def facts(values: Mapping[str, object], prefix: str = "") -> tuple[Fact, ...]:
    """A nested mapping as facts, known ones first; empty values are left out."""
    found: list[Fact] = []
    for name in sorted(values, key=_rank):
        value = values[name]
        label = f"{prefix}{LABELS.get(name, name.replace('_', ' ').capitalize())}"
        if isinstance(value, Mapping):
            found.extend(facts(value, prefix=f"{label}: "))
        elif value not in (None, "", [], ()):
            found.append(Fact(label, _text(name, value), is_code=_is_code(value)))
    return tuple(found)


def _rank(name: str) -> tuple[int, str]:
    known = list(LABELS)
    return (known.index(name) if name in known else len(known), name)


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    if isinstance(value, list | tuple):
        shown = ", ".join(str(v) for v in value[:8])
        return shown + (f" and {len(value) - 8} more" if len(value) > 8 else "")
    text = str(value)
    if _is_code(text):
        return f"{text[:8]}…{text[-4:]}"
    return moment(text) if TIME.match(text) else text


def _number(name: str, value: float) -> str:
    if name.endswith("seconds"):
        return numbers.duration(value) if value else "none"
    if name == "cut":
        return moment(value)
    if name == "confidence":
        return numbers.percent(value, 0)
    if isinstance(value, int):
        return str(value) if name == "seed" else numbers.count(value)
    return f"{value:g}"


def moment(when: object) -> str:
    """A moment given as ISO 8601 text or as seconds since 1970; else as it is."""
    try:
        if isinstance(when, int | float):
            return numbers.moment(datetime.fromtimestamp(when, UTC))
        return numbers.moment(str(when))
    except (ValueError, OverflowError, OSError):
        return str(when)


def _is_code(value: object) -> bool:
    """Whether a text is a digest, shown shortened in the code's typeface."""
    return (
        isinstance(value, str)
        and len(value) >= 32
        and all(c in "0123456789abcdef" for c in value.lower())
    )
