"""The commands of docs/operations.md, run as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import redis

from config.embedded import EmbeddedPostgres, EmbeddedRedis

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()


def run(block: str, **variables: str) -> None:
    """Run the page's code block of that name."""
    found = re.search(rf"```sh {block}\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"the page has no block {block!r}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | variables | {"PATH": path}
    script = ["sh", "-eu", "-c", found[1]]
    done = subprocess.run(
        script, cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def fill(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")


def kept(postgres: EmbeddedPostgres) -> list[tuple[int, ...]]:
    with psycopg.connect(postgres.url) as connection:
        return connection.execute("SELECT n FROM kept").fetchall()


def test_an_embedded_shop_comes_back_from_its_archive(
    data_dir: Path, tmp_path: Path
) -> None:
    shop, archive = data_dir / "shop", str(tmp_path / "shop.tar.gz")
    with EmbeddedPostgres(shop) as postgres, EmbeddedRedis(shop) as server:
        fill(postgres)
        with redis.Redis.from_url(server.url) as client:
            client.xadd("stream", {"event": "accepted"})
    run("backup", SHOP=str(shop), BACKUP=archive)
    shutil.rmtree(shop)
    run("restore", SHOP=str(shop), BACKUP=archive)
    with EmbeddedPostgres(shop) as postgres, EmbeddedRedis(shop) as server:
        assert kept(postgres) == [(7,)]
        with redis.Redis.from_url(server.url) as client:
            assert client.xlen("stream") == 1


def test_a_control_plane_comes_back_from_its_dump(
    data_dir: Path, tmp_path: Path
) -> None:
    dump = str(tmp_path / "control.dump")
    with EmbeddedPostgres(data_dir / "one", durable=False) as postgres:
        fill(postgres)
        run("dump", DUMP=dump, DATABASE_URL=postgres.url)
    with EmbeddedPostgres(data_dir / "two", durable=False) as postgres:
        run("load", DUMP=dump, DATABASE_URL=postgres.url)
        assert kept(postgres) == [(7,)]
