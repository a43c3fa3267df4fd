"""How an import shows itself on a terminal."""

import sys
from pathlib import Path

from django.core.management.base import OutputWrapper

from experiments.events.imports.services import ImportReport

BAR = 40


class ProgressBar:
    """A bar on a terminal; silent where the output is not one."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._shown = out.isatty()

    def __call__(self, share: float, said: str) -> None:
        """Show how far it is."""
        if self._shown:
            done = round(BAR * share)
            bar = "#" * done + "." * (BAR - done)
            self._out.write(f"\r[{bar}] {share:4.0%} {said}", ending="")

    def close(self) -> None:
        """Leave the bar's line."""
        if self._shown:
            self._out.write("")


def show_report(
    report: ImportReport, path: Path, out: OutputWrapper, err: OutputWrapper
) -> None:
    """Print one line for each problem, then what became of the file."""
    for problem in (*report.file_problems, *report.samples):
        err.write(problem.line(path.name))
    for reason, count in report.rejected_by_reason.items():
        shown = sum(problem.reason == reason for problem in report.samples)
        if count > shown:
            err.write(f"{path.name}: {count - shown:,} more rows: {reason}")
    rejected = sum(report.rejected_by_reason.values())
    out.write(
        f"{report.read:,} rows read, {report.accepted:,} accepted "
        f"({report.known:,} of them in the log already), {rejected:,} rejected; "
        f"{report.units:,} units, {report.items:,} items"
    )
    if report.first_timestamp and report.last_timestamp:
        out.write(
            f"from {report.first_timestamp:%Y-%m-%d %H:%M} to "
            f"{report.last_timestamp:%Y-%m-%d %H:%M} UTC, shard {report.shard}"
        )


def leave(report: ImportReport) -> None:
    """End the process with the report's exit status, unless all is good."""
    if report.exit_status:
        sys.exit(report.exit_status)
