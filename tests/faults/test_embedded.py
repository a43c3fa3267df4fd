"""Embedded servers against kill -9: nothing lost, nothing left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config.embedded import EmbeddedPostgres, EmbeddedRedis
from config.embedded.place import runtime_path
from tests.waiting import gone, wait_for

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


@pytest.fixture
def postgres(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(data_dir) as server:
        yield server


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(data_dir) as running:
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


def test_servers_end_with_the_process_that_started_them(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        owner.kill()
    wait_for(lambda: all(gone(pid) for pid in pids))
    with EmbeddedPostgres(data_dir) as postgres, EmbeddedRedis(data_dir):
        psycopg.connect(postgres.url).close()
    assert not runtime_path(data_dir).exists()


def test_a_forgotten_server_is_ended_before_its_cluster_is_used(data_dir: Path) -> None:
    with (
        EmbeddedPostgres(data_dir) as forgotten,
        EmbeddedPostgres(data_dir) as postgres,
    ):
        assert not forgotten.alive
        psycopg.connect(postgres.url).close()


def test_a_killed_initdb_is_not_taken_for_a_cluster(data_dir: Path) -> None:
    unborn = EmbeddedPostgres(data_dir)
    partial = unborn.cluster.with_name("cluster.partial")
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18")
    with unborn:
        psycopg.connect(unborn.url).close()
