"""One installation of the product: its folder, its secrets, its environment."""

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import psutil

from config.embedded.place import outside_path, runtime_path
from config.env import SETTINGS
from config.process import POLL_S, end_group

SECRETS = ("SHIPWORTHY_SECRET_KEY", "SHIPWORTHY_UNIT_KEY")
LOCK = "lock"
DYING_S = 0.5
REAPER_S = 5.0


class InstallationBusyError(RuntimeError):
    """Another supervisor runs this installation; the message names its pid."""


class Installation:
    """What lies in a data folder such as ``var/demo`` or ``var/shop``.

    Args:
        data_dir: Made when missing. Everything the product writes lies in it, but
            sockets, and for root in a private folder also PostgreSQL's cluster.
        given: Settings that stand as they are, such as ``DATABASE_URL``; by default
            those in this process's environment. With ``{}`` nothing is taken over.
    """

    def __init__(self, data_dir: Path, given: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.logs = self.data_dir / "logs"
        self.credentials = self.data_dir / "credentials.json"
        self.site_socket = runtime_path(self.data_dir) / "site.sock"
        settings = {setting.name for setting in SETTINGS}
        outside = dict(os.environ)
        found = {name: outside.pop(name) for name in settings & outside.keys()}
        self._outside = outside
        self._given = found if given is None else dict(given)
        self._groups = self.data_dir / "processes.json"

    def given(self, name: str) -> str:
        """A setting from outside; empty when it is not set."""
        return self._given.get(name, "")

    def environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        """The whole environment of the product's processes."""
        own = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONUNBUFFERED": "1",
            "SHIPWORTHY_DATA_DIR": str(self.data_dir),
            "SHIPWORTHY_SITE_SOCKET": str(self.site_socket),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
        }
        for name in ("LAKE_URL", "ARTIFACTS_URL"):
            folder = name.removesuffix("_URL").lower()
            own[name] = self.given(name) or str(self.data_dir / folder)
        return self._outside | self._given | own | self.secrets()

    def secrets(self) -> dict[str, str]:
        """The given secrets, else those made on the first run and kept (mode 600)."""
        return {name: self.given(name) or self._kept(name) for name in SECRETS}

    def _kept(self, name: str) -> str:
        # The same files that settings read when a command runs on its own.
        path = self.data_dir / "secrets" / name.lower()
        with suppress(FileNotFoundError):
            return path.read_text().strip()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = secrets.token_urlsafe(48)
        exclusive = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, exclusive, 0o600), "w") as file:
            file.write(made)
        return made

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the installation; what a killed supervisor left is ended first.

        Raises:
            InstallationBusyError: Another supervisor holds it.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / LOCK).open("a+") as lock:
            self._take(lock)
            lock.seek(0)
            lock.truncate()
            lock.write(str(os.getpid()))
            lock.flush()
            self.end_leftovers()
            yield

    def _take(self, lock: TextIO) -> None:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip()
            else:
                return
            # A dying supervisor, then its reaper, hold the lock for a moment.
            alive = holder.isdigit() and psutil.pid_exists(int(holder))
            if time.monotonic() - began > (DYING_S if alive else REAPER_S):
                message = f"{self.data_dir} is in use by process {holder}"
                raise InstallationBusyError(f"{message}: stop that one first")
            time.sleep(POLL_S)

    def record(self, pids: Mapping[str, int]) -> None:
        """Note the process groups that must not outlive the supervisor."""
        noted = {}
        for name, pid in pids.items():
            with suppress(psutil.NoSuchProcess):
                noted[name] = [pid, psutil.Process(pid).create_time()]
        partial = self._groups.with_suffix(".partial")
        partial.write_text(json.dumps(noted))
        partial.replace(self._groups)

    def end_leftovers(self) -> None:
        """End the noted groups of a supervisor that could not do it itself."""
        try:
            noted = json.loads(self._groups.read_text())
        except (FileNotFoundError, ValueError):
            return
        for group, started in noted.values():
            for member in psutil.process_iter():
                if _belongs(member, group, started):
                    end_group(group)
                    break
        self._groups.unlink()

    def clear(self) -> None:
        """Remove everything the installation holds, but the lock of who holds it."""
        for place in (outside_path(self.data_dir), runtime_path(self.data_dir)):
            shutil.rmtree(place, ignore_errors=True)
        if not self.data_dir.exists():
            return
        for entry in self.data_dir.iterdir():
            if entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _belongs(process: psutil.Process, group: int, started: float) -> bool:
    """Whether a process is in our old group and not in a later one of that number."""
    try:
        if os.getpgid(process.pid) != group:
            return False
        leader_is_ours = process.pid != group or process.create_time() == started
        return leader_is_ours and process.create_time() >= started
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False
