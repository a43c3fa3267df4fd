"""A site that says what it was asked, to see what the proxy does with calls."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

CHUNK = bytes(64 * 1024)


def application(
    environ: dict[str, Any], start_response: Callable[..., object]
) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/moved/":
        start_response("302 Found", [("Location", "/elsewhere/")])
        return [b""]
    if path == "/large/":
        start_response("200 OK", [("X-Kind", "large"), ("Connection", "close")])
        return (CHUNK for _ in range(320))
    if path == "/cookies/":
        cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        start_response("200 OK", [*cookies, ("Content-Length", "0")])
        return [b""]
    if path == "/slow/":
        time.sleep(30)
    body = environ["wsgi.input"].read()
    seen = {
        "method": environ["REQUEST_METHOD"],
        "path": path.encode("latin-1").decode(),
        "query": environ["QUERY_STRING"],
        "length": len(body),
        "digest": hashlib.sha256(body).hexdigest(),
        "headers": {k: v for k, v in environ.items() if k.startswith("HTTP_")},
        "client": environ.get("REMOTE_ADDR"),
        "type": environ.get("CONTENT_TYPE", ""),
    }
    answer = json.dumps(seen).encode()
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "x-odd")]
    start_response("418 I'm a teapot", [*headers, ("Content-Length", str(len(answer)))])
    return [answer]
