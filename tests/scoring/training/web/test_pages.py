"""The model and run pages."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from models_registry.models import Evaluation, Job, JobState, Version
from tests import pages

pytestmark = [pytest.mark.django_db]


def _client(role: str) -> Client:
    client = Client()
    client.force_login(pages.person(role))
    return client


def _html(address: str, role: str = "viewer", **headers: str) -> str:
    response = _client(role).get(address, headers=headers)
    assert response.status_code == 200, response.content[:500]
    return response.content.decode()


def test_without_a_model_the_list_says_when_one_will_come() -> None:
    assert "its first training run ends" in _html("/models/")


def test_the_list_shows_each_version_with_its_aliases_and_use() -> None:
    pages.experiment("ship")
    html = _html("/models/")
    for words in ("transformer v3", "champion", "0.0984 to 0.1066", "Home-page"):
        assert words in html


def test_the_comparison_claims_with_a_paired_interval_against_the_champion() -> None:
    pages.versions()
    html = _html("/models/compare/?v=home/3&v=home/2&v=home/1")
    assert "transformer v3 ranks 34% better than today&#x27;s champion" in html
    assert "paired on the same shoppers" in html
    assert "always saying “no” scores 99.68%" in html
    assert "a relevant item stands behind every other item" in html
    assert "global time cut" in html


def test_versions_judged_on_other_shoppers_are_not_paired() -> None:
    pages.versions()
    other = Evaluation.objects.get(version__number=3)
    other.protocol = {**other.protocol, "cases_hash": "other"}
    other.save()
    html = _html("/models/compare/?v=home/1&v=home/3")
    assert "judged on other shoppers" in html
    assert "Not the same for all" in html


@pytest.mark.parametrize("query", ["", "?v=nothing", "?v=home/99", "?v=a/b/c&v=/1"])
def test_a_comparison_of_nothing_offers_the_list(query: str) -> None:
    assert "No version chosen" in _html(f"/models/compare/{query}")


def test_a_version_page_tells_where_it_comes_from_and_where_it_went() -> None:
    pages.experiment("ship")
    html = _html("/models/home/1/")
    for words in (
        "cut 3 Aug 2026, 00:00",
        "Evaluation",
        "First champion.",
        "11111111…1111",
        "24 hours",
    ):
        assert words in html


def test_a_version_never_judged_still_has_a_page() -> None:
    pages.versions()
    Evaluation.objects.all().delete()
    assert "Not evaluated yet" in _html("/models/home/2/")
    assert "Nothing to compare yet" in _html("/models/compare/?v=home/1&v=home/2")


def test_an_unknown_version_or_run_is_not_found() -> None:
    for address in ("/models/home/9/", "/runs/9/"):
        assert _client("viewer").get(address).status_code == 404


def test_a_run_shows_progress_time_left_curve_figures_and_log() -> None:
    run = pages.training_run()
    html = _html(f"/runs/{run.pk}/", "engineer")
    for words in (
        "Epoch 22 of 30, about 5 min left",
        'value="0.7333"',
        "3.536",
        "Cancel the run",
        "epoch 22 of 30, loss",
        "while the run goes on; now",
    ):
        assert words in html


def test_htmx_gets_the_moving_part_alone_and_polls_until_the_end() -> None:
    run = pages.training_run()
    part = _html(f"/runs/{run.pk}/", **{"HX-Request": "true"})
    assert part.lstrip().startswith('<div id="progress"')
    assert "hx-trigger" in part
    run.state = JobState.FAILED
    run.error = "InvalidError: the log has no click before 3 Aug"
    run.save()
    part = _html(f"/runs/{run.pk}/", **{"HX-Request": "true"})
    assert "hx-trigger" not in part
    assert "the log has no click before 3 Aug" in part


def test_a_viewer_cannot_cancel_and_an_engineer_can() -> None:
    run = pages.training_run()
    address = f"/runs/{run.pk}/cancel/"
    assert "Cancel the run" not in _html(f"/runs/{run.pk}/")
    assert _client("viewer").post(address).status_code == 403
    assert _client("engineer").get(address).status_code == 405
    assert _client("engineer").post(address).status_code == 302
    run.refresh_from_db()
    assert run.cancel_requested
    assert "Stopping…" in _html(f"/runs/{run.pk}/", "engineer")


def test_cancelling_a_run_that_ended_says_so() -> None:
    run = pages.training_run()
    Job.objects.filter(pk=run.pk).update(state=JobState.SUCCEEDED)
    response = _client("engineer").post(f"/runs/{run.pk}/cancel/", follow=True)
    assert "only a queued or running job can be cancelled" in response.content.decode()


def test_the_pages_need_a_login() -> None:
    for address in ("/models/", "/models/compare/", "/runs/", "/runs/1/"):
        response = Client().get(address)
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


def test_many_versions_cost_no_more_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    versions = pages.versions()
    for number in range(4, 24):
        Version.objects.create(
            model=versions[0].model,
            number=number,
            kind="ease",
            artifact_digest="0" * 64,
        )
    client = _client("viewer")
    with django_assert_max_num_queries(9):
        client.get("/models/")
