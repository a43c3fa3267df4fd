"""Every page in a real browser: no fault of access, script, policy or width."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from models_registry.models import Version
from tests import pages
from tests.page_content import content

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]
EXPERIMENTS = (
    "ship",
    "not-distinguishable",
    "keep-running",
    "no-verdict",
    "long",
    "draft",
    "computing",
    "shipped",
)


def _addresses() -> list[str]:
    pages.every_state()
    run = pages.training_run()
    names = [f"home/{v.number}" for v in Version.objects.order_by("number")]
    return [
        "/",
        *(f"/experiments/{key}/" for key in EXPERIMENTS),
        "/experiments/ship/history/",
        "/models/",
        "/models/home/3/",
        "/models/compare/?" + "&".join(f"v={name}" for name in names),
        "/runs/",
        f"/runs/{run.pk}/",
        "/explain/",
        "/explain/?unit_id=u1&placement=home",
        "/nowhere/",
    ]


def _logged_in(browser: "Browser", server: LiveServer, user: User) -> "BrowserContext":
    client = Client()
    client.force_login(user)
    context = browser.new_context()
    context.add_cookies(
        [
            {
                "name": "sessionid",
                "value": client.cookies["sessionid"].value,
                "url": server.url,
            }
        ]
    )
    return context


@pytest.fixture
def growth_page(chromium: "Browser", live_server: LiveServer) -> Iterator["Page"]:
    with _logged_in(chromium, live_server, pages.person("growth")) as context:
        yield context.new_page()


def test_every_page_is_accessible_quiet_and_fits_a_phone(
    growth_page: "Page", live_server: LiveServer
) -> None:
    faults: list[str] = []
    address = ""

    def heard(text: str) -> None:
        if "404 (Not Found)" not in text:
            faults.append(f"{address}: console: {text}")

    growth_page.on("console", lambda message: heard(message.text))
    growth_page.on("pageerror", lambda error: heard(str(error)))
    for address in _addresses():
        growth_page.set_viewport_size({"width": 1440, "height": 900})
        growth_page.goto(live_server.url + address)
        faults += _axe_faults(address, growth_page)
        growth_page.set_viewport_size({"width": 390, "height": 844})
        wide = growth_page.evaluate("document.documentElement.scrollWidth")
        if wide > 390:
            faults.append(f"{address}: {wide} px wide on a phone")
    assert not faults, "\n".join(faults)


def test_the_dark_report_keeps_its_contrast(
    growth_page: "Page", live_server: LiveServer
) -> None:
    pages.report(pages.experiment("ship"), content("ship"))
    growth_page.emulate_media(color_scheme="dark")
    growth_page.goto(f"{live_server.url}/experiments/ship/")
    assert not _axe_faults("dark report", growth_page)


def test_a_decision_can_be_opened_by_keyboard_alone(
    growth_page: "Page", live_server: LiveServer
) -> None:
    pages.report(pages.experiment("ship"), content("ship"))
    growth_page.goto(f"{live_server.url}/experiments/ship/")
    growth_page.get_by_role("button", name="Ship transformer v3…").focus()
    growth_page.keyboard.press("Enter")
    dialog = growth_page.locator("#ship")
    assert dialog.is_visible()
    assert dialog.get_by_label("Reason, kept with the decision").is_editable()
    growth_page.keyboard.press("Escape")
    assert dialog.is_hidden()


def test_a_running_job_moves_on_the_page_without_a_reload(
    growth_page: "Page", live_server: LiveServer
) -> None:
    run = pages.training_run()
    growth_page.goto(f"{live_server.url}/runs/{run.pk}/")
    growth_page.get_by_role("heading", name="Epoch 22 of 30").wait_for()
    run.message, run.progress = "epoch 23 of 30", 23 / 30
    run.save()
    growth_page.get_by_role("heading", name="Epoch 23 of 30").wait_for()


def _axe_faults(address: str, page: "Page") -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{address}: {fault['id']}: {node['target']} {node['html'][:120]}"
        for fault in found
        for node in fault["nodes"]
    ]
