"""The experiment pages, for every state of a report."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from experiments.analysis.models import Report
from experiments.decisions.models import Decision
from models_registry.models import Job, JobState
from tests import pages
from tests.page_content import content

pytestmark = [pytest.mark.django_db]


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
    pages.report(pages.experiment("home"), content("ship"))
    with django_assert_max_num_queries(15):
        _html(growth, "/experiments/home/")


def test_the_list_needs_as_many_queries_for_many_experiments_as_for_one(
    growth: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    pages.every_state()
    with django_assert_max_num_queries(17):
        _html(growth, "/experiments/")


def test_a_viewer_sees_the_report_but_no_button_that_changes_something(
    viewer: Client,
) -> None:
    pages.report(pages.experiment("ship"), content("ship"))
    html = _html(viewer, "/experiments/ship/")
    assert "Ship C, transformer v3" in html
    main = html[html.index('<main id="main"') :]
    assert "<form" not in main
    assert viewer.post("/experiments/ship/analyse/").status_code == 403


def test_growth_is_offered_the_forms_the_server_takes(growth: Client) -> None:
    pages.report(pages.experiment("ship"), content("ship"), number=7)
    html = _html(growth, "/experiments/ship/")
    html = re.sub(r"\s+", " ", html)
    form = html[html.index('action="/experiments/ship/ship/"') :]
    assert 'name="variant" value="c"' in form
    assert 'name="report" value="7"' in form
    assert 'action="/experiments/ship/pause/"' in html
    assert "manage.py reproduce ship 7" in html


def test_an_older_report_is_read_frozen_with_a_way_to_the_newest(
    growth: Client,
) -> None:
    of = pages.experiment("ship")
    pages.report(of, content("keep_running", days=8), number=1)
    pages.report(of, content("ship"), number=2)
    html = _html(growth, "/experiments/ship/?report=1")
    assert "You are reading report 1, which is frozen." in html
    assert "Too early to tell" in html
    for asked in ("9", "x", "-1"):
        _html(growth, f"/experiments/ship/?report={asked}", 404)


def test_a_running_and_a_failed_analysis_leave_the_last_report_readable(
    growth: Client,
) -> None:
    of = pages.experiment("ship")
    pages.report(of, content("ship"))
    job = Job.objects.create(
        kind="analyse",
        title="Analyse ship",
        parameters={"experiment": "ship"},
        state=JobState.RUNNING,
        progress=0.6,
    )
    html = _html(growth, "/experiments/ship/")
    assert "A report is being computed." in html
    assert "Ship C, transformer v3" in html
    job.state, job.error = JobState.FAILED, "UnavailableError: the lake is away"
    job.save()
    html = _html(growth, "/experiments/ship/")
    assert "The last analysis failed." in html
    assert "the lake is away" in html
    assert "Ship C, transformer v3" in html


def test_an_old_report_of_a_running_experiment_says_its_age(growth: Client) -> None:
    made = pages.report(pages.experiment("ship"), content("ship"))
    Report.objects.filter(pk=made.pk).update(
        created_at=datetime.now(UTC) - timedelta(days=3)
    )
    assert "These figures are 3 days old." in _html(growth, "/experiments/ship/")


def test_a_roll_back_is_told_above_the_verdict(growth: Client) -> None:
    of = pages.experiment("ship", status="concluded")
    made = pages.report(of, content("ship"))
    Decision.objects.create(
        experiment=of,
        report=made,
        action="roll_back",
        reason="Returns rose.",
        decided_by=pages.person("growth"),
    )
    html = _html(growth, "/experiments/ship/")
    assert "Mara Growth rolled back on" in html
    assert "Returns rose." in html


def test_names_of_people_and_things_are_escaped(growth: Client) -> None:
    name = "<script>alert(1)</script>"
    pages.report(pages.experiment("ship", name=name), content("ship"))
    for address in ("/", "/experiments/ship/", "/experiments/ship/history/"):
        html = _html(growth, address)
        assert name not in html
        assert "&lt;script&gt;" in html


def test_no_page_carries_an_inline_style_or_script(growth: Client) -> None:
    pages.every_state()
    for address in ("/", *(f"/experiments/{key}/" for key in ("ship", "no-verdict"))):
        html = _html(growth, address)
        assert " style=" not in html
        assert "<style" not in html
        assert "<script" not in html
        assert not re.search(r"\son[a-z]+=", html)


def test_the_list_filters_by_name_state_and_placement(growth: Client) -> None:
    pages.every_state()
    html = _html(growth, "/experiments/?q=ship&state=shipped&placement=home")
    assert "1 of 1 experiment<" in html
    html = _html(growth, "/experiments/?q=nothing+like+it")
    assert "No experiment matches" in html
    assert "archived" not in _html(growth, "/experiments/?page=99").split("<table")[1]


def test_an_empty_shop_is_told_what_to_do_first(viewer: Client) -> None:
    html = _html(viewer, "/experiments/")
    assert "No experiment yet" in html
    assert "New experiment" not in html


def test_the_history_holds_changes_reports_and_decisions(growth: Client) -> None:
    pages.every_state()
    html = _html(growth, "/experiments/shipped/history/")
    for words in ("Started with three variants.", "Report 1, look 2", "Shipped:"):
        assert words in html


def test_the_pages_need_a_login(client: Client) -> None:
    for address in ("/", "/experiments/", "/experiments/x/", "/experiments/x/history/"):
        assert client.get(address)["Location"].startswith("/admin/login/")
