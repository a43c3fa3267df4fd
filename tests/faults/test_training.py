"""A training worker killed in the middle: the job goes on where it stood."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from models_registry import jobs
from models_registry.models import Job, JobState, Version
from scoring.training.services import request_training
from tests.scoring.training.conftest import shop_log
from tests.scoring.training.worker import training_worker
from tests.waiting import wait_for

__all__ = ["shop_log"]

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shop_log"),
]


def reread(job: Job) -> Job:
    job.refresh_from_db()
    return job


def curve(job: Job) -> list[list[float]]:
    """Share of the fit done and loss, as reported so far."""
    points: list[list[float]] = job.figures["series"]["fit: loss"]
    return points


def checkpoint(job: Job) -> Path:
    return Path(settings.DATA_DIR) / "checkpoints" / f"job-{job.pk}-fit.safetensors"


def test_a_training_worker_killed_with_kill_9_is_resumed_by_the_next(
    tmp_path: Path,
) -> None:
    # A budget of time, not of epochs: a resumed run has only the rest of it.
    parameters = {"epochs": 10_000, "seconds": 45, "width": 8, "length": 10}
    job = request_training("home", "transformer", parameters)
    with training_worker(tmp_path) as worker:
        wait_for(checkpoint(job).exists, 120)
        wait_for(lambda: reread(job).progress > 0.3)
        assert job.state == JobState.RUNNING
        worker.kill()
    told_before = len(curve(job))
    assert not Version.objects.exists()
    # Time passes: the heartbeat is dead, and the sweeper of beat sees it.
    dead = timezone.now() - jobs.DEAD_AFTER - timedelta(seconds=1)
    Job.objects.filter(pk=job.pk).update(heartbeat_at=dead)
    assert jobs.requeue_lost_jobs() == 1
    with training_worker(tmp_path):
        ended = (JobState.SUCCEEDED, JobState.FAILED)
        wait_for(lambda: reread(job).state in ended, 120)
    assert job.state == JobState.SUCCEEDED, job.error
    assert job.attempts == 2
    told_after = curve(job)[told_before:]
    assert told_after
    assert min(share for share, _ in told_after) > 0.5, "it began anew"
    assert Version.objects.count() == 1
    assert not checkpoint(job).exists()
    assert not jobs.requeue_lost_jobs()
