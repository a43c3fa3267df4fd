"""The storefront's routes inside Django's URLconf: the same functions, thinly."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from experiments.gateway import bodies
from experiments.gateway.dispatch import Call, Dispatcher, error_response
from experiments.gateway.handlers import Response, Route, Services
from models_registry.errors import ShipworthyError

_ELSEWHERE = "Streams are served by the front only; ask its port."


class _StreamsElsewhereError(ShipworthyError):
    """A stream was asked for where none can be held open."""

    code = "streams_elsewhere"
    status = 501


OpenServices = Callable[[], AbstractAsyncContextManager[Services]]
"""Makes the services of one call: clients may not outlive its event loop."""


class StorefrontView:
    """A Django view that hands its request to the dispatcher.

    Attributes:
        routes: The routes of its path, for the OpenAPI page.
    """

    csrf_exempt = True

    def __init__(
        self,
        routes: tuple[Route, ...],
        dispatcher: Dispatcher,
        open_services: OpenServices,
    ) -> None:
        self.routes = routes
        self._dispatcher = dispatcher
        self._open_services = open_services

    def __call__(self, request: HttpRequest, **_: str) -> HttpResponse:
        """Answer in an event loop of this call's own."""
        response = async_to_sync(self._answer)(request)
        answer = HttpResponse(response.body, status=response.status)
        del answer["Content-Type"]
        for name, value in response.headers:
            answer[name] = value
        return answer

    async def _answer(self, request: HttpRequest) -> Response:
        async def read(limit: int) -> bytes:
            body: bytes = request.read(limit + 1)
            if len(body) > limit:
                raise bodies.too_large(limit)
            return body

        match = self._dispatcher.find(request.path_info)
        if match is None:
            raise LookupError(f"{request.path_info} is mounted but has no route")
        call = Call(
            method=request.method or "GET",
            path=request.path_info,
            query_string=request.META.get("QUERY_STRING", ""),
            headers={name.lower(): value for name, value in request.headers.items()},
            read=read,
            client_address=request.META.get("REMOTE_ADDR", ""),
        )
        async with self._open_services() as services:
            response = await self._dispatcher.answer(call, match, services)
        if response.stream is not None:
            return error_response(_StreamsElsewhereError(_ELSEWHERE), "")
        return response


def url_patterns(
    dispatcher: Dispatcher, open_services: OpenServices
) -> list[URLPattern]:
    """A URL pattern for each path of the dispatcher's routes."""
    by_path: dict[str, tuple[Route, ...]] = {}
    for route in dispatcher.routes:
        by_path[route.pattern] = (*by_path.get(route.pattern, ()), route)
    return [
        path(
            re.sub(r"\{(\w+)\}", r"<str:\1>", pattern).removeprefix("/"),
            csrf_exempt(StorefrontView(routes, dispatcher, open_services)),
        )
        for pattern, routes in by_path.items()
    ]
