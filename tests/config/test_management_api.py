"""The management API as tools use it: over the real URLs, with a key."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from experiments.design.models import Experiment
from experiments.gateway.services import create_key
from tests.factories import metric, placement, version

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> str:
    return create_key(label="ci", client="ci", kind="secret", scopes=["manage"])[1]


def post(client: Client, key: str, path: str, body: object) -> tuple[int, Any]:
    data = body if isinstance(body, str) else json.dumps(body)
    answer = client.post(
        path, data, content_type="application/json", headers={"X-API-Key": key}
    )
    return answer.status_code, answer.json()


def draft(**changes: object) -> dict[str, object]:
    metric()
    return {
        "key": "home-page",
        "name": "Home page",
        "placement": placement().key,
        "variants": [
            {"key": "a", "weight": 0.5, "version": version(1).pk},
            {"key": "b", "weight": 0.5, "version": version(2).pk},
        ],
        "metrics": [{"metric": "recommended_click_share", "role": "primary"}],
        **changes,
    }


def test_an_experiment_is_created_checked_started_and_concluded(
    client: Client, key: str
) -> None:
    status, made = post(client, key, "/api/v1/experiments/", draft())
    assert (status, made["status"]) == (201, "draft")
    assert [v["is_control"] for v in made["variants"]] == [True, False]

    findings = client.get(
        "/api/v1/experiments/home-page/check/", headers={"X-API-Key": key}
    ).json()
    assert all(finding["ok"] for finding in findings)

    move = "/api/v1/experiments/home-page/transition/"
    assert post(client, key, move, {"action": "start"})[1]["status"] == "running"
    assert post(client, key, move, {"action": "conclude"})[1]["outcome"] == "a"
    history = client.get(
        "/api/v1/experiments/home-page/history/", headers={"X-API-Key": key}
    ).json()
    assert [c["action"] for c in history] == ["conclude", "start", "create"]


def test_an_action_out_of_turn_is_a_conflict_that_says_what_is_possible(
    client: Client, key: str
) -> None:
    post(client, key, "/api/v1/experiments/", draft())
    status, body = post(
        client, key, "/api/v1/experiments/home-page/transition/", {"action": "pause"}
    )
    assert (status, body["error"]["code"]) == (409, "conflict")
    assert "start" in body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("{not json", 400, None),
        ([], 400, None),
        ({}, 400, "name"),
        ({"placement": "nowhere"}, 400, "placement"),
        ({"variants": [{"key": "a", "weight": "half"}]}, 400, "variants[0].weight"),
        ({"coverage": 2}, 400, "coverage"),
        ({"looks": 3}, 400, None),
        ({"key": "no spaces allowed"}, 400, "key"),
    ],
    ids=["json", "type", "empty", "placement", "weight", "coverage", "looks", "key"],
)
def test_bad_input_gets_the_envelope_with_the_field(
    client: Client, key: str, body: object, status: int, field: str | None
) -> None:
    sent = draft(**body) if isinstance(body, dict) and body else body
    found, answer = post(client, key, "/api/v1/experiments/", sent)
    assert found == status
    assert set(answer) == {"error"}
    assert answer["error"]["message"]
    if field:
        assert field in [d["field"] for d in answer["error"]["details"]]
    assert not Experiment.objects.exists()


@pytest.mark.parametrize("key", ["", "sw_sk_nonsense"])
def test_without_a_key_nothing_is_told(client: Client, key: str) -> None:
    answer = client.get("/api/v1/experiments/", headers={"X-API-Key": key})
    assert answer.status_code in {401, 403}
    assert set(answer.json()) == {"error"}


def test_an_unknown_path_under_the_api_answers_in_the_envelope(client: Client) -> None:
    answer = client.get("/api/v1/nothing/")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_key_is_shown_once_and_then_only_its_beginning(client: Client) -> None:
    admin = User.objects.create_user("ada", is_staff=True)
    admin.groups.set([Group.objects.get_or_create(name="administrator")[0]])
    client.force_login(admin)
    made = client.post(
        "/api/v1/keys/",
        json.dumps(
            {"label": "Shop", "client": "shop", "kind": "secret", "scopes": ["events"]}
        ),
        content_type="application/json",
    )
    assert made.status_code == 201
    plain = made.json()["key"]
    listed = client.get("/api/v1/keys/").content.decode()
    assert plain not in listed
    assert plain.startswith(client.get("/api/v1/keys/").json()["results"][0]["start"])


def test_the_schema_names_every_resource_and_the_storefronts_routes(
    client: Client,
) -> None:
    viewer = User.objects.create_user("vera")
    viewer.groups.set([Group.objects.get_or_create(name="viewer")[0]])
    client.force_login(viewer)
    schema = client.get("/api/schema/?format=json").json()
    wanted = {
        *(f"/api/v1/{name}/" for name in ("placements", "experiments", "metrics")),
        *(f"/api/v1/{name}/" for name in ("reports", "models", "versions", "jobs")),
        *("/api/v1/recommendations", "/api/v1/events", "/api/v1/analyses/"),
    }
    assert wanted <= set(schema["paths"])
    assert client.get("/api/docs/").status_code == 200


def test_experiments_of_a_layer_are_kept_apart_over_the_api(
    client: Client, key: str
) -> None:
    assert post(client, key, "/api/v1/layers/", {"key": "top", "name": "Top"})[0] == 201
    asked = {"memberships": [{"layer": "top", "share": 70}]}
    told = []
    for name in ("one", "two"):
        made = post(client, key, "/api/v1/experiments/", draft(key=name, **asked))
        assert made[0] == 201
        path = f"/api/v1/experiments/{name}/transition/"
        told.append(post(client, key, path, {"action": "start"}))
    assert [status for status, _ in told] == [200, 400]
    assert "30 % of its shoppers left" in told[1][1]["error"]["message"]
    layer = client.get("/api/v1/layers/top/", headers={"X-API-Key": key}).json()
    assert layer["free"] == 30


def test_a_holdout_is_opened_and_ended_over_the_api(client: Client, key: str) -> None:
    asked = {"key": "q4", "name": "Quarter", "share": 0.1, "tags": ["price"]}
    status, made = post(client, key, "/api/v1/holdouts/", asked)
    assert (status, made["ended_at"]) == (201, None)
    assert post(client, key, "/api/v1/holdouts/q4/end/", {})[1]["ended_at"]
    assert post(client, key, "/api/v1/holdouts/q4/end/", {})[0] == 409
    assert post(client, key, "/api/v1/holdouts/", {**asked, "share": 0.9})[0] == 400


def test_what_was_asked_of_an_experiment_is_kept(client: Client, key: str) -> None:
    placement("checkout")
    asked = {
        "exposure_source": "client",
        "minimum_effect": 0.02,
        "tags": ["price"],
        "sticky": True,
        "prerequisites": [{"placement": "checkout", "condition": {"value": "x"}}],
    }
    status, made = post(client, key, "/api/v1/experiments/", draft(**asked))
    assert status == 201
    made["prerequisites"][0].pop("gate")
    assert {name: made[name] for name in asked} == asked


def test_a_circle_of_prerequisites_is_refused_over_the_api(
    client: Client, key: str
) -> None:
    itself = [{"placement": "home", "condition": {"value": "x"}}]
    status, body = post(
        client, key, "/api/v1/experiments/", draft(prerequisites=itself)
    )
    assert status == 400
    assert "home -> home" in body["error"]["message"]
    assert not Experiment.objects.exists()
