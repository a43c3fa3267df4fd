"""`make demo` as a newcomer runs it, on a small shop."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import processes_of, wait_for

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = {
    *("experiment", "decision", "winner", "primary_metric", "lift", "ci_low"),
    *("ci_high", "p_value", "true_best", "users", "events", "seconds", "report_url"),
}
DECISIONS = {
    *("ship", "not_distinguishable", "keep_running", "keep_control", "no_verdict"),
}

# One product at a time: they share two cores with the other tests.
pytestmark = pytest.mark.xdist_group("installation")


@contextmanager
def started(
    folder: Path, *arguments: str, before: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """The demo on a shop of 1,200, its output piped; ``before`` runs it."""
    job = subprocess.Popen(
        [
            *before,
            *(sys.executable, "manage.py", "demo", "--shoppers", "1200"),
            *("--data-dir", str(folder), *arguments),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("SHIPWORTHY_")},
    )
    try:
        yield job
    finally:
        job.kill()
        job.wait()


def test_the_demo_goes_from_a_log_to_a_decision_and_leaves_nothing_running(
    data_dir: Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started(data_dir, "--exit", "--port", str(port)) as job:
            said, _ = job.communicate(timeout=280)
    assert job.returncode == 0, said[-4000:]
    assert f"Port {port} is in use" in said

    summary = json.loads(said.strip().splitlines()[-1])
    assert set(summary) == SUMMARY
    assert summary["decision"] in DECISIONS
    assert (summary["winner"] is None) == (summary["decision"] != "ship")
    assert summary["true_best"] in {"popularity", "item-knn", "transformer"}
    assert summary["users"] == 1200
    assert summary["events"] > 12_000

    credentials = data_dir / "credentials.json"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    known = json.loads(credentials.read_text())
    assert set(known) == {"url", "users", "keys"}
    for secret in (*known["users"].values(), *known["keys"].values()):
        assert secret not in said
    assert processes_of(str(data_dir)) == []


@pytest.mark.faults
def test_ctrl_c_at_any_moment_leaves_no_process_and_the_next_run_starts_clean(
    data_dir: Path,
) -> None:
    for mark in ("Import the shop's log", "Train", "Storefront"):
        with started(data_dir, "--exit", "--port", "18600") as job:
            assert job.stdout
            for line in job.stdout:
                if mark in line:
                    break
            job.send_signal(signal.SIGINT)
            job.communicate(timeout=60)
        assert job.returncode == 130
        wait_for(lambda: processes_of(str(data_dir)) == [], timeout_s=10)


def test_a_log_that_is_no_file_is_refused_before_anything_starts(
    data_dir: Path,
) -> None:
    with started(data_dir, "--data", "nowhere.csv") as job:
        said, _ = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "nowhere.csv is no file" in said


@pytest.mark.faults
def test_the_site_stays_until_it_is_interrupted(data_dir: Path) -> None:
    with started(data_dir, "--port", "18700") as job:
        assert job.stdout
        for line in job.stdout:
            if line.startswith("Shipworthy is at "):
                address = line.split()[3].rstrip(",")
                break
        else:
            pytest.fail("the demo ended before it served")
        with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:
            assert answer.status == 200
        job.send_signal(signal.SIGINT)
        job.communicate(timeout=60)
    wait_for(lambda: processes_of(str(data_dir)) == [], timeout_s=10)
