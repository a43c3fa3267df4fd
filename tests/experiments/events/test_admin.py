import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from experiments.events.models import DeadLetter, Item
from experiments.events.rows import encode_rows
from experiments.events.services import bury_entry
from tests.experiments.events.shop import row

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(settings: Settings) -> Client:
    # The sidebar links to every app's pages, which are not this test's affair.
    settings.UNFOLD = {**settings.UNFOLD, "SIDEBAR": {}}
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_items_can_be_found_and_looked_at_but_not_edited(admin: Client) -> None:
    Item.objects.create(item_id="lamp", title="A lamp")
    assert "A lamp" in admin.get("/admin/events/item/?q=lamp").content.decode()
    page = admin.get("/admin/events/item/lamp/change/")
    assert page.status_code == 200
    assert 'name="title"' not in page.content.decode()
    assert admin.get("/admin/events/item/add/").status_code == 403


def test_a_dead_letter_shows_its_reason_and_what_was_in_it(admin: Client) -> None:
    payload = encode_rows([row(item_id="unmistakable", unit_key=b"short")])
    for _ in range(2):
        bury_entry("stream-0", "1-1", "A row does not fit", payload)
    [letter] = DeadLetter.objects.all()
    page = admin.get(f"/admin/events/deadletter/{letter.pk}/change/").content.decode()
    assert "A row does not fit" in page
    assert "unmistakable" in page
    bury_entry("stream-0", "1-2", "no rows", b"\x00\x01nonsense")
    other = DeadLetter.objects.get(entry_id="1-2")
    page = admin.get(f"/admin/events/deadletter/{other.pk}/change/").content.decode()
    assert b"nonsense".hex(" ") in page
