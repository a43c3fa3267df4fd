"""A real Celery worker process on the test's servers."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from config.process import Command, Process

ROOT = Path(__file__).parents[3]


def environment() -> Mapping[str, str]:
    """Where the test's database, lake and artifacts are, for another process."""
    return {
        **os.environ,
        "LAKE_URL": str(settings.LAKE_URL),
        "ARTIFACTS_URL": str(settings.ARTIFACTS_URL),
        "SHIPWORTHY_DATA_DIR": str(settings.DATA_DIR),
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def training_worker(folder: Path) -> Iterator[Process]:
    """A worker of the queue ``train`` with one child, killed at the end."""
    argv = (
        *(sys.executable, "-m", "celery", "-A", "config.celery", "worker"),
        *("--queues", "train", "--concurrency", "1", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    process = Process(
        Command("worker", argv, environment(), cwd=ROOT), folder / "worker.log"
    )
    process.start()
    try:
        yield process
    finally:
        process.kill()
