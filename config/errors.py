"""One envelope for every error an API answers with."""

import uuid
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler

from experiments.gateway.envelope import envelope
from models_registry.errors import Detail, ShipworthyError


def _flatten(value: object, field: str = "") -> list[Detail]:
    if isinstance(value, dict):
        return [
            detail
            for name, inner in value.items()
            for detail in _flatten(
                inner,
                f"{field}[{name}]"  # of a list, DRF names the bad ones by index
                if isinstance(name, int)
                else f"{field}.{name}".removeprefix("."),
            )
        ]
    if isinstance(value, list):
        return [
            detail
            for i, inner in enumerate(value)
            for detail in _flatten(
                inner, f"{field}[{i}]" if isinstance(inner, dict) else field
            )
        ]
    code = getattr(value, "code", None) or "invalid"
    return [Detail(field=field, code=str(code), message=str(value))]


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: anticipated errors become the envelope; the rest stays a bug."""
    request = context.get("request")
    request_id = (
        request.headers.get("X-Request-Id", "") if request is not None else ""
    ) or uuid.uuid4().hex
    if isinstance(error, ShipworthyError):
        body = envelope(error.code, error.message, error.details, request_id)
        return Response(body, status=error.status)
    if isinstance(error, ValidationError):
        error = exceptions.ValidationError(
            error.message_dict if hasattr(error, "error_dict") else error.messages
        )
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = drf_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return response
    if isinstance(error, exceptions.ValidationError):
        details = _flatten(error.detail)
        message = "; ".join(
            f"{d.field}: {d.message}" if d.field else d.message for d in details[:3]
        )
        response.data = envelope("invalid", message, details, request_id)
    else:
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else "error"
        response.data = envelope(code, str(error.detail), (), request_id)
    return response


# Their callers read JSON; everybody else is shown a page.
API_PREFIXES = ("/api/", "/ofrep/", "/sub/", "/track", "/healthz", "/readyz")


def _answer(
    request: HttpRequest,
    status: int,
    code: str,
    message: str,
    page: Callable[[], HttpResponse],
) -> HttpResponse:
    if not request.path.startswith(API_PREFIXES):
        return page()
    body = envelope(code, message, (), uuid.uuid4().hex)
    return JsonResponse(body, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 400: the envelope under the API, a page elsewhere."""
    message = "The request cannot be read."
    return _answer(
        request,
        400,
        "malformed",
        message,
        lambda: defaults.bad_request(request, exception),
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 403: the envelope under the API, a page elsewhere."""
    message = "You may not do this."
    return _answer(
        request,
        403,
        "forbidden",
        message,
        lambda: defaults.permission_denied(request, exception),
    )


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404: the envelope under the API, a page elsewhere."""
    message = f"Nothing is at {request.path[:200]}; see /api/docs/."
    return _answer(
        request,
        404,
        "not_found",
        message,
        lambda: defaults.page_not_found(request, exception),
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's 500: the envelope under the API, a page elsewhere."""
    message = "Something went wrong here; it has been logged."
    return _answer(
        request, 500, "internal", message, lambda: defaults.server_error(request)
    )
