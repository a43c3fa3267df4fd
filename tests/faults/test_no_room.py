"""The demo with no memory or disk left: it says so, and the next run starts clean."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.journeys.test_demo import started
from tests.waiting import processes_of, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("installation")]

MB = 1024 * 1024
CGROUPS = Path("/sys/fs/cgroup")


class MemoryGroup:
    """A control group of the kernel (version 1 or 2) whose memory can be limited."""

    def __init__(self) -> None:
        old = (CGROUPS / "memory").is_dir()
        self.folder = (CGROUPS / "memory" if old else CGROUPS) / f"room-{os.getpid()}"
        self._limit = "memory.limit_in_bytes" if old else "memory.max"
        self._usage = "memory.usage_in_bytes" if old else "memory.current"
        self.folder.mkdir()
        if not (self.folder / self._limit).exists():
            self.folder.rmdir()
            raise OSError(f"{CGROUPS} hands out no memory controller")

    def take(self, process: int) -> None:
        """Count a process and what it starts from now on."""
        (self.folder / "cgroup.procs").write_text(str(process))

    def allow_more(self, megabytes: int) -> None:
        """Let it have this much more than it uses now."""
        used = int((self.folder / self._usage).read_text())
        (self.folder / self._limit).write_text(str(used + megabytes * MB))


@pytest.fixture
def memory_group() -> Iterator[MemoryGroup]:
    try:
        group = MemoryGroup()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield group
    with suppress(OSError):
        group.folder.rmdir()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 900 MB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=900m", "tmpfs", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield tmp_path
    wait_for(lambda: processes_of(str(tmp_path)) == [], timeout_s=10)
    subprocess.run(["umount", tmp_path], check=True)


def read_until(job: "subprocess.Popen[str]", mark: str) -> None:
    assert job.stdout
    for line in job.stdout:
        if mark in line:
            return
    pytest.fail(f"the demo ended before it said {mark!r}")


def assert_the_next_run_starts_clean(folder: Path) -> None:
    with started(folder, "--exit", "--port", "18600") as job:
        read_until(job, "Train")
        job.send_signal(signal.SIGINT)
        job.communicate(timeout=60)
    assert job.returncode == 130
    wait_for(lambda: processes_of(str(folder)) == [], timeout_s=10)


def test_a_demo_that_runs_out_of_memory_says_so_and_leaves_nothing_running(
    data_dir: Path, memory_group: MemoryGroup
) -> None:
    with started(data_dir, "--exit", "--port", "18600") as job:
        memory_group.take(job.pid)
        read_until(job, "Train")
        memory_group.allow_more(20)
        said, _ = job.communicate(timeout=280)
    assert job.returncode == 1, said[-2000:]
    assert "memory" in said
    assert "Traceback" not in said
    wait_for(lambda: processes_of(str(data_dir)) == [], timeout_s=10)
    assert_the_next_run_starts_clean(data_dir)


def test_a_demo_in_a_container_that_is_too_small_is_refused_before_it_starts(
    data_dir: Path, memory_group: MemoryGroup
) -> None:
    memory_group.allow_more(1_000)
    program = f'echo $$ > {memory_group.folder}/cgroup.procs; exec "$@"'
    with started(data_dir, "--exit", before=("sh", "-c", program, "sh")) as job:
        said, _ = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "MB of memory are free, the demo needs 2,400" in said
    assert not list(data_dir.iterdir())


def test_a_main_job_that_the_system_kills_is_named_as_short_of_memory(
    data_dir: Path,
) -> None:
    with started(data_dir, "--exit", "--port", "18600") as job:
        read_until(job, "Import")
        (main,) = (
            process
            for process in psutil.Process(job.pid).children(recursive=True)
            if "config.demo.main" in process.cmdline()[-10:]
            and process.cmdline()[0].endswith("python")
            and "tether" not in " ".join(process.cmdline()[:3])
        )
        main.kill()
        said, _ = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "ended by SIGKILL, most often because no memory was left" in said
    wait_for(lambda: processes_of(str(data_dir)) == [], timeout_s=10)


def test_a_demo_whose_disk_fills_up_says_so_and_the_next_run_starts_clean(
    small_disk: Path,
) -> None:
    folder = small_disk / "shop"
    with started(folder, "--exit", "--port", "18600") as job:
        read_until(job, "Train")
        filler = small_disk / "filler"
        with filler.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(MB))
        said, _ = job.communicate(timeout=280)
    assert job.returncode == 1, said[-2000:]
    assert "space" in said.lower() or "disk" in said.lower(), said[-2000:]
    wait_for(lambda: processes_of(str(folder)) == [], timeout_s=10)
    filler.unlink()
    assert_the_next_run_starts_clean(folder)
