"""Security headers of pages: a strict policy for ours, a looser one for the admin."""

from collections.abc import Callable
from ipaddress import ip_address

from django.http import HttpRequest, HttpResponse

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# The vendored admin (Alpine) and the API docs evaluate expressions and style inline.
VENDORED = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "worker-src 'self' blob:"
)
VENDORED_PREFIXES = ("/admin/", "/api/docs/")


class ClientAddressMiddleware:
    """Gives Django the address of the client behind the front.

    Over the unix socket there is no peer address, and only the front can reach it:
    the last entry of ``X-Forwarded-For`` is then the peer that the front saw.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with ``REMOTE_ADDR`` set."""
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
        if forwarded and not _is_address(request.META.get("REMOTE_ADDR", "")):
            last = forwarded.rpartition(",")[2].strip().strip("[]")
            if _is_address(last):
                request.META["REMOTE_ADDR"] = last
        return self.get_response(request)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class ContentSecurityPolicyMiddleware:
    """Adds Content-Security-Policy to every answer of the site."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the policy of the path."""
        response = self.get_response(request)
        vendored = request.path.startswith(VENDORED_PREFIXES)
        response.setdefault("Content-Security-Policy", VENDORED if vendored else STRICT)
        response.setdefault(
            "Permissions-Policy", "camera=(), microphone=(), geolocation=()"
        )
        return response
