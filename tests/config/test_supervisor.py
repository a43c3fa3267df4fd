import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config.installation import Installation, InstallationBusyError
from config.probe import answers
from config.process import ProcessError
from config.supervisor import Supervisor
from tests import toy
from tests.waiting import gone, wait_for

GIVEN = {"DATABASE_URL": "postgresql://given/", "REDIS_URL": "redis://given"}


def supervisor(folder: Path, port: int = 18_000) -> Supervisor:
    return Supervisor(Installation(folder, GIVEN), port=port, programs=toy.programs)


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Supervisor]:
    with supervisor(tmp_path) as running:
        running.start_servers()
        running.start_programs()
        running.wait_ready()
        yield running


def test_given_servers_are_used_as_they_are(product: Supervisor) -> None:
    assert set(product.pids) == {"front", "site", "worker"}
    assert product.env["DATABASE_URL"] == GIVEN["DATABASE_URL"]
    assert product.env["REDIS_URL"] == GIVEN["REDIS_URL"]


def test_a_crashed_program_is_started_again(product: Supervisor) -> None:
    before = product.pids["front"]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: product.pids.get("front", before) != before)
    product.wait_ready()


def test_a_stopped_product_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    with supervisor(tmp_path) as product:
        product.start_servers()
        product.start_programs()
        product.wait_ready()
        family = list(product.pids.values())
        worker = psutil.Process(product.pids["worker"])
        wait_for(lambda: bool(worker.children()))
        family.append(worker.children()[0].pid)
    wait_for(lambda: all(gone(pid) for pid in family))
    assert not product.installation.site_socket.exists()


def test_a_used_port_gives_the_next_free_one_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]
        with supervisor(tmp_path, port=wanted) as product:
            product.start_servers()
            assert product.port > wanted
    said = f"Port {wanted} is in use: taking {product.port}."
    assert said in capsys.readouterr().err


def test_one_installation_has_one_supervisor(product: Supervisor) -> None:
    with (
        supervisor(product.installation.data_dir) as second,
        pytest.raises(InstallationBusyError, match=str(os.getpid())),
    ):
        second.start_servers()
    assert answers(product.url)


def test_a_program_that_keeps_ending_is_named_with_its_last_words(
    tmp_path: Path,
) -> None:
    installation = Installation(tmp_path, GIVEN)
    with Supervisor(installation, programs=toy.broken) as product:
        product.start_servers()
        product.start_programs()
        with pytest.raises(
            ProcessError, match=r"(?s)broken keeps ending.*no such ship"
        ):
            product.wait_ready()


def test_memory_of_all_processes_is_sampled(product: Supervisor) -> None:
    wait_for(lambda: product.peak_mb > 10)


def test_code_changes_start_every_program_again(product: Supervisor) -> None:
    before = product.pids
    product.restart_programs()
    product.wait_ready()
    assert all(product.pids[name] != pid for name, pid in before.items())


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    first = Installation(tmp_path, {}).secrets()
    assert Installation(tmp_path, {}).secrets() == first
    assert all(len(secret) >= 32 for secret in first.values())
    for path in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_given_secret_wins(tmp_path: Path) -> None:
    given = {"SHIPWORTHY_SECRET_KEY": "x" * 40, "SHIPWORTHY_UNIT_KEY": "y" * 40}
    assert Installation(tmp_path, given).secrets() == given
    assert not (tmp_path / "secrets").exists()


def test_clearing_removes_everything_but_the_lock(tmp_path: Path) -> None:
    installation = Installation(tmp_path, {})
    installation.secrets()
    with installation.exclusively():
        installation.clear()
        assert [p.name for p in tmp_path.iterdir()] == ["lock"]
