"""A site with a rich report, and four clients that load it without pause."""

import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from config.embedded import EmbeddedPostgres
from config.process import Command, Process

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 4
PAGE = "/experiments/ship/"
# The reports that the pages' own tests are made with: every section is filled.
_FILL = """
import django
django.setup()
from django.core.management import call_command
from django.test import Client
from tests import pages
call_command("migrate", verbosity=0, interactive=False)
pages.every_state()
client = Client()
client.force_login(pages.person("growth"))
print(client.cookies["sessionid"].value)
"""


class PageError(RuntimeError):
    """A page was not answered with 200."""


@contextmanager
def site(folder: Path, env: Mapping[str, str]) -> Iterator[tuple[dict[str, str], str]]:
    """A site on a socket of its own; its environment and a session's cookie."""
    folder.chmod(0o711)  # PostgreSQL may run as another user
    with EmbeddedPostgres(folder, durable=False, database="bench") as postgres:
        socket = folder / "site.sock"
        env = {
            **env,
            "DATABASE_URL": postgres.url,
            "SHIPWORTHY_SITE_SOCKET": str(socket),
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _FILL],
            env=env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        argv = (
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"),
            *("--uds", str(socket), "--workers", "1", "--blocking-threads", "4"),
            *("--workers-kill-timeout", "2", "config.wsgi:application"),
        )
        process = Process(Command("site", argv, env, cwd=ROOT), folder / "site.log")
        process.start()
        try:
            yield env, done.stdout.strip().splitlines()[-1]
        finally:
            process.stop()


class Readers:
    """Four clients on the front's port, each asking again once answered."""

    def __init__(self, port: int, cookie: str) -> None:
        self._port, self._cookie = port, cookie
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(CLIENTS)]
        self.pages = 0
        self.faults: list[int] = []

    def __enter__(self) -> "Readers":
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and see that pages were read."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.faults or not self.pages:
            raise PageError(f"{self.pages} pages read, others answered {self.faults}")

    def _read(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {"cookie": f"sessionid={self._cookie}"}
        while not self._stop.is_set():
            connection.request("GET", PAGE, headers=headers)
            response = connection.getresponse()
            response.read()
            if response.status == http.client.OK:
                self.pages += 1
            else:
                self.faults.append(response.status)
                return


def wait_for_pages(port: int, cookie: str) -> None:
    """Return once the page is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(200):
        connection.request("GET", PAGE, headers={"cookie": f"sessionid={cookie}"})
        response = connection.getresponse()
        response.read()
        if response.status == http.client.OK:
            return
        if response.status != http.client.BAD_GATEWAY:
            raise PageError(f"{PAGE} answered {response.status}")
        threading.Event().wait(0.1)
    raise PageError(f"{PAGE} is not answered; pid {os.getpid()}")
