"""What time it is: ours, or the shop's own where its key may say so."""

import time
from datetime import datetime

from experiments.gateway.errors import ForbiddenError
from experiments.gateway.keys import Key
from models_registry.errors import InvalidError


class Clock:
    """The wall clock, as a service, so that tests can hold it still."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()


def time_of_request(key: Key | None, timestamp: datetime | None, clock: Clock) -> float:
    """The time a request is answered at, unix seconds.

    Args:
        key: The key it came with.
        timestamp: The time the request states, if any.
        clock: Ours.

    Raises:
        ForbiddenError: A timestamp from a key without the scope ``simulate``.
        InvalidError: The timestamp has no time zone.
    """
    if timestamp is None:
        return clock.now()
    if key is None or "simulate" not in key.scopes:
        raise ForbiddenError(
            "timestamp may only be sent with a key of scope simulate; leave it out.",
            code="scope_missing",
        )
    if timestamp.tzinfo is None:
        raise InvalidError(
            f"timestamp {timestamp.isoformat()} has no time zone; append Z or +00:00."
        )
    return timestamp.timestamp()
