"""What must hold before an experiment may start: the pre-flight list (pure)."""

from dataclasses import dataclass

WEIGHT_TOLERANCE = 1e-6
MOST_VARIANTS = 26


@dataclass(frozen=True)
class VariantFacts:
    """What the checks look at of one variant."""

    key: str
    is_control: bool
    weight: float
    has_version: bool
    has_payload: bool
    model: str | None


@dataclass(frozen=True)
class ExperimentFacts:
    """What the checks look at of one experiment."""

    variants: tuple[VariantFacts, ...]
    primary_metrics: int
    placement_is_model: bool
    placement_model: str | None
    coverage: float
    planned_days: int
    looks: int


@dataclass(frozen=True)
class Finding:
    """One line of the pre-flight list.

    Attributes:
        ok: The criterion is met.
        sentence: What was found and, where it fails, the remedy.
    """

    code: str
    ok: bool
    sentence: str


def preflight(facts: ExperimentFacts) -> tuple[Finding, ...]:
    """Check an experiment before its start; every finding, met or not."""
    return (
        _variants(facts),
        _control(facts),
        _weights(facts),
        _values(facts),
        _primary(facts),
        _length(facts),
        _coverage(facts),
    )


def _variants(facts: ExperimentFacts) -> Finding:
    n = len(facts.variants)
    ok = 2 <= n <= MOST_VARIANTS
    text = f"{n} variants" if ok else f"{n} variants: add until there are at least two"
    return Finding("variants", ok, text)


def _control(facts: ExperimentFacts) -> Finding:
    controls = [v.key for v in facts.variants if v.is_control]
    if len(controls) == 1:
        return Finding("control", ok=True, sentence=f"{controls[0]} is the control")
    return Finding(
        "control",
        ok=False,
        sentence=f"{len(controls)} controls: mark exactly one variant as control",
    )


def _weights(facts: ExperimentFacts) -> Finding:
    total = sum(v.weight for v in facts.variants)
    ok = abs(total - 1.0) <= WEIGHT_TOLERANCE and all(
        v.weight > 0 for v in facts.variants
    )
    if ok:
        return Finding("weights", ok=True, sentence="Weights add up to 100 %")
    return Finding(
        "weights",
        ok=False,
        sentence=f"Weights add up to {total:.2%}: make them positive and sum to 100 %",
    )


def _values(facts: ExperimentFacts) -> Finding:
    for variant in facts.variants:
        if facts.placement_is_model and not variant.has_version:
            return Finding(
                "values",
                ok=False,
                sentence=f"Variant {variant.key} has no model version: choose one",
            )
        if facts.placement_is_model and variant.model != facts.placement_model:
            return Finding(
                "values",
                ok=False,
                sentence=(
                    f"Variant {variant.key} is a version of {variant.model}, but the "
                    f"placement shows {facts.placement_model}: choose one of those"
                ),
            )
        if not facts.placement_is_model and not variant.has_payload:
            return Finding(
                "values",
                ok=False,
                sentence=f"Variant {variant.key} has no value: enter its JSON",
            )
    return Finding("values", ok=True, sentence="Every variant has what it shows")


def _primary(facts: ExperimentFacts) -> Finding:
    ok = facts.primary_metrics == 1
    text = (
        "One primary metric decides"
        if ok
        else f"{facts.primary_metrics} primary metrics: choose exactly one"
    )
    return Finding("primary_metric", ok, text)


def _length(facts: ExperimentFacts) -> Finding:
    ok = facts.planned_days >= 7 * max(1, facts.looks)
    text = (
        f"{facts.planned_days} days with {facts.looks} looks at the ends of whole weeks"
        if ok
        else f"{facts.planned_days} days are too few for {facts.looks} weekly looks: "
        f"plan at least {7 * max(1, facts.looks)} days"
    )
    return Finding("length", ok, text)


def _coverage(facts: ExperimentFacts) -> Finding:
    ok = 0.0 < facts.coverage <= 1.0
    text = (
        f"{facts.coverage:.0%} of shoppers take part"
        if ok
        else f"Coverage is {facts.coverage:.0%}: nobody would take part; raise it"
    )
    return Finding("coverage", ok, text)
