"""From a call to an answer: what middleware does for pages, once for handlers.

Route, body, key, origin, rate, handler, envelope; every answer bears a request id and
may not be cached unless the handler says otherwise.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec
from redis.asyncio import Redis

from experiments.gateway import bodies, cors, limits
from experiments.gateway.admission import Admission, Keys
from experiments.gateway.clock import Clock
from experiments.gateway.envelope import envelope
from experiments.gateway.errors import (
    MethodNotAllowedError,
    RateLimitedError,
    UnauthorizedError,
)
from experiments.gateway.handlers import Request, Response, Route, Services
from experiments.gateway.routing import Match, Router
from experiments.gateway.tokens import Tokens
from models_registry.errors import ShipworthyError

logger = logging.getLogger(__name__)
_NOT_CACHED = ("cache-control", "private, no-store")
_NO_SNIFFING = ("x-content-type-options", "nosniff")


class Call(NamedTuple):
    """A call as the server in front of us gives it; headers in lower case.

    Attributes:
        read: Reads the raw body; raises ``TooLargeError`` beyond so many bytes.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    read: Callable[[int], Awaitable[bytes]]
    client_address: str


class _Exchange(NamedTuple):
    """A call and what is known of it by now."""

    call: Call
    match: Match
    route: Route | None
    services: Services
    request_id: str
    origin: str


class InternalError(ShipworthyError):
    """A fault of ours; what it was stands in the log."""

    code = "internal"
    status = 500


class Dispatcher:
    """Answers the calls whose paths belong to its routes."""

    def __init__(
        self, routes: Iterable[Route], keys: Keys, tokens: Tokens | None = None
    ) -> None:
        self.routes = tuple(routes)
        self._router = Router(self.routes)
        self._keys = keys
        self._admission = Admission(keys, tokens)

    def find(self, path: str) -> Match | None:
        """The routes of a path; None: somebody else's path."""
        return self._router.find(path)

    async def answer(self, call: Call, match: Match, services: Services) -> Response:
        """Answer a call; never raises, but for cancellation."""
        method = "GET" if call.method == "HEAD" else call.method
        exchange = _Exchange(
            call=call,
            match=match,
            route=match.by_method.get(method),
            services=services,
            request_id=secrets.token_hex(16),
            origin=call.headers.get("origin", ""),
        )
        try:
            if exchange.route is None:
                response = self._without_route(exchange)
            else:
                response = await self._serve(exchange, exchange.route)
        except ShipworthyError as error:
            response = self._refuse(exchange, error)
        except Exception:
            logger.exception(
                "%s %s failed (%s)", call.method, call.path, exchange.request_id
            )
            response = self._refuse(
                exchange, InternalError("Something went wrong here; it is in the log.")
            )
        return _finished(
            response, exchange.request_id, without_body=call.method == "HEAD"
        )

    def _without_route(self, exchange: _Exchange) -> Response:
        call, methods = exchange.call, _methods(exchange.match)
        if call.method != "OPTIONS":
            raise MethodNotAllowedError(
                f"{call.method[:20]} is not allowed here; use {' or '.join(methods)}."
            )
        wanted = call.headers.get("access-control-request-method")
        if exchange.origin and wanted and self._lists(exchange.origin):
            return cors.preflight(exchange.origin, methods)
        return Response(204, b"", (("allow", ", ".join(methods)),))

    async def _serve(self, exchange: _Exchange, route: Route) -> Response:
        call, services, key = exchange.call, exchange.services, None
        query: Mapping[str, str] = {}
        if call.query_string:
            query = dict(parse_qsl(call.query_string, keep_blank_values=True))
        parameters = exchange.match.parameters
        if route.scope is not None:
            now = services.get(Clock).now()
            key = self._admission.admit(route, call.headers, parameters, query, now)
            if exchange.origin:
                cors.check(exchange.origin, key)
            if key.rate_per_minute:
                await limits.count_request(key, services.get(Redis), now)
        body = b""
        if call.method not in {"GET", "HEAD"}:
            body = await _body(call, route)
        request = Request(
            method=call.method,
            path=call.path,
            headers=call.headers,
            body=body,
            query=query,
            path_parameters=parameters,
            key=key,
            client_address=call.client_address,
            request_id=exchange.request_id,
        )
        try:
            response = await route.handler(request, services)
        except msgspec.DecodeError as error:
            raise bodies.refusal_of(error) from None
        if exchange.origin and key is not None and key.kind == "publishable":
            response = _with(response, cors.allow(exchange.origin))
        return response

    def _refuse(self, exchange: _Exchange, error: ShipworthyError) -> Response:
        route = exchange.route
        if route is not None and route.render_error is not None:
            response = route.render_error(error, exchange.match.parameters)
        else:
            response = error_response(error, exchange.request_id)
        extra: list[tuple[str, str]] = []
        if isinstance(error, RateLimitedError):
            extra.append(("retry-after", str(error.retry_after)))
        if isinstance(error, UnauthorizedError):
            extra.append(("www-authenticate", "Bearer"))
        if isinstance(error, MethodNotAllowedError):
            extra.append(("allow", ", ".join(_methods(exchange.match))))
        if exchange.origin and self._lists(exchange.origin):
            extra.extend(cors.allow(exchange.origin))
        return _with(response, extra)

    def _lists(self, origin: str) -> bool:
        try:
            return cors.listed(origin, self._keys())
        except ShipworthyError:  # no plan, no keys
            return False


def _methods(match: Match) -> list[str]:
    head = {"HEAD"} if "GET" in match.by_method else set()
    return sorted({*match.by_method, *head, "OPTIONS"})


async def _body(call: Call, route: Route) -> bytes:
    body = await call.read(route.body_limit)
    encoding = call.headers.get("content-encoding")
    if encoding:
        return bodies.decompress(body, encoding, route.body_limit)
    return body


def error_response(error: ShipworthyError, request_id: str) -> Response:
    """An anticipated error in the envelope."""
    body = envelope(error.code, error.message, error.details, request_id)
    return Response(error.status, msgspec.json.encode(body))


def _with(response: Response, headers: Iterable[tuple[str, str]]) -> Response:
    return msgspec.structs.replace(response, headers=(*response.headers, *headers))


def _finished(response: Response, request_id: str, *, without_body: bool) -> Response:
    added: tuple[tuple[str, str], ...] = (("x-request-id", request_id), _NO_SNIFFING)
    for name, _ in response.headers:
        if name == "cache-control":
            break
    else:
        added = (*added, _NOT_CACHED)
    headers = (*response.headers, *added)
    if without_body:
        return Response(response.status, b"", headers)
    return Response(response.status, response.body, headers, response.stream)
