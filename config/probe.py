"""Whether a process answers HTTP."""

import http.client
import socket
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_S = 5.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("site", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def answers(url: str, socket_path: Path | None = None) -> bool:
    """Whether ``url`` is answered with 200, over a Unix socket if one is given."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection = (
        _UnixConnection(socket_path)
        if socket_path
        else http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    )
    try:
        connection.request("GET", parts.path or "/", headers={"Host": "localhost"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
