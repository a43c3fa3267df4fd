"""Runs an installation: servers, then programs; restarts what crashes, ends all."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol, Self

from config.embedded import EmbeddedPostgres, EmbeddedRedis
from config.embedded.place import leave_runtime_folder, runtime_folder
from config.installation import Installation
from config.memory import tree_mb
from config.probe import answers
from config.process import POLL_S, Command, Process, ProcessError
from config.programs import ROOT, product

TICK_S = 0.2
MEMORY_EVERY_S = 1.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_AFTER_S = 30.0
CRASHES_BEFORE_GIVING_UP = 3  # while waiting for readiness only
PORTS_TRIED = 100

Programs = Callable[[Mapping[str, str], str, int, Path], Sequence[Command]]


class Supervised(Protocol):
    """What the supervisor needs of a program or an embedded server."""

    @property
    def name(self) -> str:
        """Short name, for messages."""

    @property
    def pid(self) -> int:
        """Process id; 0 before the first start."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    def start(self) -> None:
        """Run it, also after a crash."""

    def ask_to_stop(self) -> None:
        """Ask it to end, without waiting."""

    def stop(self) -> None:
        """End it."""

    def kill(self) -> None:
        """End it at once."""


class _Record:
    """Start, crashes and the next try of one supervised process."""

    def __init__(self, process: Supervised) -> None:
        self.process = process
        self.started = 0.0
        self.crashes = 0
        self.retry_at = 0.0

    def start(self) -> None:
        self.started = time.monotonic()
        self.retry_at = 0.0
        self.process.start()

    def mend(self) -> bool:
        """Restart after a crash, with a growing pause; True if it was started."""
        now = time.monotonic()
        if self.process.alive:
            return False
        if self.retry_at == 0.0:
            steady = now - self.started > STEADY_AFTER_S
            self.crashes = 1 if steady else self.crashes + 1
            pause = min(FIRST_PAUSE_S * 2 ** (self.crashes - 1), LONGEST_PAUSE_S)
            self.retry_at = now + pause
        if now < self.retry_at:
            return False
        try:
            self.start()
        except ProcessError as error:
            print(error, file=sys.stderr)  # noqa: T201 - a person must see it
            return False
        return True


def _product(
    env: Mapping[str, str], host: str, port: int, site_socket: Path
) -> Sequence[Command]:
    return product(env, host=host, port=port, site_socket=site_socket)


