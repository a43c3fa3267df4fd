"""A growth person's whole job in the browser, on a running product, without code."""

import csv
import json
import random
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from config.supervisor import Supervisor
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

SHOPPERS = 120
ITEMS = 25


def write_log(path: Path) -> None:
    """Forty days of a small shop in which neighbours are bought together."""
    rng = random.Random(3)
    start = datetime.now(UTC) - timedelta(days=41)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("name", "unit_id", "timestamp", "item_id"))
        for shopper in range(SHOPPERS):
            place = rng.randrange(ITEMS)
            for _ in range(12):
                place = (place + rng.choice((1, 1, 2))) % ITEMS
                at = start + timedelta(days=40 * rng.random())
                out.writerow(("view", f"s{shopper}", at.isoformat(), f"item-{place}"))


@pytest.fixture(scope="module")
def shop(
    installation: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A shop with a log and two versions of its model; its credentials."""
    log = tmp_path_factory.mktemp("shop") / "log.csv"
    write_log(log)
    installation.manage("import_events", str(log), "--mapping", "generic")
    for kind in ("popularity", "item_knn"):
        installation.manage("train", "--model", "home", "--kind", kind, "--wait")
    found: dict[str, Any] = json.loads(
        installation.installation.credentials.read_text()
    )
    return found


def ask(shop: dict[str, Any], path: str, body: object) -> dict[str, Any]:
    request = urllib.request.Request(
        shop["url"] + path,
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {shop['keys']['secret']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        decoded: dict[str, Any] = json.load(answer)
    return decoded


def recommend(shop: dict[str, Any], unit: str) -> dict[str, Any]:
    return ask(
        shop, "/api/v1/recommendations", {"unit_id": unit, "placement": "start-page"}
    )


def log_in(page: Page, shop: dict[str, Any], role: str) -> None:
    page.goto(f"{shop['url']}/admin/login/?next=/")
    page.fill("input[name=username]", role)
    page.fill("input[name=password]", shop["users"][role])
    page.click("button[type=submit]")
    expect(page.locator("h1")).to_be_visible()


def fill_experiment(page: Page) -> None:
    page.locator("#id_name").press_sequentially("Start-page list")
    expect(page.locator("#id_key")).to_have_value("start-page-list")
    page.select_option("#id_placement", label="Start page")
    for row, (key, version, control) in enumerate(
        (("popular", "popularity v1", True), ("together", "item-knn v2", False))
    ):
        prefix = f"#id_variants-{row}-"
        page.fill(f"{prefix}key", key)
        if control:
            page.check(f"{prefix}is_control")
        page.select_option(f"{prefix}version", label=version)
    page.select_option(
        "#id_metrics-0-metric", label="Shoppers who clicked a recommendation"
    )
    page.select_option("#id_metrics-0-role", "primary")


def press(page: Page, label: str) -> None:
    """An action of the experiment's page in the admin."""
    page.locator("a", has_text=re.compile(rf"{label}\s*$")).first.click()


def create_placement(page: Page, base: str) -> None:
    page.goto(f"{base}/admin/design/placement/add/")
    page.locator("#id_name").press_sequentially("Start page")
    expect(page.locator("#id_key")).to_have_value("start-page")
    page.select_option("#id_default_model", label="home")
    page.click("button[name=_save]")
    expect(page.get_by_text("was added successfully")).to_be_visible()


def create_and_start(page: Page, base: str) -> None:
    page.goto(f"{base}/admin/design/experiment/add/")
    fill_experiment(page)
    page.click("button[name=_continue]")
    expect(page.get_by_text("was added successfully")).to_be_visible()
    press(page, "Check")
    expect(page.get_by_text("Weights add up to 100 %")).to_be_visible()
    press(page, "Start")
    expect(page.get_by_text("Start-page list is running.")).to_be_visible()


def wait_for_report(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Analyse now").click()
    expect(page.get_by_text("A report is being computed.")).to_be_visible()
    report = page.get_by_text("The rule was fixed before the start")

    def reported() -> bool:
        page.goto(address)
        return report.is_visible()

    wait_for(reported, timeout_s=60)


def test_a_growth_person_takes_an_experiment_from_draft_to_shipped_without_code(
    page: Page, shop: dict[str, Any]
) -> None:
    base, address = shop["url"], f"{shop['url']}/experiments/start-page-list/"
    log_in(page, shop, "growth")
    create_placement(page, base)
    create_and_start(page, base)
    wait_for(
        lambda: recommend(shop, "s0")["experiment"] == "start-page-list", timeout_s=5
    )
    served = {recommend(shop, f"s{n}")["variant"] for n in range(SHOPPERS)}
    assert served == {"popular", "together"}

    press(page, "Pause")
    expect(page.get_by_text("Start-page list is paused.")).to_be_visible()
    wait_for(lambda: recommend(shop, "s0")["experiment"] is None, timeout_s=5)
    press(page, "Resume")
    expect(page.get_by_text("Start-page list is running.")).to_be_visible()

    wait_for_report(page, address)
    page.get_by_role("button", name="Decide otherwise").click()
    page.fill("#otherwise-why", "The list follows what shoppers look at.")
    page.get_by_role("button", name="Ship the chosen variant").click()
    expect(page.get_by_text("is what shoppers get now")).to_be_visible()
    wait_for(lambda: recommend(shop, "someone-new")["version"] == 2, timeout_s=5)
    page.goto(f"{address}history/")
    expect(page.get_by_text("The list follows what shoppers look at.")).to_be_visible()


def test_a_viewer_sees_the_report_but_no_button_that_changes_anything(
    page: Page, shop: dict[str, Any]
) -> None:
    log_in(page, shop, "viewer")
    page.goto(f"{shop['url']}/experiments/")
    for label in (
        "Analyse now",
        "Pause",
        "Decide otherwise",
        "Ship the chosen variant",
    ):
        expect(page.get_by_role("button", name=label)).to_have_count(0)
    refused = page.request.get(f"{shop['url']}/admin/design/experiment/add/")
    assert refused.status == 403
