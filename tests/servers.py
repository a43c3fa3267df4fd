"""The servers that tests use, and the environment that leads to them.

One PostgreSQL serves the whole run: every xdist worker has a database of its own in
it, copied from one migrated template. Each worker has a redis-server of its own,
since published messages ignore database numbers. Folders are temporary.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql

from config.embedded import EmbeddedPostgres, EmbeddedRedis
from config.embedded.place import runtime_path
from config.embedded.postgres import address

PREFIX = "shipworthy-tests-"
TEMPLATE = "template_migrated"
TEMPLATE_LOCK = 7_301_959  # an advisory lock's number: the first worker migrates
# Set by the first process of a run for its xdist workers.
ROOT_VARIABLE = "TEST_SERVERS_ROOT"
SOCKET_VARIABLE = "TEST_SERVERS_SOCKET"


class Servers:
    """This process's share of the run's servers."""

    def __init__(self) -> None:
        self.worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.database = f"test_{self.worker}"
        self._postgres: EmbeddedPostgres | None = None
        if ROOT_VARIABLE in os.environ and self.worker != "main":
            self.root = Path(os.environ[ROOT_VARIABLE])
        else:
            self.root = _new_root()
            self._postgres = EmbeddedPostgres(
                self.root, durable=False, max_connections=200, database="unused"
            )
            self._postgres.start()
            os.environ[ROOT_VARIABLE] = str(self.root)
            os.environ[SOCKET_VARIABLE] = str(self._postgres.socket_dir)
        self._socket_dir = Path(os.environ[SOCKET_VARIABLE])
        self.folder = self.root / self.worker
        self.redis = EmbeddedRedis(self.folder, durable=False)
        self.redis.start()
        os.environ.update(self._environment())

    def _environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": address(self._socket_dir, self.database),
            "REDIS_URL": self.redis.url,
            "LAKE_URL": str(self.folder / "lake"),
            "ARTIFACTS_URL": str(self.folder / "artifacts"),
            "SHIPWORTHY_ENVIRONMENT": "test",
            "SHIPWORTHY_DATA_DIR": str(self.folder),
            "SHIPWORTHY_SECRET_KEY": "a-secret-key-for-tests-that-is-long-enough",
            "SHIPWORTHY_UNIT_KEY": "a-unit-key-for-tests-that-is-long-enough",
        }

    @contextmanager
    def data_dir(self) -> Iterator[Path]:
        """A folder for an installation, within reach of PostgreSQL's user."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> None:
        """Stop what this process started; the first process removes the folders."""
        self.redis.stop()
        if self._postgres:
            self._postgres.stop()
            shutil.rmtree(self.root, ignore_errors=True)

    @contextmanager
    def template_turn(self) -> Iterator[bool]:
        """Whether the template must be made; others wait at the door meanwhile."""
        with self._administer() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (TEMPLATE_LOCK,))
            missing = not self._exists(connection, TEMPLATE)
            partial = sql.Identifier(f"{TEMPLATE}_partial")
            if missing:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(partial))
            yield missing
            if missing:
                connection.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        partial, sql.Identifier(TEMPLATE)
                    )
                )

    def copy_template(self) -> None:
        """Make this worker's database from the template."""
        with self._administer() as connection:
            mine = sql.Identifier(self.database)
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(mine)
            )
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    mine, sql.Identifier(TEMPLATE)
                )
            )

    @staticmethod
    def _exists(connection: psycopg.Connection, database: str) -> bool:
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (database,)
        )
        return found.fetchone() is not None

    def _administer(self) -> psycopg.Connection:
        url = address(self._socket_dir, "postgres")
        return psycopg.connect(url, autocommit=True)


def _new_root() -> Path:
    """A folder for this run; those of runs that were killed are removed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(ValueError, PermissionError):
            pid = int(folder.name.removeprefix(PREFIX).split("-")[0])
            if not _runs(pid):
                for place in (folder, *folder.iterdir()):
                    shutil.rmtree(runtime_path(place), ignore_errors=True)
                shutil.rmtree(folder, ignore_errors=True)
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    # PostgreSQL may run as another user, who must be able to pass through.
    root.chmod(0o711)
    return root


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
