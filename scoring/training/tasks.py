"""What Celery runs for training, in the queue ``train``.

torch comes in with a trainer, inside the child that runs the task: a parallel torch
operation before a fork hangs the child for ever.
"""

from celery import shared_task

from models_registry import jobs
from scoring.training import services


@shared_task(name="scoring.training.tasks.train")
def train(*, job_id: int, **_: object) -> None:
    """Do a training job, unless another worker does."""
    jobs.run(job_id, services.train)
