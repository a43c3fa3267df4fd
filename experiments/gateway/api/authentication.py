"""API keys on the management API: looked up in PostgreSQL, secret ones only."""

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from experiments.gateway import keys
from experiments.gateway.models import ApiKey, KeyKind


class KeyHolder(AnonymousUser):
    """Whoever calls with a key: known, but no person."""

    def __init__(self, key: ApiKey) -> None:
        super().__init__()
        self.key = key

    def __str__(self) -> str:
        return f"key {self.key.label}"

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override] # known by the key
        """A live key stands for a known caller."""
        return True


class KeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer sw_sk_...`` or ``X-API-Key``."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, ApiKey] | None:
        """The key's holder and the key; None when no key was sent.

        Raises:
            AuthenticationFailed: The key is malformed, unknown, revoked, expired or
                publishable.
        """
        scheme, _, plain = request.headers.get("Authorization", "").partition(" ")
        plain = plain.strip() if scheme.lower() == "bearer" else ""
        plain = plain or request.headers.get("X-API-Key", "").strip()
        if not plain:
            return None
        if not keys.is_well_formed(plain):
            raise AuthenticationFailed(
                "The API key is malformed; copy it whole.", "key_malformed"
            )
        key = (
            ApiKey.objects.filter(digest=keys.digest(plain), revoked_at=None)
            .filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
            .first()
        )
        if key is None:
            raise AuthenticationFailed(
                "The API key is unknown, revoked or expired; use a live one.",
                "key_unknown",
            )
        if key.kind != KeyKind.SECRET:
            raise AuthenticationFailed(
                f"Key {key.label!r} is publishable; use a secret one.",
                "secret_key_needed",
            )
        return KeyHolder(key), key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"
