"""What runs on the queue ``collect``; each task is one call of a service."""

import functools
import os

from celery import shared_task
from django.conf import settings

from experiments.events import catalogue
from experiments.events.collector import Collector
from experiments.events.services import open_collector, open_lake
from experiments.events.stream import shard_name


@shared_task
def drain(**_: object) -> None:
    """Start a drain of each shard; with one shard, do it."""
    if settings.STREAM_SHARDS == 1:
        _collector(os.getpid(), settings.LAKE_URL).drain(shard_name(0))
        return
    for number in range(settings.STREAM_SHARDS):
        drain_shard.apply_async(kwargs={"number": number}, queue="collect", expires=1)


@shared_task
def drain_shard(*, number: int, **_: object) -> None:
    """Empty one shard of the stream into the log."""
    _collector(os.getpid(), settings.LAKE_URL).drain(shard_name(number))


@shared_task
def flush_outbox(**_: object) -> None:
    """Carry changes of the catalogue and the units to the lake."""
    catalogue.flush_outbox(open_lake())


@functools.lru_cache(maxsize=1)
def _collector(_process: int, _lake_url: str) -> Collector:
    """This process's collector: the lake's runtime does not survive a fork."""
    return open_collector()
