"""Embedded servers against kill -9: nothing lost, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from config.embedded import EmbeddedPostgres, EmbeddedRedis
from config.embedded.place import runtime_path

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import sys, time
from pathlib import Path
from config.embedded import EmbeddedPostgres, EmbeddedRedis

with EmbeddedPostgres(Path(sys.argv[1])) as postgres:
    with EmbeddedRedis(Path(sys.argv[1])) as server:
        print(postgres.pid, server.pid, flush=True)
        time.sleep(600)
"""


def wait_for(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that PostgreSQL's user can reach, which pytest's own is not."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.name.startswith("pytest-of-"):
            parent.chmod(0o711)
            break
        parent.chmod(0o711)
    return tmp_path


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder) as server:
        yield server


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(folder) as running:
        yield running


def test_postgres_keeps_every_commit_over_kill_9(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    for n in range(3):
        open_session = psycopg.connect(postgres.url, autocommit=True)
        open_session.execute("INSERT INTO kept VALUES (%s)", (n,))
        os.kill(postgres.pid, signal.SIGKILL)
        wait_for(lambda: not postgres.alive)
        open_session.close()
        postgres.start()
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute("SELECT n FROM kept ORDER BY n").fetchall()
    assert rows == [(0,), (1,), (2,)]


def test_redis_keeps_every_acknowledged_write_over_kill_9(
    server: EmbeddedRedis,
) -> None:
    for n in range(3):
        with redis.Redis.from_url(server.url) as client:
            client.rpush("kept", n)
        os.kill(server.pid, signal.SIGKILL)
        wait_for(lambda: not server.alive)
        server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.lrange("kept", 0, -1) == [b"0", b"1", b"2"]


def test_servers_end_with_the_process_that_started_them(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        owner.kill()
    wait_for(lambda: all(gone(pid) for pid in pids))
    with EmbeddedPostgres(folder) as postgres, EmbeddedRedis(folder):
        psycopg.connect(postgres.url).close()
    assert not runtime_path(folder).exists()


def test_a_forgotten_server_is_ended_before_its_cluster_is_used(folder: Path) -> None:
    with EmbeddedPostgres(folder) as forgotten:
        with EmbeddedPostgres(folder) as postgres:
            assert not forgotten.alive
            psycopg.connect(postgres.url).close()


def test_a_killed_initdb_is_not_taken_for_a_cluster(folder: Path) -> None:
    unborn = EmbeddedPostgres(folder)
    partial = unborn.cluster.with_name("cluster.partial")
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18")
    with unborn:
        psycopg.connect(unborn.url).close()
