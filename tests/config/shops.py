"""Two ways to the same routes: Django's URLconf, and a real front over TCP."""

import http.client
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from django.test import Client

from config.process import Command, Process
from config.programs import FRONT_CONNECTIONS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Shop(Protocol):
    """Calls a storefront route."""

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call."""


class DjangoShop:
    """Calls by Django's test client, in a thread without an event loop."""

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._call, method, path, body, headers or {}).result()

    @staticmethod
    def _call(
        method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        client = Client(raise_request_exception=False)
        response = client.generic(
            method, path, body, content_type="application/json", headers=dict(headers)
        )
        sent = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, sent, response.content)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class FrontShop:
    """A front process on a free port, and calls to it."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        command = Command(
            "front",
            (
                *(sys.executable, "-m", "granian", "--interface", "rsgi", "--no-ws"),
                *("--host", "127.0.0.1", "--port", str(self.port)),
                *("--workers", str(self.workers), "--workers-kill-timeout", "2"),
                *(*FRONT_CONNECTIONS, "--loop", "uvloop", "config.front:app"),
            ),
            {**os.environ, "SHIPWORTHY_LOG_LEVEL": "INFO", **self.environment},
            cwd=ROOT,
        )
        self.process = Process(command, self.folder / "front.log")

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process.start()
        wait_for(self._answers)

    def stop(self) -> None:
        """Stop it."""
        self.process.stop()

    def _answers(self) -> bool:
        assert self.process.alive, self.process.tail()
        try:
            return self.call("GET", "/healthz").status == 200
        except OSError:
            return False

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            sent = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, sent, response.read())
        finally:
            connection.close()


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return once a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)
