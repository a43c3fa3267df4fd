"""The supervisor against kill -9, its own and its children's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from config.installation import Installation
from config.supervisor import Supervisor
from tests import toy
from tests.waiting import processes_of, wait_for

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import sys, time
from pathlib import Path
from config.installation import Installation
from config.supervisor import Supervisor, interruptible
from tests import toy

installation = Installation(Path(sys.argv[1]), {})
with interruptible():
    with Supervisor(installation, programs=toy.programs) as product:
        product.start_servers()
        product.start_programs()
        product.wait_ready()
        print("ready", flush=True)
        time.sleep(600)
"""


def owner(data_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)],
        cwd=ROOT,
        env=os.environ | {"MARK": str(data_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def servers_of(data_dir: Path) -> list[psutil.Process]:
    """Servers that hold data in ``data_dir``: their environment cannot be read."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and str(data_dir) in " ".join([process.info["cwd"] or ""])
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_supervisor_however_it_ends(
    data_dir: Path, number: signal.Signals
) -> None:
    with owner(data_dir) as running:
        assert servers_of(data_dir)
        running.send_signal(number)
    wait_for(lambda: not processes_of(str(data_dir)) and not servers_of(data_dir))


def test_what_outlived_a_killed_supervisor_ends_with_the_next_run(
    data_dir: Path,
) -> None:
    with owner(data_dir) as running:
        worker = next(
            p for p in processes_of(str(data_dir)) if "worker" in p.cmdline()[-1:]
        )
        # A stopped process cannot act on the signal that follows its parent's death.
        worker.suspend()
        running.kill()
    assert worker.is_running()
    installation = Installation(data_dir, {})
    with Supervisor(installation, programs=toy.programs) as product:
        product.start_servers()
        wait_for(lambda: not worker.is_running() or worker.status() == "zombie")


def test_killed_servers_come_back_by_themselves(data_dir: Path) -> None:
    with Supervisor(Installation(data_dir, {}), programs=toy.programs) as product:
        product.start_servers()
        before = product.pids
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda: (
                set(product.pids) == set(before)
                and all(product.pids[name] != pid for name, pid in before.items())
            )
        )
        psycopg.connect(product.env["DATABASE_URL"]).close()
        with redis.Redis.from_url(product.env["REDIS_URL"]) as client:
            assert client.ping()
