"""Rules that are wrong: passed over, counted, logged once (pure)."""

import logging
from collections import Counter

logger = logging.getLogger(__name__)


class Faults:
    """What went wrong in one process.

    Attributes:
        counts: Times each rule was passed over, by placement and experiment; the
            experiment is empty for the placement's default.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._logged: set[tuple[str, str, str]] = set()

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    def found(self, placement: str, experiment: str, problem: str) -> None:
        """A rule that cannot be compiled or walked; each problem is logged once."""
        told = (placement, experiment, problem)
        if told not in self._logged:
            self._logged.add(told)
            logger.warning(
                "Experiment %r of placement %r is passed over: %s",
                experiment,
                placement,
                problem,
            )

    def passed_over(self, placement: str, experiment: str) -> None:
        """Count one answer in which a wrong rule was passed over."""
        self.counts[placement, experiment] += 1
