"""One child process in a group of its own, tied to the life of its starter."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

TETHER = Path(__file__).with_name("tether.py")
POLL_S = 0.02


class ProcessError(RuntimeError):
    """A child process did not start; the message ends with its last log lines."""


@dataclass(frozen=True)
class User:
    """Numeric ids that a child takes instead of ours."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """What to run and how to end it.

    Attributes:
        name: Short name; also the name of the log file.
        argv: Program and arguments.
        env: Whole environment of the child.
        cwd: Working directory.
        stop_signal: Asks the child to end.
        grace_s: Seconds between ``stop_signal`` and SIGKILL.
        user: Ids to take before the command is run; ours when None.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 5.0
    user: User | None = None


class Process:
    """A running ``Command``: its whole group is ended, never only the leader.

    Args:
        command: What to run.
        log: Where its output is appended; None: to our own output.
    """

    def __init__(self, command: Command, log: Path | None) -> None:
        self.command = command
        self.log = log
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The command's name."""
        return self.command.name

    @property
    def pid(self) -> int:
        """The pid, also the id of the process group; 0 before the first start."""
        return self._popen.pid if self._popen else 0

    @property
    def alive(self) -> bool:
        """Whether the leader of the group runs."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_status(self) -> int | None:
        """The leader's exit status, negative for a signal; None while it runs."""
        return self._popen.poll() if self._popen else None

    def start(self) -> None:
        """Run the command; what a crashed leader left in its group ends first."""
        self.kill()
        user = self.command.user
        argv = [
            *(sys.executable, "-I", "-S", str(TETHER), str(os.getpid())),
            str(int(self.command.stop_signal)),
            *((str(user.uid), str(user.gid)) if user else ("-", "-")),
            *self.command.argv,
        ]
        with ExitStack() as opened:
            output = None
            if self.log:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                output = opened.enter_context(self.log.open("ab"))
            self._popen = subprocess.Popen(
                argv,
                env=dict(self.command.env),
                cwd=self.command.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )

    def wait(self) -> int:
        """Wait for the leader's end and return its exit status."""
        return self._popen.wait() if self._popen else 0

    def ask_to_stop(self) -> None:
        """Send the stop signal to the leader, without waiting."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, self.command.stop_signal)

    def stop(self) -> None:
        """End the group: the stop signal, the grace, then SIGKILL."""
        self.ask_to_stop()
        if self._popen:
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(self.command.grace_s)
        self.kill()

    def kill(self) -> None:
        """End the group at once and wait until it is gone."""
        if self._popen is None:
            return
        end_group(self.pid)
        self._popen.wait()
        self._popen = None

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, for error messages."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 8192))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def end_group(group: int) -> None:
    """SIGKILL a process group; no error when it is gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def wait_until_gone(pid: int, timeout_s: float) -> bool:
    """Whether a process ended within ``timeout_s`` seconds; zombies have."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(POLL_S)
    return False
