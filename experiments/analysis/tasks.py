"""What workers do for this wing."""

from celery import shared_task

from experiments.analysis import services
from models_registry import jobs


@shared_task
def analyse(job_id: int) -> None:
    """Take the look a job asks for."""
    jobs.run(job_id, services.run_analysis)


@shared_task
def refresh_running() -> None:
    """Queue looks at running experiments whose log has grown."""
    services.request_due_analyses()
