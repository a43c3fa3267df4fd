"""What changes the state of the event path, wired from Django's settings."""

from django.conf import settings
from redis import Redis

from experiments.events.collector import Collector
from experiments.events.lake import Lake
from experiments.events.models import DeadLetter


def open_lake() -> Lake:
    """The installation's lake; open it after a fork only."""
    return Lake(settings.LAKE_URL)


def open_redis() -> Redis:
    """A client that gives bytes."""
    return Redis.from_url(settings.REDIS_URL)


def open_collector() -> Collector:
    """A collector of this process."""
    return Collector(open_redis(), open_lake(), bury_entry)


def bury_entry(shard: str, entry_id: str, reason: str, payload: bytes) -> None:
    """Keep an entry that gives no rows, once, for people to look at."""
    DeadLetter.objects.get_or_create(
        shard=shard,
        entry_id=entry_id,
        defaults={"reason": reason, "payload": payload},
    )
