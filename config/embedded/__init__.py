"""PostgreSQL and Redis from wheels, started by us: nothing to install.

The wheels carry the servers' binaries; their Python wrappers are not used, since
they trust stale pid files after a kill -9. Both servers listen on private Unix
sockets only and end with the process that started them.
"""

from config.embedded.postgres import EmbeddedPostgres
from config.embedded.redis import EmbeddedRedis

__all__ = ["EmbeddedPostgres", "EmbeddedRedis"]
