"""What was wrong with a file: counted by reason, with the first few in full (pure)."""

from dataclasses import dataclass, field

SAMPLES_PER_REASON = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong.

    Attributes:
        row: As a spreadsheet counts: the header is row 1; None: the file as a whole.
        field: Field of the event, or column.
        value: As it stands in the file.
        reason: Stable, machine-readable.
        remedy: What to do, in words.
    """

    row: int | None
    field: str
    value: str
    reason: str
    remedy: str

    def line(self, file: str) -> str:
        """One line for a person."""
        where = file if self.row is None else f"{file}, row {self.row}"
        shown = f" {self.value[:80]!r}" if self.value or self.row is not None else ""
        return f"{where}: {self.field}{shown}: {self.remedy}"


@dataclass(slots=True)
class Problems:
    """All that is wrong with a file.

    Attributes:
        by_reason: Rows rejected, by reason.
        samples: The first problems of each reason.
        file_problems: What is wrong with the file as a whole.
    """

    by_reason: dict[str, int] = field(default_factory=dict)
    samples: list[Problem] = field(default_factory=list)
    file_problems: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Count a problem; keep it while there are few of its reason."""
        if problem.row is None:
            self.file_problems.append(problem)
            return
        seen = self.by_reason.get(problem.reason, 0)
        self.by_reason[problem.reason] = seen + 1
        if seen < SAMPLES_PER_REASON:
            self.samples.append(problem)

    def add_uncounted(self, reason: str, count: int) -> None:
        """Count further rows of a reason of which enough samples are kept."""
        self.by_reason[reason] = self.by_reason.get(reason, 0) + count

    @property
    def rejected(self) -> int:
        """Rows rejected."""
        return sum(self.by_reason.values())
