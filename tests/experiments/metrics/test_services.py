"""Metrics are followed by versions, never edited."""

import pytest
from django.test import Client

from experiments.metrics.admin import MetricForm
from experiments.metrics.definitions import Conversion, Count, Filter
from experiments.metrics.models import Metric
from experiments.metrics.presets import PRESETS
from experiments.metrics.services import ensure_metric
from models_registry.errors import InvalidError

pytestmark = pytest.mark.django_db


def test_a_preset_is_made_once_by_its_key() -> None:
    metric = ensure_metric("fallback_share")
    assert ensure_metric("fallback_share") == metric
    assert metric.name == PRESETS["fallback_share"].name
    assert metric.versions.count() == 1


def test_a_changed_definition_is_a_new_version_and_keeps_the_old_one() -> None:
    first = Conversion(events=("click",))
    metric = ensure_metric("clickers", name="Clickers", definition=first)
    ensure_metric("clickers", definition=Conversion(events=("click", "view")))
    numbers = {v.number: v.definition["events"] for v in metric.versions.all()}
    assert numbers == {1: ["click"], 2: ["click", "view"]}


def test_a_new_name_is_no_new_version() -> None:
    definition = Count(events=("click",))
    ensure_metric("clicks", name="Clicks", definition=definition)
    metric = ensure_metric("clicks", name="All clicks", definition=definition)
    assert (metric.name, metric.versions.count()) == ("All clicks", 1)


def test_an_unknown_key_without_definition_is_refused() -> None:
    with pytest.raises(InvalidError, match="'nothing' is no preset"):
        ensure_metric("nothing")


def test_a_wrong_definition_is_refused_and_leaves_nothing() -> None:
    wrong = Conversion(events=("x",), filters=(Filter("colour", "is", "red"),))
    with pytest.raises(InvalidError, match="is no column"):
        ensure_metric("wrong", definition=wrong)
    assert not Metric.objects.filter(key="wrong").exists()


def test_the_admin_makes_a_version_of_a_changed_definition(
    admin_client: Client,
) -> None:
    metric = ensure_metric("clicks_per_shopper")
    body = {
        "name": "Clicks",
        "description": "",
        "definition": '{"kind": "count", "events": ["click"], "cap": 5}',
        "versions-TOTAL_FORMS": "0",
        "versions-INITIAL_FORMS": "0",
    }
    page = f"/admin/metrics/metric/{metric.pk}/change/"
    assert admin_client.post(page, body).status_code == 302
    latest = metric.versions.order_by("-number").first()
    assert latest is not None
    assert (latest.number, latest.definition["cap"]) == (2, 5)


def test_the_admin_shows_what_is_wrong_beside_the_field() -> None:
    metric = ensure_metric("clicks_per_shopper")
    body = {"key": metric.key, "name": "Clicks", "definition": '{"kind": "mode"}'}
    form = MetricForm(body, instance=metric)
    assert form.fields["definition"].initial["events"] == ["click"]
    assert "kind is 'mode'" in form.errors["definition"][0]
