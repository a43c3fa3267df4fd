"""Making and revoking API keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from experiments.gateway import keys
from experiments.gateway.models import ApiKey, KeyKind
from models_registry.errors import ConflictError, InvalidError
from models_registry.services import publish_plan

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LIVE_KEYS_PER_CLIENT = 2


def check_new_key(
    *, client: str, kind: str, scopes: Sequence[str], origins: Sequence[str] = ()
) -> None:
    """Whether such a key may be made now.

    Raises:
        InvalidError: The kind or a scope is unknown, or the kind may not have it.
        ConflictError: The client has two live keys already.
    """
    if kind not in KeyKind.values:
        raise InvalidError(
            f"Kind {kind!r} is unknown; use {' or '.join(KeyKind.values)}."
        )
    allowed = keys.SCOPES if kind == KeyKind.SECRET else keys.PUBLISHABLE_SCOPES
    refused = [scope for scope in scopes if scope not in allowed]
    if refused or not scopes:
        what = f"scope {refused[0]!r}" if refused else "no scope"
        raise InvalidError(
            f"A {kind} key cannot have {what}; choose from {', '.join(allowed)}."
        )
    if origins and kind == KeyKind.SECRET:
        raise InvalidError(
            "A secret key has no origins: it may never reach a browser; leave them out."
        )
    if _live(client) >= LIVE_KEYS_PER_CLIENT:
        raise ConflictError(
            f"Client {client!r} has {LIVE_KEYS_PER_CLIENT} live keys already; revoke "
            "one first."
        )


@transaction.atomic
def create_key(  # noqa: PLR0913 # keyword-only, all of one key
    *,
    label: str,
    client: str,
    kind: str,
    scopes: Sequence[str],
    origins: Sequence[str] = (),
    event_names: Sequence[str] = (),
    rate_per_minute: int = 0,
    remote_only: bool = False,
    expires_at: datetime | None = None,
    created_by: "User | None" = None,
) -> tuple[ApiKey, str]:
    """Make a key; the plain text is returned once and kept nowhere.

    Raises:
        InvalidError: See ``check_new_key``.
        ConflictError: See ``check_new_key``.
    """
    with connection.cursor() as cursor:  # two at once may not both be the second
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"key:{client}"])
    check_new_key(client=client, kind=kind, scopes=scopes, origins=origins)
    plain = keys.generate(kind)
    key = ApiKey.objects.create(
        label=label,
        client=client,
        kind=kind,
        start=plain[:10],
        digest=keys.digest(plain),
        scopes=list(scopes),
        origins=list(origins),
        event_names=list(event_names),
        rate_per_minute=rate_per_minute,
        remote_only=remote_only,
        expires_at=expires_at,
        created_by=created_by,
    )
    publish_plan()
    return key, plain


@transaction.atomic
def revoke_key(key: ApiKey) -> None:
    """Make a key worthless, within a second everywhere; a revoked one stays so."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    key.refresh_from_db()
    publish_plan()


def _live(client: str) -> int:
    return (
        ApiKey.objects.filter(client=client, revoked_at=None)
        .filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
        .count()
    )
