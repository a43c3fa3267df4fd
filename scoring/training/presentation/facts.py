"""Manifests and protocols as labelled facts."""

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.analysis.presentation import numbers

LABELS = {
    "kind": "Ranker",
    "parameters": "Hyper-parameters",
    "fingerprint": "Data fingerprint",
    "data": "Data",
    "seed": "Seed",
    "split": "Split",
    "cut": "Cut",
    "horizon": "Judged on",
    "horizon_days": "Judged on the next days",
    "gap": "Gap",
    "users": "Shoppers judged",
    "skipped": "Shoppers left out",
    "items": "Items",
    "k": "List length",
    "exclusion_rule": "Exclusion rule",
    "exclusion": "Exclusion rule",
    "tie_rule": "Tie rule",
    "ties": "Tie rule",
    "confidence": "Interval",
    "cases": "Judged cases",
    "versions": "Libraries",
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
    if isinstance(value, int):
        return str(value) if name == "seed" else numbers.count(value)
    if isinstance(value, float):
        if name == "confidence":
            return numbers.percent(value, 0)
        return f"{value:g}"
    if isinstance(value, list | tuple):
        shown = ", ".join(str(v) for v in value[:8])
        return shown + (f" and {len(value) - 8} more" if len(value) > 8 else "")
    text = str(value)
    if _is_code(text):
        return f"{text[:8]}…{text[-4:]}"
    if len(text) >= 19 and text[4:5] == "-" and "T" in text[10:11]:
        try:
            return numbers.moment(text)
        except ValueError:
            return text
    return text


def _is_code(value: object) -> bool:
    """Whether a text is a digest, shown shortened in the code's typeface."""
    return (
        isinstance(value, str)
        and len(value) >= 32
        and all(c in "0123456789abcdef" for c in value.lower())
    )
