"""A variant as legends, tables and dialogs name it."""

from collections.abc import Iterable
from dataclasses import dataclass

from experiments.analysis.presentation import charts, numbers
from experiments.analysis.presentation.banner import Facts
from experiments.design.models import Variant


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


@dataclass(frozen=True)
class PlannedVariant:
    """A variant before there is a report."""

    letter: str
    slot: str
    label: str
    is_control: bool
    planned: str
    model: str
    number: int
    version: str


def planned_variants(variants: Iterable[Variant]) -> tuple[PlannedVariant, ...]:
    """The variants of an experiment nothing is known about yet."""
    return tuple(
        PlannedVariant(
            letter=v.letter,
            slot=charts.slot(v.letter),
            label=str(v),
            is_control=v.is_control,
            planned=numbers.percent(v.weight),
            model=v.version.model.name if v.version else "",
            number=v.version.number if v.version else 0,
            version=str(v.version) if v.version else "",
        )
        for v in variants
    )
