"""Which browser origins may call, and what they may read of the answers (pure)."""

from collections.abc import Iterable, Mapping

from experiments.gateway.errors import ForbiddenError
from experiments.gateway.handlers import Response
from experiments.gateway.keys import Key

ANY = "*"
_HEADERS = (
    "authorization, cache-control, content-encoding, content-type, if-none-match, "
    "last-event-id, x-api-key"
)
_EXPOSED = "etag, retry-after, x-plan-age, x-request-id, x-sse-support"


def preflight(origin: str, methods: Iterable[str]) -> Response:
    """The answer to a preflight of an origin that some live key lists.

    A preflight carries no key, so the key's own list is enforced on the request.
    """
    headers = (
        *allow(origin),
        ("access-control-allow-methods", ", ".join(methods)),
        ("access-control-allow-headers", _HEADERS),
        ("access-control-max-age", "600"),
    )
    return Response(204, b"", headers)


def listed(origin: str, keys: Mapping[str, Key]) -> bool:
    """Whether some key lists an origin."""
    return any(origin in key.origins or ANY in key.origins for key in keys.values())


def check(origin: str, key: Key) -> None:
    """Enforce a publishable key's own list of origins.

    Raises:
        ForbiddenError: The origin is not on it.
    """
    if key.kind != "publishable" or origin in key.origins or ANY in key.origins:
        return
    raise ForbiddenError(
        f"Key {key.label!r} may not be used from {origin[:200]!r}; add the origin to "
        "the key or use another.",
        code="origin_not_allowed",
    )


def allow(origin: str) -> tuple[tuple[str, str], ...]:
    """Headers that let a page of an origin read the answer."""
    return (
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", _EXPOSED),
        ("vary", "origin"),
    )
