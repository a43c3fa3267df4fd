"""How often a key may call: a fixed window of one minute, counted in Redis.

The count is shared by all workers, so a limit is exact across them. Redis away, keys
are not limited: shoppers come before limits.
"""

import logging
import math
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from experiments.gateway.errors import RateLimitedError
from experiments.gateway.keys import Key

logger = logging.getLogger(__name__)
_WINDOW = 60


async def count_request(key: Key, redis: Redis, now: float) -> None:
    """Count a request of a limited key.

    Raises:
        RateLimitedError: The key's requests of this minute are used up.
    """
    minute = int(now // _WINDOW)
    name = f"shipworthy:rate:{key.id}:{minute}"
    try:
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.incr(name)
            pipeline.expire(name, 2 * _WINDOW)
            used = cast("int", (await pipeline.execute())[0])
    except (RedisError, OSError) as error:
        logger.warning("Rate limit of key %s not counted: %s", key.id, error)
        return
    if used > key.rate_per_minute:
        wait = max(1, math.ceil((minute + 1) * _WINDOW - now))
        raise RateLimitedError(
            f"Key {key.label!r} may call {key.rate_per_minute} times a minute; "
            f"wait {wait} s.",
            retry_after=wait,
        )
