"""What was acknowledged is in the log, once each, whoever is killed and when."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis as redis_module

from config.embedded import EmbeddedRedis
from experiments.events.collector import Collector
from experiments.events.lake import Lake
from experiments.events.stream import shard_name, stream_key
from tests.experiments.events.shop import logged
from tests.faults.event_processes import ROWS, bury

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
SHARD = shard_name(0)
WRITERS, BATCHES = 4, 60


class EventPath:
    """Writers, Redis and a collector, each a process that can be killed."""

    def __init__(self, folder: Path, server: EmbeddedRedis) -> None:
        self.folder, self.server = folder, server
        self.lake = str(folder / "lake")
        self.writers = [
            self._run("writer", str(folder / f"promised-{n}"), str(BATCHES))
            for n in range(WRITERS)
        ]
        self.collector = self._collect()

    def _run(self, role: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{role}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.event_processes", role,
                 self.server.url, *arguments],
                cwd=ROOT,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stderr=log,
            )  # fmt: skip

    def _collect(self) -> subprocess.Popen[bytes]:
        return self._run("collector", self.lake, SHARD)

    def kill_collector(self) -> None:
        self.collector.kill()
        self.collector.wait()
        self.collector = self._collect()

    def kill_redis(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.start()

    def race(self) -> None:
        """A second collector, while the first is stopped and woken."""
        sleeper = psutil.Process(self.collector.pid)
        sleeper.suspend()
        with redis_module.Redis.from_url(self.server.url) as client:
            client.delete(f"shipworthy:lease:drain:{SHARD}")
        rival = self._collect()
        time.sleep(random.uniform(0.3, 1.5))  # the moment is what is tried
        sleeper.resume()
        time.sleep(random.uniform(0.0, 0.5))
        rival.kill()
        rival.wait()

    def finish(self) -> Counter[str]:
        """Wait for the writers, drain the rest; what was promised."""
        for writer in self.writers:
            assert writer.wait(60) == 0
        self.collector.kill()
        self.collector.wait()
        with redis_module.Redis.from_url(self.server.url) as client:
            client.delete(f"shipworthy:lease:drain:{SHARD}")
            Collector(client, Lake(self.lake), bury).drain(SHARD)
            assert client.xlen(stream_key(SHARD)) == 0
        return Counter(
            line
            for n in range(WRITERS)
            for line in (self.folder / f"promised-{n}").read_text().split()
        )

    def stop(self) -> None:
        for process in (*self.writers, self.collector):
            process.kill()
            process.wait()


@pytest.mark.parametrize("seed", range(10))
def test_what_was_acknowledged_is_in_the_log_once_each(
    data_dir: Path, seed: int
) -> None:
    chance = random.Random(seed)
    with EmbeddedRedis(data_dir) as server:
        path = EventPath(data_dir, server)
        faults: list[Callable[[], None]] = [
            path.kill_collector,
            path.kill_redis,
            path.race,
        ]
        try:
            while any(writer.poll() is None for writer in path.writers):
                time.sleep(chance.uniform(0.0, 1.0))  # the moment is what is tried
                chance.choice(faults)()
            promised = path.finish()
        finally:
            path.stop()
    found = Counter(str(event_id) for (event_id,) in logged(path.lake))
    lost, doubled = promised - found, found - promised
    assert (promised.total(), lost.total(), doubled.total()) == (
        WRITERS * BATCHES * ROWS,
        0,
        0,
    )
