"""``manage.py analyse KEY``: take a look at an experiment here and now."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from experiments.analysis.services import request_analysis, run_analysis
from experiments.design.models import Experiment
from models_registry import jobs
from models_registry.errors import ShipworthyError
from models_registry.models import JobState


class Command(BaseCommand):
    """Compute a report without a worker."""

    help = "Compute a report of an experiment from the event log."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the experiment's key and a moment."""
        parser.add_argument("key", help="The experiment's key.")
        parser.add_argument(
            "--as-of", type=_moment, help="Up to when events count (RFC 3339)."
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the analysis as a job in this process.

        Raises:
            CommandError: It could not be computed; the message says why.
        """
        experiment = Experiment.objects.filter(key=options["key"]).first()
        if experiment is None:
            raise CommandError(f"There is no experiment {options['key']!r}.")
        try:
            job = request_analysis(experiment, options["as_of"])
        except ShipworthyError as error:
            raise CommandError(error.message) from error
        jobs.run(job.pk, run_analysis)
        job.refresh_from_db()
        if job.state != JobState.SUCCEEDED:
            raise CommandError(job.error or f"The analysis is {job.state}.")
        self.stdout.write(
            f"Report {job.result['report']} of {experiment.key}: "
            f"{job.result['decision']}."
        )


def _moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise CommandError(
            f"--as-of {text!r} is no moment with a zone; use 2026-11-24T06:00:00Z."
        )
    return moment
