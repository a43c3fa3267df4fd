"""``manage.py reproduce KEY NUMBER``: recompute a report from its own batches."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.analysis.models import Report
from experiments.analysis.services import reproduce
from models_registry.errors import ShipworthyError


class Command(BaseCommand):
    """Show that a report's figures follow from the log; exit status 1 if not."""

    help = "Recompute a report and compare every figure to 12 digits."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the experiment's key and the report's number."""
        parser.add_argument("key", help="The experiment's key.")
        parser.add_argument("number", type=int, help="The report's number.")

    def handle(self, *_: Any, **options: Any) -> None:
        """Compare, and say so.

        Raises:
            CommandError: There is no such report, or a figure differs.
        """
        key, number = options["key"], options["number"]
        report = (
            Report.objects.select_related("experiment__placement", "phase")
            .filter(experiment__key=key, number=number)
            .first()
        )
        if report is None:
            raise CommandError(f"There is no report {number} of experiment {key!r}.")
        try:
            found = reproduce(report)
        except ShipworthyError as error:
            raise CommandError(error.message) from error
        if found:
            shown = "\n".join(found[:20])
            raise CommandError(
                f"Report {number} of {key} differs in {len(found)} figures:\n{shown}"
            )
        self.stdout.write(
            f"Report {number} of {key} is reproduced: the same events, every figure "
            "equal to 12 digits."
        )
