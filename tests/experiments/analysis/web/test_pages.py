"""The experiment pages, for every state of a report."""

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tests import pages

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(pages.person("viewer"))
    return client


@pytest.fixture
def growth(client: Client) -> Client:
    client.force_login(pages.person("growth"))
    return client


def _html(client: Client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status, response.content[:500]
    return response.content.decode()


def test_every_state_of_a_report_is_shown_with_its_verdict_first(
    growth: Client,
) -> None:
    pages.every_state()
    first_sentences = {
        "ship": "Ship C, transformer v3: 13% more shoppers click a recommendation",
        "not-distinguishable": "Both beat control, but nothing tells C and B apart",
        "keep-running": "Too early to tell: at most 5 more days",
        "keep-control": "No clear difference: keep popularity v1",
        "no-verdict": "Do not read these results: the split is broken",
        "draft": "No shopper is in this experiment yet",
        "empty": "Too early: no report has been made yet",
        "computing": "Too early to tell",
        "paused": "Too early to tell",
        "shipped": "Mara Growth shipped C, transformer v3 on",
        "concluded": "Mara Growth kept control, popularity v1, on",
        "archived": "Mara Growth shipped C, transformer v3 on",
    }
    for key, sentence in first_sentences.items():
        html = _html(growth, f"/experiments/{key}/")
        verdict = re.search(r'<h2 id="v">(.*?)</h2>', html, re.DOTALL)
        assert verdict is not None, key
        assert verdict[1].startswith(sentence), (key, verdict[1])
    html = _html(growth, "/experiments/")
    assert "Decision due" in html
    assert "Results broken" in html


def test_the_report_page_needs_at_most_fifteen_queries(
    growth: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    pages.report(pages.experiment("home"), pages.content("ship"))
    with django_assert_max_num_queries(15):
        _html(growth, "/experiments/home/")


def test_the_list_needs_as_many_queries_for_many_experiments_as_for_one(
    growth: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    pages.every_state()
    with django_assert_max_num_queries(17):
        _html(growth, "/experiments/")
