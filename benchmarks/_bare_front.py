"""The product's front with bare handlers beside the real ones, for ``assignment``.

A bare handler answers what it is given in a file: the same status, headers and bytes
as a real answer, and no work. The folder stands in ``BENCH_FOLDER``.
"""

import os
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import msgspec

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from config import storefront
from experiments.gateway.handlers import Request, Response, Route, Services

KINDS = {"bulk": "POST", "not_modified": "POST", "payload": "GET"}
FOLDER = Path(os.environ["BENCH_FOLDER"])


class Recorded(msgspec.Struct):
    """An answer to repeat; its body lies beside it."""

    status: int
    headers: tuple[tuple[str, str], ...]


@cache
def recorded(kind: str) -> Response:
    """The answer recorded under a name."""
    found = msgspec.json.decode((FOLDER / f"{kind}.json").read_bytes(), type=Recorded)
    body = (FOLDER / f"{kind}.body").read_bytes()
    return Response(found.status, body, found.headers)


def _bare(kind: str) -> Callable[[Request, Services], Awaitable[Response]]:
    async def answer(request: Request, services: Services) -> Response:  # noqa: ARG001 # a handler
        return recorded(kind)

    return answer


storefront.ROUTES = (
    *storefront.ROUTES,
    *(
        Route(method, f"/bare/{kind}", _bare(kind), None)
        for kind, method in KINDS.items()
    ),
)

from config.front import app  # noqa: E402 # it reads the routes when it starts

__all__ = ["app"]
