"""What a storefront handler is: an async function without framework types.

A handler takes a ``Request`` and ``Services`` and gives a ``Response``. The front
serves it over RSGI; ``mount`` serves the same function inside Django.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from experiments.gateway.keys import Key
from models_registry.errors import ShipworthyError

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True):
    """One call of a shop.

    Attributes:
        headers: Names in lower case.
        path_parameters: What the route's pattern captured.
        key: The API key it came with, already checked against the route's scope.
        request_id: Ours, for logs and the error envelope.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = {}
    path_parameters: Mapping[str, str] = {}
    key: Key | None = None
    client_address: str = ""
    request_id: str = ""


class Response(msgspec.Struct, frozen=True):
    """What goes back; headers in lower case.

    Attributes:
        stream: Comes bit by bit instead of a body, until it ends or the client has
            gone; it is closed either way. Served by the front only.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    stream: AsyncIterator[bytes] | None = None


class Services:
    """What handlers may use, keyed by type: plan, stream, models, clock, ...

    ``config`` fills it once per process (and per call inside Django), so that a wing
    finds what it needs without knowing who made it.
    """

    def __init__(self, *provided: object) -> None:
        self._provided: dict[type, Any] = {}
        for service in provided:
            self.provide(service)

    def provide(self, service: object, *, as_type: type | None = None) -> None:
        """Offer a service under its own type, or under a base type."""
        self._provided[as_type or type(service)] = service

    def get(self, kind: type[T]) -> T:
        """The service of that type.

        Raises:
            LookupError: Nobody provided it: a fault of the wiring, not of the caller.
        """
        try:
            found: T = self._provided[kind]
        except KeyError:
            raise LookupError(f"No service of type {kind.__name__} provided") from None
        return found


Handler = Callable[[Request, Services], Awaitable[Response]]
ErrorForm = Callable[[ShipworthyError, Mapping[str, str]], Response]
"""Renders an error, given the path's parameters, as one protocol wants it."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a handler is reached.

    Attributes:
        pattern: A path; ``{name}`` captures one segment.
        scope: Scope the key must have; None: open to all.
        body_limit: Bytes (decoded); a larger body is answered with 413.
        summary: For the OpenAPI page.
        key_parameter: Name of the parameter, of the path or else of the query, that
            may hold a publishable key.
        token_parameter: Name of the path parameter that holds a token in a key's
            stead; see ``tokens``.
        request_type: Type of the JSON body, for the OpenAPI page.
        response_type: Type of the JSON answer, for the OpenAPI page.
        render_error: The route's own form of errors; None: the envelope.
    """

    method: str
    pattern: str
    handler: Handler
    scope: str | None
    body_limit: int = 262_144
    summary: str = ""
    key_parameter: str = ""
    token_parameter: str = ""
    request_type: type | None = None
    response_type: type | None = None
    render_error: "ErrorForm | None" = None
