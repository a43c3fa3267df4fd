"""The plan that shops are answered by, for pages of the site."""

import logging

import msgspec
from django.conf import settings
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from experiments.assignment.building import build_plan
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.publication import PLAN_KEY, decode_plan

logger = logging.getLogger(__name__)


def answering_plan() -> CompiledPlan:
    """What the fronts answer by: the published plan; without one, what it would be."""
    try:
        with Redis.from_url(settings.REDIS_URL, socket_timeout=2) as redis:
            text = redis.get(PLAN_KEY)
        if isinstance(text, bytes):
            return CompiledPlan(decode_plan(text))
    except (RedisError, OSError, msgspec.MsgspecError) as error:
        logger.warning("The published plan cannot be read: %s", error)
    return CompiledPlan(build_plan(timezone.now()))
