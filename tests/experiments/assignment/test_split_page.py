"""The page that changes a running experiment's split, told beforehand whom it moves."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from experiments.design.models import Experiment
from experiments.design.services import create_experiment, transition
from tests.factories import experiment_spec

pytestmark = pytest.mark.django_db
PAGE = "/experiments/test/split/"
FORM = {
    "coverage": "50",
    "weight-control": "50",
    "weight-treatment": "50",
    "audience": "",
    "mode": "continue",
}


@pytest.fixture
def experiment() -> Experiment:
    made = create_experiment(experiment_spec("test", coverage=0.5), by=None)
    return transition(made, "start", by=None)


@pytest.fixture
def growth(client: Client) -> Client:
    user = User.objects.create_user("growth")
    user.groups.add(Group.objects.get(name="growth"))
    client.force_login(user)
    return client


def test_the_page_shows_the_split_as_it_is(
    growth: Client, experiment: Experiment
) -> None:
    page = growth.get(PAGE).content.decode()
    [coverage] = re.findall(r'<input id="coverage"[^>]*>', page)
    assert 'value="50"' in coverage
    assert "Apply" not in page
    assert PAGE in growth.get("/experiments/test/").content.decode()


def test_an_edit_is_previewed_before_it_can_be_applied(
    growth: Client, experiment: Experiment
) -> None:
    page = growth.post(PAGE, {**FORM, "coverage": "80", "do": "preview"})
    assert "No shopper was seen lately" in page.content.decode()
    assert "Apply" in page.content.decode()
    experiment.refresh_from_db()
    assert experiment.coverage == 0.5
    growth.post(PAGE, {**FORM, "coverage": "80", "do": "apply"})
    experiment.refresh_from_db()
    assert experiment.coverage == 0.8
    assert experiment.changes.filter(action="coverage", made_by__username="growth")


def test_the_form_carries_the_token_that_browsers_must_send(
    experiment: Experiment,
) -> None:
    client = Client(enforce_csrf_checks=True)
    user = User.objects.create_user("growth")
    user.groups.add(Group.objects.get(name="growth"))
    client.force_login(user)
    page = client.get(PAGE).content.decode()
    _, form = page.split('aria-label="The split"')
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    asked = {**FORM, "coverage": "80", "do": "preview"}
    assert client.post(PAGE, asked).status_code == 403
    assert client.post(PAGE, {**asked, "csrfmiddlewaretoken": token}).status_code == 200


def test_other_weights_open_a_phase(growth: Client, experiment: Experiment) -> None:
    changed = {**FORM, "weight-control": "40", "weight-treatment": "60"}
    growth.post(PAGE, {**changed, "do": "apply"})
    assert experiment.phases.get(number=2).weights == {"control": 0.4, "treatment": 0.6}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "Nothing would change"),
        ({"coverage": "much"}, "write a number of percent"),
        ({"coverage": "101"}, "use 0 to 100"),
        ({"coverage": "0"}, "use a share above 0"),
        ({"audience": "{"}, "The audience is no JSON"),
        ({"audience": "[]"}, "The audience is no object"),
        ({"weight-control": "60"}, "sum to 1.1"),
        ({"coverage": "60", "mode": "rerandomise"}, "not both at once"),
    ],
)
def test_a_wrong_edit_says_so_on_the_page(
    growth: Client, experiment: Experiment, change: dict[str, str], sentence: str
) -> None:
    page = growth.post(PAGE, {**FORM, **change, "do": "apply"})
    assert page.status_code == 400
    assert sentence in page.content.decode()
    assert experiment.phases.count() == 1


def test_a_viewer_may_not_change_it(client: Client, experiment: Experiment) -> None:
    user = User.objects.create_user("viewer")
    user.groups.add(Group.objects.get(name="viewer"))
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
