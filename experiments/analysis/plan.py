"""When an experiment is looked at, and what a moment of it counts as (pure).

Looks lie at ends of whole weeks and are fixed before the start. At a planned look the
report decides; between looks it informs, by always-valid intervals that spend nothing.

References:
    Lan and DeMets (1983), "Discrete sequential boundaries for clinical trials",
    Biometrika 70(3): error is spent by the share of information at the looks taken.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = timedelta(days=1)
WEEK_DAYS = 7
MINIMUM_DAYS = 7


class PlanError(ValueError):
    """A plan that cannot be kept: the message names the value and the remedy."""


@dataclass(frozen=True)
class AnalysisPlan:
    """Looks and error of one phase, fixed before it begins.

    Attributes:
        started_at: Start of the phase.
        planned_days: Its length; the last look is at its end.
        looks: Number of looks.
        alpha: Two-sided error over all looks and all variants together.
        treatments: Variants compared with control.
        minimum_effect: Relative effect below which shipping is not worth it.
    """

    started_at: datetime
    planned_days: int
    looks: int
    alpha: float
    treatments: int
    minimum_effect: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a plan whose looks do not fit.

        Raises:
            PlanError: Fewer than a week a look, or no treatment.
        """
        if self.looks < 1 or self.planned_days < WEEK_DAYS * self.looks:
            raise PlanError(
                f"{self.looks} looks do not fit into {self.planned_days} days; plan "
                "at least one look and seven days a look."
            )
        if self.treatments < 1:
            raise PlanError(
                "There is no variant beside the control; add one to compare with it."
            )

    @property
    def look_days(self) -> tuple[int, ...]:
        """Days from the start to each look; all but the last are whole weeks."""
        weeks = self.planned_days / WEEK_DAYS
        before = (
            max(look, round(look * weeks / self.looks)) * WEEK_DAYS
            for look in range(1, self.looks)
        )
        return (*before, self.planned_days)

    @property
    def look_times(self) -> tuple[datetime, ...]:
        """Moments of the looks."""
        return tuple(self.started_at + days * DAY for days in self.look_days)

    @property
    def alpha_per_comparison(self) -> float:
        """What one treatment may spend against control."""
        return self.alpha / self.treatments

    def look_at(self, as_of: datetime) -> int:
        """Return which planned look a moment is; 0: none.

        Past the planned end every moment is the last look. Only the first report there
        keeps the error that was planned, which is why ``services`` reads it at the
        planned end unless somebody asks for another moment.
        """
        if as_of >= self.look_times[-1]:
            return self.looks
        return 1 + self.look_times.index(as_of) if as_of in self.look_times else 0

    def information_at(self, look: int) -> tuple[float, ...]:
        """Return shares of the planned length at the looks up to this one."""
        return tuple(days / self.planned_days for days in self.look_days[:look])

    def next_look_after(self, done: int) -> datetime | None:
        """Return when the look after the last one done is; None: all are done."""
        return self.look_times[done] if done < self.looks else None

    def days_at(self, as_of: datetime) -> float:
        """Return days since the start."""
        return (as_of - self.started_at) / DAY
