import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from experiments.gateway import keys
from experiments.gateway.models import ApiKey
from experiments.gateway.services import create_key

pytestmark = pytest.mark.django_db
LIST = "/admin/gateway/apikey/"


@pytest.fixture
def admin(settings: Any) -> Client:
    # The sidebar links to every app's pages, which are not this test's affair.
    settings.UNFOLD = {**settings.UNFOLD, "SIDEBAR": {}}
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


FORM = {
    "label": "the shop",
    "client": "shop",
    "kind": "publishable",
    "scopes": ["events"],
    "origins": "https://shop.example\n\n",
    "event_names": "",
    "rate_per_minute": "0",
    "expires_at_0": "",
    "expires_at_1": "",
}


def test_a_new_key_is_shown_once(admin: Client) -> None:
    page = admin.post(f"{LIST}add/", FORM, follow=True).content.decode()
    row = ApiKey.objects.get()
    [plain] = re.findall(r"sw_pk_\w+", page.replace(row.start + "<", ""))[:1]
    assert keys.digest(plain) == row.digest
    assert (row.origins, row.event_names) == (["https://shop.example"], [])
    assert row.created_by == User.objects.get()
    assert plain not in admin.get(LIST).content.decode()


def test_a_refusal_stands_in_the_form(admin: Client) -> None:
    page = admin.post(f"{LIST}add/", FORM | {"scopes": ["manage"]}).content.decode()
    assert "publishable key cannot have scope" in page
    assert not ApiKey.objects.exists()


def test_a_key_can_be_seen_and_revoked_but_not_edited_or_deleted(
    admin: Client,
) -> None:
    row, _ = create_key(label="a", client="a", kind="secret", scopes=["manage"])
    assert admin.get(f"{LIST}{row.pk}/change/").status_code == 200
    assert admin.post(f"{LIST}{row.pk}/change/", FORM).status_code == 403
    assert admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    admin.post(LIST, {"action": "revoke", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.revoked_at is not None
