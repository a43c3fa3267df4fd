"""From a call to an answer: what middleware does for pages, once for handlers.

Route, body, key, origin, rate, handler, envelope; every answer bears a request id and
may not be cached unless the handler says otherwise.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec
from redis.asyncio import Redis

from experiments.gateway import bodies, cors, limits
from experiments.gateway import keys as key_forms
from experiments.gateway.clock import Clock
from experiments.gateway.envelope import envelope
from experiments.gateway.errors import (
    ForbiddenError,
    MethodNotAllowedError,
    RateLimitedError,
    UnauthorizedError,
)
from experiments.gateway.handlers import Request, Response, Route, Services
from experiments.gateway.keys import Key
from experiments.gateway.routing import Match, Router
from models_registry.errors import ShipworthyError

logger = logging.getLogger(__name__)

Keys = Callable[[], Mapping[str, Key]]
"""The live keys by digest, as the plan of this moment has them."""


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

    def __init__(self, routes: Iterable[Route], keys: Keys) -> None:
        self.routes = tuple(routes)
        self._router = Router(self.routes)
        self._keys = keys

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
            request_id=uuid.uuid4().hex,
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
        if route.scope is not None:
            now = services.get(Clock).now()
            key = self._key(call, route, exchange.match, now)
            if exchange.origin:
                cors.check(exchange.origin, key)
            if key.rate_per_minute:
                await limits.count_request(key, services.get(Redis), now)
        body = b""
        if call.method not in {"GET", "HEAD"}:
            body = await _body(call, route)
        query = call.query_string
        request = Request(
            method=call.method,
            path=call.path,
            headers=call.headers,
            body=body,
            query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
            path_parameters=exchange.match.parameters,
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

    def _key(self, call: Call, route: Route, match: Match, now: float) -> Key:
        """The live key of a call, which has the route's scope."""
        plain = _presented(call.headers)
        if not plain and route.key_parameter:
            plain = match.parameters.get(route.key_parameter, "")
            if plain.startswith("sw_sk_"):
                raise UnauthorizedError(
                    "A secret key may not stand in an address; use a publishable one "
                    "and revoke this one.",
                    code="secret_key_in_address",
                )
        if not plain:
            raise UnauthorizedError(
                "No API key; send it as 'Authorization: Bearer sw_...' or 'X-API-Key'.",
                code="key_missing",
            )
        if not key_forms.is_well_formed(plain):
            raise UnauthorizedError(
                "The API key is malformed; copy it whole.", code="key_malformed"
            )
        key = self._keys().get(key_forms.digest(plain))
        if key is None or 0 < key.expires_at <= now:
            raise UnauthorizedError(
                "The API key is unknown, revoked or expired; use a live one.",
                code="key_unknown",
            )
        if route.scope not in key.scopes:
            raise ForbiddenError(
                f"Key {key.label!r} lacks the scope {route.scope!r}; it has "
                f"{', '.join(key.scopes) or 'none'}.",
                code="scope_missing",
            )
        return key

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


def _presented(headers: Mapping[str, str]) -> str:
    """The key a call presents; empty when none."""
    authorization = headers.get("authorization", "")
    if authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    return headers.get("x-api-key", "").strip()


def _with(response: Response, headers: Iterable[tuple[str, str]]) -> Response:
    return Response(response.status, response.body, (*response.headers, *headers))


def _finished(response: Response, request_id: str, *, without_body: bool) -> Response:
    headers = [*response.headers, ("x-request-id", request_id)]
    if not any(name == "cache-control" for name, _ in headers):
        headers.append(("cache-control", "private, no-store"))
    headers.append(("x-content-type-options", "nosniff"))
    body = b"" if without_body else response.body
    return Response(response.status, body, tuple(headers))
