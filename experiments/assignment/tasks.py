"""The safety net of publishing."""

from celery import shared_task

from experiments.assignment import services


@shared_task
def publish_plan(**_: object) -> None:
    """Publish the plan; beat sends this every 10 s."""
    services.publish_plan()
