"""Fixtures of the whole suite: real servers, a real browser, a running product."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django
import pytest
import redis
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from config.installation import Installation
from config.supervisor import Supervisor
from tests import tools
from tests.servers import TEMPLATE, Servers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Settings are read once, so the servers stand before Django does: at the import of
# the first conftest, ahead of any test module that imports a model.
if "DJANGO_SETTINGS_MODULE" in os.environ:
    raise pytest.UsageError("Unset DJANGO_SETTINGS_MODULE: the suite brings its own.")
SERVERS = Servers()
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()
# Inherited by an xdist worker, it would be read before that worker's servers stand.
del os.environ["DJANGO_SETTINGS_MODULE"]

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_unconfigure() -> None:
    """Leave no server and no folder behind."""
    SERVERS.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a running product, or in a browser, share an xdist worker."""
    for item in items:
        if {"installation", "chromium"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("installation"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail, a test whose tool is absent."""
    tools.require_tools(item)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the skips by tool at the end of the run."""
    skipped = tools.skips_by_tool(terminalreporter.stats.get("skipped", []))
    terminalreporter.write_line(tools.summary_line(skipped))


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """This worker's database, a copy of the run's one migrated template."""
    with django_db_blocker.unblock():
        with SERVERS.template_turn() as missing:
            if missing:
                _migrate(f"{TEMPLATE}_partial")
        SERVERS.copy_template()
    yield
    with django_db_blocker.unblock():
        connections.close_all()


def _migrate(database: str) -> None:
    connection = connections["default"]
    name = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = database
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name


@pytest.fixture(autouse=True)
def redis_client() -> Iterator["redis.Redis"]:
    """A client of this worker's Redis, which is empty when a test begins."""
    with redis.Redis.from_url(SERVERS.redis.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Path:
    """An empty lake of this test's own."""
    settings.LAKE_URL = str(tmp_path / "lake")
    return tmp_path / "lake"


@pytest.fixture
def artifacts(settings: Settings, tmp_path: Path) -> Path:
    """An empty artifact store of this test's own."""
    settings.ARTIFACTS_URL = str(tmp_path / "artifacts")
    return tmp_path / "artifacts"


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder for an installation; pytest's own keep PostgreSQL's user out."""
    with SERVERS.data_dir() as folder:
        yield folder


@pytest.fixture(scope="session")
def installation() -> Iterator[Supervisor]:
    """A running product of this worker's own: front, site, workers, beat, servers.

    ``installation.url`` is its address, ``installation.installation.credentials``
    the file with its users and keys, ``installation.env`` its settings.
    """
    with (
        SERVERS.data_dir() as folder,
        Supervisor(Installation(folder, given={}), port=18_100) as product,
    ):
        product.launch()
        yield product


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """The system's Chromium, for one module: its event loop stays in the thread."""
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread, which Django takes for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(CHROMIUM_FLAGS)
        )
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(chromium: "Browser") -> Iterator["Page"]:
    """A page in a browser context of this test's own."""
    with chromium.new_context() as context:
        yield context.new_page()
