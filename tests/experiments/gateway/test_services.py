from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments.assignment.building import build_plan
from experiments.gateway import keys
from experiments.gateway.models import ApiKey
from experiments.gateway.services import create_key, revoke_key
from models_registry.errors import ConflictError, InvalidError

pytestmark = pytest.mark.django_db


def new_key(**fields: Any) -> tuple[ApiKey, str]:
    given: dict[str, Any] = {
        "label": "the shop",
        "client": "shop",
        "kind": "secret",
        "scopes": ["evaluate"],
    }
    return create_key(**given | fields)


def test_a_key_is_shown_once_and_only_its_hash_is_kept() -> None:
    row, plain = new_key()
    assert keys.is_well_formed(plain)
    assert row.digest == keys.digest(plain)
    stored = ApiKey.objects.filter(pk=row.pk).values().get()
    assert plain not in str(stored)
    assert plain.startswith(row.start)


def test_a_client_has_at_most_two_live_keys() -> None:
    first, _ = new_key()
    new_key()
    with pytest.raises(ConflictError, match="'shop' has 2 live keys"):
        new_key()
    new_key(client="another")
    revoke_key(first)
    new_key()


def test_an_expired_key_does_not_count_as_live() -> None:
    gone = timezone.now() - timedelta(seconds=1)
    for _ in range(3):
        new_key(expires_at=gone)


@pytest.mark.parametrize("scope", ["recommend", "catalogue", "manage", "simulate"])
def test_a_publishable_key_has_publishable_scopes_only(scope: str) -> None:
    with pytest.raises(InvalidError, match=f"'{scope}'"):
        new_key(kind="publishable", scopes=["events", scope])


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "magic"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"origins": ["https://shop.example"]},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        new_key(**fields)
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_once() -> None:
    row, _ = new_key()
    revoke_key(row)
    when = row.revoked_at
    assert when is not None
    revoke_key(row)
    assert row.revoked_at == when


def test_a_key_for_remote_evaluation_only_says_so_to_the_fronts() -> None:
    create_key(
        label="browser",
        client="shop",
        kind="publishable",
        scopes=("evaluate",),
        remote_only=True,
    )
    [key] = build_plan(timezone.now()).keys.values()
    assert key.remote_only
