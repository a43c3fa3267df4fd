"""RSGI (granian's interface) to calls and back."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Protocol

from experiments.gateway import bodies
from experiments.gateway.dispatch import Call, Dispatcher
from experiments.gateway.handlers import Response, Services

LOGGER = logging.getLogger(__name__)


class Headers(Protocol):
    """Headers of a scope, names in lower case."""

    def get(self, key: str, default: str = "") -> str:
        """One header."""

    def items(self) -> list[tuple[str, str]]:
        """All of them, repeated names repeated."""


class Scope(Protocol):
    """What is known of a call before its body."""

    proto: str
    http_version: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    authority: str | None

    @property
    def headers(self) -> Headers:
        """The call's headers."""


class Transport(Protocol):
    """An answer under way."""

    async def send_bytes(self, data: bytes) -> None:
        """Send some of it."""


class HTTPProtocol(Protocol):
    """The other side of one call."""

    async def __call__(self) -> bytes:
        """The whole body."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it comes."""

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Answer without a body."""

    def response_bytes(
        self, status: int, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        """Answer at once."""

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Transport:
        """Answer bit by bit."""

    def client_disconnect(self) -> Awaitable[None]:
        """Return once the client has gone."""


Fallback = Callable[[Scope, HTTPProtocol], Awaitable[None]]


class RSGIAdapter:
    """Serves a dispatcher's routes; every other path goes to ``fallback``."""

    def __init__(
        self, dispatcher: Dispatcher, services: Services, fallback: Fallback
    ) -> None:
        self._dispatcher = dispatcher
        self._services = services
        self._fallback = fallback

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one call."""
        match = self._dispatcher.find(scope.path)
        if match is None:
            await self._fallback(scope, protocol)
            return
        headers = dict(scope.headers.items())

        async def read(limit: int) -> bytes:
            return await _read(protocol, headers.get("content-length"), limit)

        call = Call(
            method=scope.method,
            path=scope.path,
            query_string=scope.query_string,
            headers=headers,
            read=read,
            client_address=scope.client.rpartition(":")[0],
        )
        response = await self._dispatcher.answer(call, match, self._services)
        if response.stream is not None:
            await _stream(protocol, response, response.stream)
        elif response.body:
            protocol.response_bytes(
                response.status, list(response.headers), response.body
            )
        else:
            protocol.response_empty(response.status, list(response.headers))


async def _stream(
    protocol: HTTPProtocol, response: Response, stream: AsyncIterator[bytes]
) -> None:
    """Send a stream until it ends or the client has gone, whichever is first."""
    transport = protocol.response_stream(response.status, list(response.headers))
    sending = asyncio.ensure_future(_send(transport, stream))
    leaving = asyncio.ensure_future(protocol.client_disconnect())
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sending.cancel()
        leaving.cancel()  # granian's own kind of future, which gather cannot await
        [fault] = await asyncio.gather(sending, return_exceptions=True)
        if isinstance(fault, Exception):
            LOGGER.error("A stream broke off", exc_info=fault)


async def _send(transport: Transport, stream: AsyncIterator[bytes]) -> None:
    try:
        async for data in stream:
            try:
                await transport.send_bytes(data)
            except Exception:  # noqa: BLE001 # granian's own: the client has gone
                return
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


# A refused body is read to its end, so that the caller reads the refusal and no
# broken connection; more than this is not waited for.
_DISCARD = 32 * 1024 * 1024


async def _read(protocol: HTTPProtocol, length: str | None, limit: int) -> bytes:
    """The raw body, of which no more than the limit is ever held."""
    if length is not None and length.isdecimal() and int(length) <= limit:
        return await protocol()
    chunks: list[bytes] = []
    size = 0
    async for chunk in protocol:
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
            if size > _DISCARD:
                break
    if size > limit:
        raise bodies.too_large(limit)
    return b"".join(chunks)
