"""What a report holds: frozen, typed, the same for page, API and export (pure)."""

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """An effect against control with its uncertainty.

    Attributes:
        estimate: Relative change (0.028 = +2.8 %) or absolute change.
        p_value: From the same procedure as the interval; None: none is defined.
        status: ``ok``, ``not_enough_data``, ``degenerate``, ``unbounded``, ...
        method: Name of the procedure, for the method notes.
    """

    estimate: float | None
    lower: float | None
    upper: float | None
    p_value: float | None
    status: str
    method: str


class VariantResult(msgspec.Struct, frozen=True):
    """One variant's value of one metric, and its change against control.

    Attributes:
        value: Per-shopper mean (share for conversions, currency units for money).
        relative: Planned analysis: corrected for variants and looks; None on control.
        absolute: The same on the metric's own scale.
        uncorrected: Single-look, single-comparison result, labelled so.
        reading: ``better``, ``worse``, ``unclear``, ``holds``, ``not_shown_safe``,
            ``harmed``, ``baseline``, ``not_enough_data``.
    """

    variant: str
    users: int
    value: float | None
    relative: Interval | None = None
    absolute: Interval | None = None
    uncorrected: Interval | None = None
    reading: str = "baseline"


class MetricResult(msgspec.Struct, frozen=True):
    """One metric over all variants.

    Attributes:
        role: ``primary``, ``secondary`` or ``guardrail``.
        kind: The definition's kind (``conversion``, ``sum``, ...).
        unit: What the value is in: ``share``, ``GBP``, ``count``, ...
        direction: ``increase`` or ``decrease`` is good.
        margin: Guardrails: worsening accepted.
        margin_scale: ``relative`` to the control's value, or ``absolute``.
    """

    key: str
    name: str
    description: str
    role: str
    kind: str
    unit: str
    direction: str
    version: int
    variants: tuple[VariantResult, ...]
    margin: float | None = None
    margin_scale: str = "relative"


class QualityCheck(msgspec.Struct, frozen=True):
    """A health check: what was checked, the finding, what to do.

    Attributes:
        state: ``good``, ``warn`` or ``bad``; ``bad`` forbids a verdict.
    """

    code: str
    title: str
    state: str
    sentence: str
    remedy: str = ""


class VariantInfo(msgspec.Struct, frozen=True):
    """A variant as the report shows it.

    Attributes:
        label: What people call it (``transformer v3``).
        weight: Planned share.
        users: Exposed shoppers analysed.
    """

    key: str
    letter: str
    label: str
    is_control: bool
    weight: float
    users: int
    model: str | None = None
    model_version: int | None = None


class DayPoint(msgspec.Struct, frozen=True):
    """Cumulative relative effect on the primary metric up to the end of a day.

    Attributes:
        boundary: Half-width of the decision band at a planned look, else None.
    """

    day: int
    date: str
    variant: str
    users: int
    value: float | None
    daily_value: float | None
    estimate: float | None
    lower: float | None
    upper: float | None
    is_look: bool = False


class PairResult(msgspec.Struct, frozen=True):
    """Two treatments against each other on the primary metric.

    Attributes:
        effect: Relative change of ``variant`` over ``other``, at the same look and
            error as each has against control.
    """

    variant: str
    other: str
    effect: Interval


class ReasonResult(msgspec.Struct, frozen=True):
    """One criterion of the decision rule.

    Attributes:
        state: ``met``, ``unmet``, ``waiting`` or ``failed``.
    """

    code: str
    state: str
    sentence: str
    figure: str = ""


class VerdictResult(msgspec.Struct, frozen=True):
    """What the rule says.

    Attributes:
        decision: ``ship``, ``not_distinguishable``, ``keep_running``,
            ``keep_control`` or ``no_verdict``.
        candidates: Qualifiers, best first.
        against: What speaks against shipping.
    """

    decision: str
    winner: str | None
    candidates: tuple[str, ...]
    reasons: tuple[ReasonResult, ...]
    against: tuple[str, ...] = ()


class LookPlan(msgspec.Struct, frozen=True):
    """The analysis plan fixed before the start."""

    alpha: float
    looks: int
    look: int
    planned_days: int
    days: float
    information: float
    critical_value: float | None
    comparisons: int
    minimum_days: int = 7
    minimum_effect: float = 0.0


class ReportContent(msgspec.Struct, frozen=True):
    """Everything a report says."""

    experiment: str
    title: str
    placement: str
    phase: int
    started_at: str
    as_of: str
    computed_at: str
    events_read: int
    users: int
    excluded_users: int
    plan: LookPlan
    variants: tuple[VariantInfo, ...]
    checks: tuple[QualityCheck, ...]
    metrics: tuple[MetricResult, ...]
    days: tuple[DayPoint, ...]
    verdict: VerdictResult
    pairs: tuple[PairResult, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
