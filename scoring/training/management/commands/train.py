"""``manage.py train --model M --kind K``: queue a training run, and wait if asked."""

import json
import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime

from models_registry.errors import ShipworthyError
from models_registry.jobs import FINISHED
from models_registry.models import Job, JobState
from scoring.engine.registry import RANKERS
from scoring.training.services import request_training

POLL_SECONDS = 0.5


class Command(BaseCommand):
    """Train a model in a Celery worker and register the version."""

    help = "Queue a training run; a worker of the queue 'train' does it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What can be said on the command line."""
        parser.add_argument("--model", required=True, help="name of the model")
        parser.add_argument("--kind", required=True, help=", ".join(RANKERS))
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--until", help="only events before this time, such as 2026-11-01T00:00Z"
        )
        parser.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a hyper-parameter or run parameter; may be repeated",
        )
        parser.add_argument(
            "--wait", action="store_true", help="show progress until the run ends"
        )

    def handle(self, *_: str, **options: Any) -> None:
        """Queue, then perhaps wait.

        Raises:
            CommandError: A value is refused, or the awaited run did not succeed.
        """
        try:
            job = request_training(
                options["model"],
                options["kind"],
                dict(map(_parameter, options["param"])),
                seed=options["seed"],
                until=_moment(options["until"]),
            )
        except ShipworthyError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"job {job.pk}: {job.title}")
        if options["wait"]:
            self._wait(job)

    def _wait(self, job: Job) -> None:
        said = ""
        while job.state not in FINISHED:
            time.sleep(POLL_SECONDS)
            job.refresh_from_db()
            line = f"{job.progress:4.0%} {job.message}"
            if job.message and line != said:
                self.stdout.write(line)
                said = line
        if job.state != JobState.SUCCEEDED:
            raise CommandError(f"job {job.pk} {job.state}: {job.error}")
        result = job.result
        self.stdout.write(
            f"{result['model']} version {result['number']}, "
            f"NDCG {result['ndcg']:.4f}, {result['seconds']} s"
        )


def _parameter(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise CommandError(f"--param {text!r} is not NAME=VALUE.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise CommandError(
            f"--until {text!r} is no time with a zone; write it as 2026-11-01T00:00Z."
        )
    return moment
