"""``manage.py import_items FILE --mapping NAME|FILE.toml``."""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from experiments.events.imports.services import import_items
from experiments.events.management.reporting import ProgressBar, leave, show_report
from models_registry.errors import ShipworthyError


class Command(BaseCommand):
    """Put a shop's catalogue into ours."""

    help = (
        "Import items from a CSV (plain or gzipped) or Parquet file. Exit status: 0 "
        "all good, 1 the file is damaged, 2 nothing usable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which file, and what its columns mean."""
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--mapping", default="generic", help="a shipped mapping, or a TOML file"
        )

    def handle(self, *, file: Path, mapping: str, **_: object) -> None:
        """Import, then tell what became of it."""
        bar = ProgressBar(self.stderr)
        try:
            report = import_items(file, mapping, progress=bar)
        except ShipworthyError as error:
            raise CommandError(error.message, returncode=2) from None
        bar.close()
        show_report(report, file, self.stdout, self.stderr)
        leave(report)
