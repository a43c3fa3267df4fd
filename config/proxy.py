"""From the front to the site: pages and the management API, over a unix socket."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from urllib.parse import quote

import aiohttp
from yarl import URL

from experiments.gateway.dispatch import error_response
from experiments.gateway.rsgi import HTTPProtocol, Scope
from models_registry.errors import UnavailableError

logger = logging.getLogger(__name__)

# RFC 9110, section 7.6.1: these belong to one connection, not to the message.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_SMALL = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=60)


class SiteUnavailableError(UnavailableError):
    """The site does not answer."""

    code = "site_unavailable"
    status = 502


class SiteTimeoutError(UnavailableError):
    """The site does not answer in time."""

    code = "site_timeout"
    status = 504


class SiteProxy:
    """Forwards calls as they are to the site's socket.

    Args:
        socket: Path of the unix socket.
        trust_forwarded: Whether something in front of us set ``X-Forwarded-Proto``.
    """

    def __init__(self, socket: str, *, trust_forwarded: bool = False) -> None:
        self._trust_forwarded = trust_forwarded
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(socket, limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_TIMEOUT,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Forward one call and stream the answer back."""
        sent = scope.headers.items()
        headers = self._request_headers(scope, sent)
        has_body = any(n in {"content-length", "transfer-encoding"} for n, _ in sent)
        started = False
        try:
            async with self._session.request(
                scope.method,
                _url(scope),
                headers=headers,
                data=_body(protocol) if has_body else None,
                allow_redirects=False,
            ) as answer:
                started = True
                await _send_back(answer, protocol)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if started:
                logger.warning("%s %s broke off: %s", scope.method, scope.path, error)
                raise
            _refuse(protocol, error)

    def _request_headers(
        self, scope: Scope, sent: Iterable[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        dropped = HOP_BY_HOP | {"host", "x-forwarded-for", "x-forwarded-host"}
        proto, before, host, named = scope.scheme, "", scope.authority or "", set()
        headers = []
        for name, value in sent:
            if name == "x-forwarded-for":
                before = f"{before}, {value}" if before else value
            elif name == "host":
                host = value
            elif name == "connection":
                named |= {part.strip().lower() for part in value.split(",")}
            elif name == "x-forwarded-proto":
                proto = value if self._trust_forwarded else proto
            elif name not in dropped:
                headers.append((name, value))
        client = scope.client.rpartition(":")[0] or scope.client
        return [
            *((name, value) for name, value in headers if name not in named),
            ("host", host),
            ("x-forwarded-for", f"{before}, {client}" if before else client),
            ("x-forwarded-host", host),
            ("x-forwarded-proto", proto),
        ]


def _url(scope: Scope) -> URL:
    """The address on the site; the server gave us the path decoded."""
    path = quote(scope.path, safe="/:@!$&'()*+,;=~-._")
    query = f"?{scope.query_string}" if scope.query_string else ""
    return URL(f"http://site{path}{query}", encoded=True)


async def _body(protocol: HTTPProtocol) -> AsyncIterator[bytes]:
    async for chunk in protocol:
        yield bytes(chunk)


async def _send_back(answer: aiohttp.ClientResponse, protocol: HTTPProtocol) -> None:
    headers = [
        (name.lower(), value)
        for name, value in answer.headers.items()
        if name.lower() not in HOP_BY_HOP
    ]
    if answer.content_length is not None and answer.content_length <= _SMALL:
        body = await answer.read()
        if body:
            protocol.response_bytes(answer.status, headers, body)
        else:
            protocol.response_empty(answer.status, headers)
        return
    transport = protocol.response_stream(answer.status, headers)
    async for chunk in answer.content.iter_any():
        await transport.send_bytes(chunk)


def _refuse(protocol: HTTPProtocol, error: Exception) -> None:
    logger.warning("The site does not answer: %r", error)
    refusal: UnavailableError
    if isinstance(error, asyncio.TimeoutError):
        refusal = SiteTimeoutError("The site took too long; try again.")
    else:
        refusal = SiteUnavailableError("The site is not running; try again soon.")
    response = error_response(refusal, "")
    protocol.response_bytes(response.status, list(response.headers), response.body)
