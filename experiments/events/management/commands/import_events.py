"""``manage.py import_events FILE --mapping NAME|FILE.toml``."""

from argparse import ArgumentParser, BooleanOptionalAction
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from experiments.events.imports.services import import_events
from experiments.events.management.reporting import ProgressBar, leave, show_report
from models_registry.errors import ShipworthyError


class Command(BaseCommand):
    """Put a shop's log into the event log."""

    help = (
        "Import events from a CSV (plain or gzipped) or Parquet file, straight into "
        "the log. Importing the same file again adds nothing. Exit status: 0 all rows "
        "accepted, 1 some rejected or the file damaged, 2 nothing usable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which file, and what its columns mean."""
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--mapping",
            default="generic",
            help="online_retail_ii, retailrocket, movielens, generic, or a TOML file",
        )
        parser.add_argument(
            "--items",
            action=BooleanOptionalAction,
            default=True,
            help="also update the catalogue from the file (default: yes)",
        )

    def handle(self, *, file: Path, mapping: str, items: bool, **_: object) -> None:
        """Import, then tell what became of it."""
        bar = ProgressBar(self.stderr)
        try:
            report = import_events(file, mapping, progress=bar, items=items)
        except ShipworthyError as error:
            raise CommandError(error.message, returncode=2) from None
        bar.close()
        show_report(report, file, self.stdout, self.stderr)
        leave(report)
