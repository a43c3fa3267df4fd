"""A toy product: two small HTTP servers and an idle worker with a child of its own.

``python tests/toy.py front PORT | site SOCKET | worker | broken``
"""

import http.server
import os
import socketserver
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.process import Command

ROOT = Path(__file__).resolve().parent.parent


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "peer"


class UnixServer(socketserver.UnixStreamServer):
    pass


def programs(
    env: Mapping[str, str], host: str, port: int, site_socket: Path
) -> Sequence[Command]:
    def command(name: str, *arguments: str) -> Command:
        argv = (sys.executable, "-m", "tests.toy", name, *arguments)
        return Command(name, argv, {**env, "HOST": host}, cwd=ROOT)

    return [
        command("front", str(port)),
        command("site", str(site_socket)),
        command("worker"),
    ]


def broken(
    env: Mapping[str, str], host: str, port: int, site_socket: Path
) -> Sequence[Command]:
    argv = (sys.executable, "-c", "raise SystemExit('no such ship')")
    return [Command("broken", argv, env)]


def main(kind: str, *arguments: str) -> None:
    if kind == "front":
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        address = (os.environ["HOST"], int(arguments[0]))
        http.server.ThreadingHTTPServer(address, Handler).serve_forever()
    elif kind == "site":
        Path(arguments[0]).unlink(missing_ok=True)
        UnixServer(arguments[0], Handler).serve_forever()
    else:
        # A grandchild that a supervisor never sees.
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