class Supervisor:
    """An installation that runs between ``start_servers`` and ``stop``.

    Use as a context manager: whatever happens inside, everything is ended. A second
    supervisor of the same installation is refused; one killed by SIGKILL leaves no
    process, for children die with it, and the next run ends what could not.

    Args:
        installation: Where it lives.
        host: Address of the front.
        port: Wanted port of the front; the next free one is taken, and ``port`` says
            which, once the servers are started.
        programs: The processes to run; the product's by default.
        durable: Whether the embedded servers survive a power loss.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        programs: Programs = _product,
        durable: bool = True,
    ) -> None:
        self.installation = installation
        self.host = host
        self.port = port
        self.peak_mb = 0.0
        self.env: dict[str, str] = {}
        self._programs = programs
        self._durable = durable
        self._servers: list[_Record] = []
        self._children: list[_Record] = []
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._monitor: threading.Thread | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._held = ExitStack()

    @property
    def url(self) -> str:
        """Address of the product."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def pids(self) -> dict[str, int]:
        """Pid by name of everything that runs."""
        with self._lock:
            records = [*self._servers, *self._children]
        return {r.process.name: r.process.pid for r in records if r.process.alive}

    def start_servers(self) -> None:
        """Take the installation and start the servers that are not given.

        Raises:
            InstallationBusyError: Another supervisor runs it.
            ProcessError: A server did not start.
        """
        self._held.enter_context(self.installation.exclusively())
        self._reaper = self._start_reaper()
        data_dir = self.installation.data_dir
        database_url = self.installation.given("DATABASE_URL")
        redis_url = self.installation.given("REDIS_URL")
        if not database_url:
            postgres = EmbeddedPostgres(data_dir, durable=self._durable)
            database_url = postgres.url
            self._start(self._servers, postgres)
        if not redis_url:
            redis = EmbeddedRedis(data_dir, durable=self._durable)
            redis_url = redis.url
            self._start(self._servers, redis)
        self.env = self.installation.environment(database_url, redis_url)
        self._monitor = threading.Thread(target=self._watch, name="supervisor")
        self._monitor.start()
        wanted = self.port
        self.port = free_port(self.host, wanted)
        if self.port != wanted:
            message = f"Port {wanted} is in use: taking {self.port}."
            print(message, file=sys.stderr)  # noqa: T201 - a person must know it
        self.env |= {"SHIPWORTHY_HOST": self.host, "SHIPWORTHY_PORT": str(self.port)}

    def _start_reaper(self) -> subprocess.Popen[bytes]:
        data_dir = str(self.installation.data_dir)
        return subprocess.Popen(
            [sys.executable, "-m", "config.reaper", data_dir],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def launch(self) -> None:
        """Start everything, in order, and return when the product answers.

        Raises:
            InstallationBusyError: Another supervisor runs this installation.
            ProcessError: Something did not start; the message says what.
        """
        self.start_servers()
        credentials = str(self.installation.credentials)
        self.manage("prepare", "--credentials", credentials, "--url", self.url)
        self.start_programs()
        self.wait_ready()

    def manage(self, *arguments: str) -> None:
        """Run a ``manage.py`` command of this installation to its end.

        Raises:
            ProcessError: It failed; the message ends with the last lines it printed.
        """
        argv = [sys.executable, "manage.py", *arguments]
        command = Command(arguments[0], argv, self.env, cwd=ROOT)
        process = Process(command, self.installation.logs / f"{command.name}.log")
        try:
            process.start()
            status = process.wait()
        finally:
            process.kill()
        if status != 0:
            message = f"manage.py {arguments[0]} ended with status {status}"
            raise ProcessError(f"{message}:\n{process.tail()}")

    def run(self, *arguments: str) -> int:
        """Run Python with ``arguments`` on this terminal, in this installation.

        Returns:
            Its exit status; negative for a signal.
        """
        command = Command("run", [sys.executable, *arguments], self.env, cwd=ROOT)
        process = Process(command, log=None)
        try:
            process.start()
            return process.wait()
        finally:
            process.stop()

    def start_programs(self) -> None:
        """Start the product's processes."""
        socket_path = self.installation.site_socket
        runtime_folder(self.installation.data_dir)
        for command in self._programs(self.env, self.host, self.port, socket_path):
            log = self.installation.logs / f"{command.name}.log"
            self._start(self._children, Process(command, log))

    def _start(self, records: list[_Record], process: Supervised) -> None:
        record = _Record(process)
        with self._lock:
            records.append(record)
            record.start()
            self.installation.record(self.pids)

    def wait_ready(self, timeout_s: float = 60.0, path: str = "/healthz") -> None:
        """Wait until the front and, behind it, the site answer.

        Raises:
            ProcessError: A program keeps crashing, or the time is over; the message
                ends with the last lines of its log.
        """
        deadline = time.monotonic() + timeout_s
        while not (
            answers(self.url + path)
            and answers(self.url + path, socket_path=self.installation.site_socket)
        ):
            self._check_crashes(over=time.monotonic() > deadline, timeout_s=timeout_s)
            time.sleep(5 * POLL_S)

    def _check_crashes(self, *, over: bool, timeout_s: float) -> None:
        with self._lock:
            records = list(self._children)
        for record in records:
            process = record.process
            crashed = record.crashes >= CRASHES_BEFORE_GIVING_UP
            if crashed and isinstance(process, Process):
                message = f"{process.name} keeps ending, see {process.log}"
                raise ProcessError(f"{message}:\n{process.tail()}")
        if over:
            message = f"The product is not ready after {timeout_s:.0f} s"
            raise ProcessError(f"{message}: see {self.installation.logs}")

    def restart_programs(self) -> None:
        """End and start every program again, for changed code."""
        with self._lock:
            for record in self._children:
                record.process.ask_to_stop()
            for record in self._children:
                record.process.stop()
                record.start()
            self.installation.record(self.pids)

    def stop(self) -> None:
        """End programs, then servers; nothing is left, however often it is called."""
        with self._lock:
            for records in (self._children, self._servers):
                for record in records:
                    record.process.ask_to_stop()
                for record in reversed(records):
                    record.process.stop()
                records.clear()
        # Not before: what the monitor restarted would end with its thread.
        self._ending.set()
        if self._monitor:
            self._monitor.join()
            self._monitor = None
            self.installation.end_leftovers()
            self.installation.site_socket.unlink(missing_ok=True)
            leave_runtime_folder(self.installation.data_dir)
        if self._reaper:
            self._reaper.kill()
            self._reaper.communicate()
            self._reaper = None
        self._held.close()

    def kill(self) -> None:
        """End everything at once."""
        for record in [*self._children, *self._servers]:
            record.process.kill()

    def _note_pids(self) -> None:
        """Keep the pids for the next run; on a full disk, mending goes on without."""
        try:
            self.installation.record(self.pids)
        except OSError as error:
            print(error, file=sys.stderr)  # noqa: T201 - a person must see it

    def _watch(self) -> None:
        memory_at = 0.0
        while not self._ending.wait(TICK_S):
            with self._lock:
                if self._ending.is_set():
                    return
                records = [*self._servers, *self._children]
                # Not any(): every crashed process is mended in the same turn.
                if sum(record.mend() for record in records):
                    self._note_pids()
            if time.monotonic() >= memory_at:
                self.peak_mb = max(self.peak_mb, tree_mb())
                memory_at = time.monotonic() + MEMORY_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except KeyboardInterrupt:  # asked a second time: no more patience
            self.kill()
            self.stop()
            raise


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does: raise KeyboardInterrupt."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port(host: str, wanted: int) -> int:
    """The first port from ``wanted`` on that nobody listens on.

    Raises:
        OSError: None of the next hundred is free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(wanted, wanted + PORTS_TRIED):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    message = f"no port from {wanted} to {wanted + PORTS_TRIED - 1} is free on {host}"
    raise OSError(message)
