"""Load on an HTTP server of this machine: closed loops by wrk, open ones by asyncio."""

import asyncio
import re
import shutil
import socket
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

CONNECTIONS = 32
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_SCRIPT = """
local path, key, etag, shoppers = "%s", "%s", '%s', %d
local headers = {["content-type"] = "application/json", ["x-api-key"] = key}
if etag ~= "" then headers["if-none-match"] = etag end
function init(args) math.randomseed(os.time() + tonumber(tostring({}):sub(8), 16)) end
function request()
  local unit = shoppers > 0 and math.random(0, shoppers - 1) or 0
  local body = '{"context":{"targetingKey":"shopper-' .. unit .. '","country":"nl"}}'
  return wrk.format("POST", path, headers, body)
end
"""


class LoadError(RuntimeError):
    """The server did not answer as it should; the message says what it did."""


@dataclass(frozen=True)
class Call:
    """What to ask.

    Attributes:
        shoppers: Of how many each request names one; 0: always the same; None: a GET.
    """

    path: str
    key: str = ""
    etag: str = ""
    shoppers: int | None = None

    def body(self, unit: int) -> bytes:
        """The body about one shopper."""
        return (
            b'{"context":{"targetingKey":"shopper-%d","country":"nl"}}' % unit
            if self.shoppers is not None
            else b""
        )

    def request(self, unit: int) -> bytes:
        """The whole request about one shopper."""
        body = self.body(unit)
        head = f"{'GET' if self.shoppers is None else 'POST'} {self.path} HTTP/1.1\r\n"
        head += f"host: x\r\ncontent-length: {len(body)}\r\nx-api-key: {self.key}\r\n"
        if self.etag:
            head += f"if-none-match: {self.etag}\r\n"
        return f"{head}content-type: application/json\r\n\r\n".encode() + body


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_wrk() -> bool:
    """Whether wrk is installed; else closed loops run in Python, which costs more."""
    return shutil.which("wrk") is not None


def closed_loop(port: int, call: Call, seconds: float, folder: Path) -> float:
    """Requests a second over 32 connections, each asking again once answered.

    Raises:
        LoadError: An answer was no 2xx or 3xx.
    """
    if not has_wrk():
        return asyncio.run(_closed_in_python(port, call, seconds))
    argv = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s"]
    address = f"http://127.0.0.1:{port}{call.path}"
    if call.shoppers is not None:
        script = folder / "load.lua"
        values = (call.path, call.key, call.etag, call.shoppers)
        script.write_text(_SCRIPT % values)
        argv += ["-s", str(script)]
    done = subprocess.run([*argv, address], capture_output=True, text=True, check=True)
    found = _RATE.search(done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise LoadError(f"{call.path}: {done.stdout}{done.stderr}")
    return float(found[1])


@dataclass
class Latencies:
    """How long answers took, in seconds, from when each was due."""

    taken: list[float] = field(default_factory=list)

    def p99_ms(self) -> float:
        """The 99th percentile."""
        return quantile(self.taken, 0.99) * 1000


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection(asyncio.Protocol):
    """A connection with one request at a time under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.due = 0.0
        self.want = 0
        self.got = bytearray()
        self.done: asyncio.Future[None] | None = None
        self.owner: _OpenLoop | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.got[:end]).lower()
        at = head.find(b"content-length:")
        size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.got) >= end + 4 + size:
            status = int(self.got[9:12])
            self.got.clear()
            assert self.owner is not None
            self.owner.answered(self, status)


class _OpenLoop:
    """Sends requests when they are due, whether or not earlier ones are answered."""

    def __init__(self, call: Call, rate: float, seconds: float) -> None:
        self.call, self.rate, self.seconds = call, rate, seconds
        self.latencies = Latencies()
        self.waiting: deque[float] = deque()
        self.idle: list[_Connection] = []
        self.sent = 0
        self.bad = 0

    def answered(self, connection: _Connection, status: int) -> None:
        self.latencies.taken.append(time.perf_counter() - connection.due)
        self.bad += status >= 400  # HTTP's errors
        if self.waiting:
            self.send(connection, self.waiting.popleft())
        else:
            self.idle.append(connection)

    def send(self, connection: _Connection, due: float) -> None:
        connection.due = due
        self.sent += 1
        unit = self.sent * 7919 % (self.call.shoppers or 1)
        assert connection.transport is not None
        connection.transport.write(self.call.request(unit))

    async def run(self, port: int) -> Latencies:
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
            connection.owner = self
            self.idle.append(connection)
        began, due_count = time.perf_counter(), 0
        while (now := time.perf_counter()) < began + self.seconds:
            while began + due_count / self.rate <= now:
                due = began + due_count / self.rate
                due_count += 1
                if self.idle:
                    self.send(self.idle.pop(), due)
                else:
                    self.waiting.append(due)
            await asyncio.sleep(0.0005)
        deadline = time.perf_counter() + 10
        while len(self.idle) < CONNECTIONS and time.perf_counter() < deadline:  # noqa: ASYNC110 # counts, sets no event
            await asyncio.sleep(0.01)
        for connection in self.idle:
            assert connection.transport is not None
            connection.transport.close()
        if self.bad or len(self.latencies.taken) < due_count:
            raise LoadError(
                f"{self.call.path}: {self.bad} errors, "
                f"{due_count - len(self.latencies.taken)} unanswered"
            )
        return self.latencies


def open_loop(port: int, call: Call, rate: float, seconds: float) -> Latencies:
    """How long answers take at a fixed rate over 32 connections.

    Raises:
        LoadError: An answer was an error, or there was none.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_OpenLoop(call, rate, seconds).run(port))


async def _closed_in_python(port: int, call: Call, seconds: float) -> float:
    """A closed loop for machines without wrk."""
    loop_of = _OpenLoop(call, 1e9, seconds)
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    loop_of.waiting.extend([began] * 10_000_000)
    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
        connection.owner = loop_of
        loop_of.send(connection, began)
    await asyncio.sleep(seconds)
    return len(loop_of.latencies.taken) / (time.perf_counter() - began)
