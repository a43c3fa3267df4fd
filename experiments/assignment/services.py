"""Publish the plan, so that every front answers by it within a second."""

import logging
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from experiments.assignment.building import build_plan
from experiments.assignment.plan import Plan
from experiments.assignment.publication import (
    CHANNEL,
    HEAD_KEY,
    PLAN_KEY,
    decode_head,
    encode_head,
    encode_plan,
)

logger = logging.getLogger(__name__)
_LOCK = 7_301_960  # an advisory lock's number: one process publishes at a time


def request_publish() -> None:
    """Publish once the present transaction is committed.

    Redis away does not fail what was committed: beat publishes every 10 s too.
    """
    transaction.on_commit(_publish_after_commit, robust=True)


def publish_plan(*, now: datetime | None = None) -> Plan:
    """Build the plan and hand it to the fronts.

    Building and writing happen under one lock, so that a plan built earlier never
    replaces one built later.

    Raises:
        RedisError: Redis is away; nothing was published.
    """
    with (
        Redis.from_url(settings.REDIS_URL, socket_timeout=5) as redis,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        plan = build_plan(now or timezone.now())
        _write(redis, plan)
    return plan


def _write(redis: Redis, plan: Plan) -> None:
    head = redis.get(HEAD_KEY)
    known = decode_head(head)[0] if isinstance(head, bytes) else ""
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.set(PLAN_KEY, encode_plan(plan))
        pipeline.set(HEAD_KEY, encode_head(plan))
        if known != plan.revision:
            pipeline.publish(CHANNEL, plan.revision)
        pipeline.execute()


def _publish_after_commit() -> None:
    try:
        publish_plan()
    except (RedisError, OSError) as error:
        logger.warning("The plan was not published: %s", error)
