"""What runs on the queue ``collect``; each task is one call of a service."""

import functools
import os

from celery import shared_task
from django.conf import settings

from experiments.events import catalogue, maintenance
from experiments.events.collector import Collector
from experiments.events.services import open_collector, open_lake, open_redis
from experiments.events.stream import shard_name


@shared_task
def drain(*, shard: int | None = None, **_: object) -> None:
    """Empty a shard of the stream into the log; without a number, start all."""
    if shard is None and settings.STREAM_SHARDS > 1:
        for number in range(settings.STREAM_SHARDS):
            drain.apply_async(kwargs={"shard": number}, queue="collect", expires=1)
        return
    _collector(os.getpid(), settings.LAKE_URL).drain(shard_name(shard or 0))


@shared_task
def flush_outbox(**_: object) -> None:
    """Carry changes of the catalogue and the units to the lake."""
    catalogue.flush_outbox(open_lake())


@shared_task
def maintain_lake(**_: object) -> None:
    """Compact, vacuum and checkpoint the lake's tables."""
    maintenance.maintain(open_lake(), open_redis())


@functools.lru_cache(maxsize=1)
def _collector(_process: int, _lake_url: str) -> Collector:
    """This process's collector: the lake's runtime does not survive a fork."""
    return open_collector()
