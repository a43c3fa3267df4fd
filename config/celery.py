"""Celery: queues, beat's table, and what keeps workers honest."""

import os

from celery import Celery
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("shipworthy")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_queues=[
        Queue(name) for name in ("collect", "analyse", "train", "score", "default")
    ],
    task_default_queue="default",
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_soft_shutdown_timeout=2,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 12 * 3600,
        "queue_order_strategy": "priority",
    },
    beat_schedule={
        "drain-the-event-stream": {
            "task": "experiments.events.tasks.drain",
            "schedule": 1.0,
            "options": {"queue": "collect", "expires": 1},
        },
        "carry-catalogue-changes-to-the-lake": {
            "task": "experiments.events.tasks.flush_outbox",
            "schedule": 2.0,
            "options": {"queue": "collect", "expires": 2},
        },
        "maintain-the-lake": {
            "task": "experiments.events.tasks.maintain_lake",
            "schedule": 300.0,
            "options": {"queue": "default", "expires": 300},
        },
        "requeue-lost-jobs": {
            "task": "models_registry.tasks.requeue_lost_jobs",
            "schedule": 15.0,
            "options": {"queue": "default", "expires": 15},
        },
        "publish-the-plan": {
            "task": "experiments.assignment.tasks.publish_plan",
            "schedule": 10.0,
            "options": {"queue": "default", "expires": 10},
        },
        "refresh-running-experiments": {
            "task": "experiments.analysis.tasks.refresh_running",
            "schedule": 60.0,
            "options": {"queue": "default", "expires": 60},
        },
    },
)
app.autodiscover_tasks()
