"""From measured sums to a report's figures: every metric, variant, day (pure).

Error is shared out before anything is compared: the primary metric's alpha over the
treatments, the secondary ones' over metrics and treatments (Bonferroni), both over the
looks. A figure's p-value is multiplied by the same number its interval was widened for,
so that it is below the plan's alpha exactly when the interval excludes no effect.
Guardrails ask another question, each at its own one-sided error.

References:
    Jennison and Turnbull (2000), "Group Sequential Methods", 9.1 (repeated intervals).
    Kohavi, Tang, Xu (2020), "Trustworthy Online Controlled Experiments", chapter 21.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

import numpy as np

from experiments.analysis.plan import DAY, AnalysisPlan
from experiments.analysis.quality import FEWEST_USERS
from experiments.analysis.results import (
    DayPoint,
    Interval,
    MetricResult,
    PairResult,
    VariantResult,
)
from experiments.metrics.definitions import Conversion, MetricDefinition
from experiments.metrics.sums import Measurement
from experiments.statistics import proportions
from experiments.statistics.always_valid import AlwaysValid
from experiments.statistics.comparison import Boundary, Comparison, Quantile, Scale
from experiments.statistics.guardrails import (
    MarginScale,
    NonInferiority,
    Outcome,
    non_inferiority,
    proportion_non_inferiority,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.relative import fieller
from experiments.statistics.sequential import Look

ZERO_BASELINE_MARGIN = 0.01
"""Harm tolerated in points where the control has no event: a share of it is nothing."""
_SMALLEST_MARGIN, _LARGEST_MARGIN = 1e-9, 1 - 1e-9

_GUARDRAIL_READINGS = {
    Outcome.PASS: "holds",
    Outcome.FAIL: "harmed",
    Outcome.INCONCLUSIVE: "not_shown_safe",
}


@dataclass(frozen=True)
class Watched:
    """A metric and what the experiment watches it for.

    Attributes:
        role: ``primary``, ``secondary`` or ``guardrail``.
        version: Of the definition.
        margin: Guardrails: the worsening accepted.
        margin_scale: ``relative`` to the control's value, or ``absolute``.
    """

    key: str
    name: str
    description: str
    role: str
    version: int
    definition: MetricDefinition
    margin: float = 0.0
    margin_scale: MarginScale = "relative"


class Comparer:
    """Compares a measurement's variants under a plan at one moment; control is first.

    Attributes:
        look: Which planned look the moment is; 0: none.
    """

    def __init__(
        self, measured: Measurement, plan: AnalysisPlan, as_of: datetime
    ) -> None:
        self._measured = measured
        self._plan = plan
        self._as_of = as_of
        self.look = plan.look_at(as_of)

    def metric(self, watched: Watched, family: int) -> MetricResult:
        """Return one metric over all variants.

        Args:
            watched: The metric.
            family: Number of comparisons that share the error.
        """
        results = (
            self._guardrail(watched)
            if watched.role == "guardrail"
            else self._tested(watched, family)
        )
        definition = watched.definition
        return MetricResult(
            key=watched.key,
            name=watched.name,
            description=watched.description,
            role=watched.role,
            kind=definition.kind,
            unit=definition.unit,
            direction=definition.direction,
            version=watched.version,
            margin=watched.margin if watched.role == "guardrail" else None,
            margin_scale=watched.margin_scale,
            variants=(self._result(watched, 0), *results),
        )

    def _result(
        self,
        watched: Watched,
        row: int,
        relative: Interval | None = None,
        absolute: Interval | None = None,
        uncorrected: Interval | None = None,
        reading: str = "baseline",
    ) -> VariantResult:
        users = int(self._measured.users[row, -1])
        mean = self._measured.moments(watched.key).mean[row, -1]
        return VariantResult(
            variant=self._measured.variants[row],
            users=users,
            value=float(mean) if users else None,
            relative=relative,
            absolute=absolute,
            uncorrected=uncorrected,
            reading=reading,
        )

    def pairs(self, watched: Watched) -> tuple[PairResult, ...]:
        """Return every two treatments against each other."""
        names = self._measured.variants
        alpha = self._plan.alpha_per_comparison
        found = []
        for one, other in combinations(range(1, len(names)), 2):
            quantile = self._quantile(other, slice(one, one + 1), alpha)
            compared = self._compare(
                watched, other, slice(one, one + 1), alpha, quantile
            )
            enough = self._enough(slice(one, one + 1), other)
            effect = _intervals(compared, enough, self._plan.treatments)[0]
            found.append(PairResult(names[one], names[other], effect))
        return tuple(found)

    def days(self, watched: Watched) -> Iterator[DayPoint]:
        """Yield the primary metric up to the end of each day, variant by variant.

        At planned looks the interval is the repeated one, on other days the
        always-valid one. ``daily_value`` is what the day added, over the shoppers so
        far.
        """
        users = self._measured.users
        means = self._measured.moments(watched.key).mean
        totals = means * users
        added = np.diff(totals, axis=1, prepend=0.0)
        looks = [self._look_of(day) for day in range(users.shape[1])]
        for row, variant in enumerate(self._measured.variants):
            effects = self._daily(watched, row, looks) if row else None
            for day, look in enumerate(looks):
                effect = effects[day] if effects else None
                people = int(users[row, day])
                yield DayPoint(
                    day=day + 1,
                    date=(self._plan.started_at + day * DAY).date().isoformat(),
                    variant=variant,
                    users=people,
                    value=float(means[row, day]) if people else None,
                    daily_value=float(added[row, day]) / people if people else None,
                    estimate=effect.estimate if effect else None,
                    lower=effect.lower if effect else None,
                    upper=effect.upper if effect else None,
                    is_look=bool(look),
                )

    def _look_of(self, day: int) -> int:
        """Return the planned look at the end of a day; 0: none, or not reached."""
        ends = self._plan.started_at + (day + 1) * DAY
        return self._plan.look_at(ends) if ends <= self._as_of else 0

    def _daily(self, watched: Watched, row: int, looks: list[int]) -> list[Interval]:
        alpha = self._plan.alpha_per_comparison
        users = self._measured.users
        critical = AlwaysValid(np.maximum(users[0] + users[row], 1), alpha).critical
        for day, look in enumerate(looks):
            if look:
                critical[day] = Look(self._plan.information_at(look), alpha).critical
        if isinstance(watched.definition, Conversion):
            met = self._measured.counts(watched.key)
            compared = proportions.relative_difference(
                met[0], users[0], met[row], users[row], alpha=alpha, quantile=critical
            )
        else:
            moments = self._measured.moments(watched.key)
            compared = fieller(moments[0], moments[row], alpha=alpha, critical=critical)
        enough = np.minimum(users[0], users[row]) >= FEWEST_USERS
        return _intervals(compared, enough, 1)

    def _tested(self, watched: Watched, family: int) -> list[VariantResult]:
        rows, enough = slice(1, None), self._enough(slice(1, None), 0)
        alpha = self._plan.alpha / family
        quantile = self._quantile(0, rows, alpha)
        relative, absolute = (
            _intervals(
                self._compare(watched, 0, rows, alpha, quantile, scale), enough, family
            )
            for scale in _SCALES
        )
        plain = _intervals(
            self._compare(watched, 0, rows, self._plan.alpha, None), enough, 1
        )
        return [
            self._result(
                watched, row, lift, points, single, _reading(lift, points, watched)
            )
            for row, (lift, points, single) in enumerate(
                zip(relative, absolute, plain, strict=True), start=1
            )
        ]

    def _guardrail(self, watched: Watched) -> list[VariantResult]:
        """Return the treatments; the interval is the test's own, inverted."""
        rows, enough = slice(1, None), self._enough(slice(1, None), 0)
        # Two-sided at twice the one-sided error: its end is the one-sided bound.
        alpha = 2 * self._plan.alpha
        found = self._non_inferiority(watched)
        relative, absolute = (
            _intervals(self._compare(watched, 0, rows, alpha, None, scale), enough, 1)
            for scale in _SCALES
        )
        return [
            self._result(
                watched,
                row,
                relative[row - 1],
                absolute[row - 1],
                reading=_GUARDRAIL_READINGS[Outcome(found.outcome[row - 1])]
                if enough[row - 1]
                else "not_enough_data",
            )
            for row in range(1, len(self._measured.variants))
        ]

    def _non_inferiority(self, watched: Watched) -> NonInferiority:
        margin = min(max(watched.margin, _SMALLEST_MARGIN), _LARGEST_MARGIN)
        direction, alpha = watched.definition.direction, self._plan.alpha
        if isinstance(watched.definition, Conversion):
            met = self._measured.counts(watched.key)[:, -1]
            users = self._measured.users[:, -1]
            return proportion_non_inferiority(
                met[0],
                users[0],
                met[1:],
                users[1:],
                margin=margin,
                absolute_margin=margin
                if watched.margin_scale == "absolute"
                else ZERO_BASELINE_MARGIN,
                scale=watched.margin_scale,
                direction=direction,
                alpha=alpha,
            )
        moments = self._measured.moments(watched.key)
        return non_inferiority(
            moments[0, -1],
            moments[1:, -1],
            margin=watched.margin if watched.margin_scale == "absolute" else margin,
            scale=watched.margin_scale,
            direction=direction,
            alpha=alpha,
        )

    def _compare(
        self,
        watched: Watched,
        base: int,
        rows: slice,
        alpha: float,
        quantile: Quantile,
        scale: Scale = "relative",
    ) -> Comparison:
        """Compare some variants with one at the last day."""
        if isinstance(watched.definition, Conversion):
            met = self._measured.counts(watched.key)[:, -1]
            users = self._measured.users[:, -1]
            share = (
                proportions.relative_difference
                if scale == "relative"
                else proportions.difference
            )
            return share(
                met[base],
                users[base],
                met[rows],
                users[rows],
                alpha=alpha,
                quantile=quantile,
            )
        moments = self._measured.moments(watched.key)
        control, treatment = moments[base, -1], moments[rows, -1]
        if scale == "relative":
            return fieller(control, treatment, alpha=alpha, critical=quantile)
        return welch(control, treatment, alpha=alpha, quantile=quantile)

    def _quantile(self, base: int, rows: slice, alpha: float) -> Boundary:
        if self.look:
            return Look(self._plan.information_at(self.look), alpha)
        users = self._measured.users[:, -1]
        return AlwaysValid(np.maximum(users[base] + users[rows], 1), alpha)

    def _enough(self, rows: slice, base: int) -> np.ndarray:
        users = self._measured.users[:, -1]
        return np.asarray(np.minimum(users[rows], users[base]) >= FEWEST_USERS)


_SCALES: tuple[Scale, Scale] = ("relative", "absolute")


def _intervals(compared: Comparison, enough: np.ndarray, family: int) -> list[Interval]:
    """Return the cells as plain values; nothing where there are too few units."""
    return [
        Interval(
            estimate=_number(compared.estimate[cell]),
            lower=_number(compared.lower[cell]),
            upper=_number(compared.upper[cell]),
            p_value=_number(np.minimum(1.0, compared.p_value[cell] * family)),
            status=str(compared.status[cell]),
            method=compared.method,
        )
        if enough[cell]
        else Interval(None, None, None, None, "not_enough_data", compared.method)
        for cell in range(enough.size)
    ]


def _reading(relative: Interval, absolute: Interval, watched: Watched) -> str:
    """Return the word for a tested metric; the absolute effect where no lift exists."""
    effect = absolute if relative.status == "unbounded" else relative
    if effect.lower is None or effect.upper is None:
        return "not_enough_data" if effect.estimate is None else "unclear"
    if not (effect.lower > 0 or effect.upper < 0):
        return "unclear"
    good = (effect.lower > 0) == (watched.definition.direction == "increase")
    return "better" if good else "worse"


def _number(value: FloatArray | float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
