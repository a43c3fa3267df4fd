"""What Celery runs for the registry."""

from celery import shared_task

from models_registry import jobs


@shared_task(name="models_registry.tasks.requeue_lost_jobs")
def requeue_lost_jobs(**_: object) -> None:
    """Send lost jobs' messages again."""
    jobs.requeue_lost_jobs()
