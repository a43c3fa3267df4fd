"""What reaches the site through a real front, and what comes back."""

import hashlib
import json
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.process import Command, Process
from tests.config.shops import ROOT, FrontShop, wait_for


@pytest.fixture(scope="module")
def front() -> Iterator[FrontShop]:
    folder = Path(tempfile.mkdtemp(prefix="sw-"))  # a short path, for the socket
    path = folder / "site.sock"
    site = Process(
        Command(
            "site",
            (
                *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"),
                *("--uds", str(path), "tests.config.echo_site:application"),
            ),
            cwd=ROOT,
        ),
        folder / "site.log",
    )
    site.start()
    shop = FrontShop(folder, {"SHIPWORTHY_SITE_SOCKET": str(path)})
    shop.start()
    wait_for(path.exists)
    yield shop
    shop.stop()
    site.kill()
    shutil.rmtree(folder)


def seen(front: FrontShop, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
    answer = front.call(method, path, **kwargs)
    assert answer.status == 418
    assert answer.headers["content-encoding"] == "x-odd"
    found: dict[str, Any] = json.loads(answer.body)
    return found


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_call_reaches_the_site_as_it_was_made(front: FrontShop, method: str) -> None:
    body = b"" if method == "GET" else b"some text"
    found = seen(
        front,
        method,
        "/admin/design/%C3%A9%20%25/?q=%20%C3%A9&r=a+b",
        body=body,
        headers={"Cookie": "a=1; b=2", "Content-Type": "text/x-odd", "Accept": "x/y"},
    )
    assert (found["method"], found["query"]) == (method, "q=%20%C3%A9&r=a+b")
    assert found["path"] == "/admin/design/é %/"
    assert found["digest"] == hashlib.sha256(body).hexdigest()
    assert found["type"] == "text/x-odd"
    assert found["headers"]["HTTP_COOKIE"] == "a=1; b=2"
    assert found["headers"]["HTTP_ACCEPT"] == "x/y"


def test_the_site_learns_host_and_client(front: FrontShop) -> None:
    sent = {
        "Host": "shop.example",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
    }
    headers = seen(front, "GET", "/", headers=sent)["headers"]
    assert headers["HTTP_HOST"] == "shop.example"
    assert headers["HTTP_X_FORWARDED_HOST"] == "shop.example"
    assert headers["HTTP_X_FORWARDED_FOR"] == "203.0.113.9, 127.0.0.1"
    assert headers["HTTP_X_FORWARDED_PROTO"] == "http"


def test_the_site_itself_sees_no_address(front: FrontShop) -> None:
    assert seen(front, "GET", "/")["client"] == ""


def test_what_belongs_to_a_connection_is_not_passed_on(front: FrontShop) -> None:
    sent = {"Connection": "keep-alive, X-Secret", "X-Secret": "1", "TE": "trailers"}
    headers = seen(front, "GET", "/", headers=sent)["headers"]
    assert not {"HTTP_X_SECRET", "HTTP_TE", "HTTP_CONNECTION"} & set(headers)


def test_a_redirect_is_the_callers_to_follow(front: FrontShop) -> None:
    answer = front.call("GET", "/moved/")
    assert (answer.status, answer.headers["location"]) == (302, "/elsewhere/")


def test_a_large_body_passes_through(front: FrontShop) -> None:
    body = bytes(range(256)) * 60_000  # 15 MB
    assert seen(front, "POST", "/", body=body)["length"] == len(body)


def test_a_large_answer_passes_through(front: FrontShop) -> None:
    answer = front.call("GET", "/large/")
    assert (answer.status, len(answer.body)) == (200, 320 * 64 * 1024)
    assert answer.headers["x-kind"] == "large"


def test_repeated_headers_come_back_repeated(front: FrontShop) -> None:
    with socket.create_connection(("127.0.0.1", front.port)) as plain:
        plain.sendall(b"GET /cookies/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: plain.recv(65_536), b"")).lower()
    assert text.count(b"set-cookie: ") == 2


def test_a_head_request_has_no_body(front: FrontShop) -> None:
    answer = front.call("HEAD", "/")
    assert (answer.status, answer.body) == (418, b"")
