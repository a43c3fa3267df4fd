"""The parts of a verdict banner, and a report sorted by role for its sentences."""

from dataclasses import dataclass, field
from datetime import datetime

from experiments.analysis.presentation import wording
from experiments.analysis.results import (
    MetricResult,
    ReportContent,
    VariantInfo,
    VariantResult,
)


@dataclass(frozen=True)
class Fact:
    """A figure of the banner: what it is, the figure, what to know about it."""

    label: str
    figure: str
    note: str
    meaning: str = ""


@dataclass(frozen=True)
class Button:
    """What a banner offers: it opens a dialog (``popover``) or leads somewhere."""

    label: str
    dialog: str = ""
    href: str = ""
    style: str = ""


@dataclass(frozen=True)
class Banner:
    """The verdict first: a sentence with a verb, its reason, at most three figures."""

    tone: str
    icon: str
    kicker: str
    sentence: str
    reasons: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True)
class Decided:
    """The decision that holds now."""

    action: str
    variant: str
    by: str
    at: datetime
    reason: str
    against_rule: bool
    report: int | None


@dataclass(frozen=True)
class Reader:
    """What the page may offer its reader: by role and by the life cycle."""

    may_ship: bool = False
    may_keep: bool = False
    may_roll_back: bool = False
    may_analyse: bool = False
    may_change: bool = False


NO_CONTROL = VariantInfo("", "A", "control", is_control=True, weight=0.0, users=0)


@dataclass(frozen=True)
class Facts:
    """A report's parts that the sentences speak of."""

    content: ReportContent
    control: VariantInfo
    challengers: tuple[VariantInfo, ...]
    primary: MetricResult | None
    secondary: tuple[MetricResult, ...]
    guardrails: tuple[MetricResult, ...]
    by_key: dict[str, VariantInfo] = field(default_factory=dict)

    @classmethod
    def of(cls, content: ReportContent) -> "Facts":
        """Sort a report's variants and metrics by role."""
        ordered = sorted(content.variants, key=lambda v: v.letter)
        roles: dict[str, list[MetricResult]] = {}
        for metric in content.metrics:
            roles.setdefault(metric.role, []).append(metric)
        return cls(
            content=content,
            control=next((v for v in ordered if v.is_control), NO_CONTROL),
            challengers=tuple(v for v in ordered if not v.is_control),
            primary=next(iter(roles.get("primary", [])), None),
            secondary=tuple(roles.get("secondary", [])),
            guardrails=tuple(roles.get("guardrail", [])),
            by_key={v.key: v for v in ordered},
        )

    def result(self, metric: MetricResult | None, variant: str) -> VariantResult | None:
        """One variant's result of a metric."""
        return wording.result_of(metric, variant) if metric else None

    @property
    def broken(self) -> bool:
        """Effects are hidden: a quality check forbids a verdict."""
        return self.content.verdict.decision == "no_verdict" or any(
            check.state == "bad" for check in self.content.checks
        )
