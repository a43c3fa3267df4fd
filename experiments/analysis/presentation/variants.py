"""A variant as legends, tables and dialogs name it."""

from dataclasses import dataclass

from experiments.analysis.presentation import charts, numbers
from experiments.analysis.presentation.banner import Facts


@dataclass(frozen=True)
class VariantLine:
    """A variant as legends, tables and dialogs name it."""

    key: str
    letter: str
    slot: str
    label: str
    is_control: bool
    planned: str
    actual: str
    users: str


def variant_line(facts: Facts, key: str) -> VariantLine:
    """A variant with its planned and actual share."""
    variant = facts.by_key[key]
    total = facts.content.users
    return VariantLine(
        key=key,
        letter=variant.letter,
        slot=charts.slot(variant.letter),
        label=variant.label,
        is_control=variant.is_control,
        planned=numbers.percent(variant.weight),
        actual=numbers.percent(variant.users / total) if total else numbers.NONE,
        users=numbers.count(variant.users),
    )
