import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client

from experiments.assignment.answers import UnitContext
from experiments.assignment.bucketing import bucket
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.explanation import ORDER, Check, explain
from experiments.assignment.plan import FilterPlan, Plan
from experiments.gateway.services import create_key
from tests import pages
from tests.experiments.assignment import plans
from tests.experiments.assignment.wire import KEYS, NOW

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pytest_django.live_server_helper import LiveServer

API = "/api/v1/assignments/explain"
UNIT = next(f"u{n}" for n in range(99) if bucket("home-test", f"u{n}") >= 0.5)


def made(**more: Any) -> Plan:
    """The small plan after a change of its one experiment."""
    plan = plans.plan(KEYS)
    home = plan.placements["home"]
    rule = msgspec.structs.replace(home.experiments[0], **more)
    home = msgspec.structs.replace(home, experiments=(rule,))
    return msgspec.structs.replace(plan, placements={**plan.placements, "home": home})


def walked(plan: Plan, unit: str = UNIT, **attributes: Any) -> Any:
    return explain(CompiledPlan(plan), "home", UnitContext(unit, attributes, NOW))


def last(found: Any) -> Check:
    check: Check = found.rules[-1].checks[-1]
    return check


def test_the_rule_that_decides_is_told_with_the_bucket_and_how_to_compute_it() -> None:
    found = walked(made())
    [rule] = found.rules
    assert rule.decided
    assert [check.kind for check in rule.checks] == list(ORDER)
    check = last(found)
    at = bucket("home-test", UNIT)
    assert (check.state, check.bucket) == ("decided", at)
    assert check.title == f"Dealt {at:.4f}"
    assert f"{at:.4f}" in check.formula
    assert found.headline == "B, treatment: by chance"
    assert found.value == {"model": "home", "version": 2}
    assert [other["placement"] for other in found.elsewhere] == ["colour"]


def test_the_clause_that_keeps_a_shopper_out_is_shown_beside_the_value() -> None:
    audience = {"country": {"$in": ["de", "at"]}, "visits": {"$gte": 3}}
    found = walked(made(condition=json.dumps(audience)), country="nl", visits=5)
    check = last(found)
    assert (check.kind, check.state) == ("audience", "refused")
    assert [(c.condition, c.value, c.holds) for c in check.clauses] == [
        ("country is one of de, at", "nl", False),
        ("visits is at least 3", "5", True),
    ]
    assert (found.variant, found.headline) == (None, "The default")


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"forced": ((UNIT, "control"),)}, "forced"),
        ({"status": "concluded"}, "stopped"),
        ({"started_at": NOW + 60}, "started"),
        ({"filters": (FilterPlan("layer", ((0.0, 0.0),)),)}, "share"),
        ({"condition": '{"country": "de"}'}, "audience"),
        ({"hash_attribute": "device"}, "split"),
    ],
)
def test_the_walk_ends_at_the_check_that_stopped_it(
    more: dict[str, Any], kind: str
) -> None:
    found = walked(made(**more))
    check = last(found)
    assert check.kind == kind
    assert check.sentence
    assert check.state == ("decided" if kind == "forced" else "refused")


@pytest.fixture
def published(redis_client: "redis.Redis") -> Plan:
    """A plan that the fronts answer by."""
    plan = made()
    plans.publish(redis_client, plan)
    return plan


@pytest.fixture
def secret(db: None) -> dict[str, str]:
    """The header of a secret key that may evaluate."""
    _, plain = create_key(
        label="server", client="shop", kind="secret", scopes=("evaluate",)
    )
    return {"X-API-Key": plain}


def test_a_secret_key_is_told_why(secret: dict[str, str], published: Plan) -> None:
    asked = {"placement": "home", "unit_id": UNIT, "attributes": '{"country": "nl"}'}
    response = Client().get(API, asked, headers=secret)
    body = response.json()
    assert response.status_code == 200
    assert body["variant"] == "treatment"
    assert body["plan_revision"] == published.revision
    assert body["rules"][0]["checks"][-1]["kind"] == "split"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"placement": "home"}, 400),
        ({"placement": "home", "unit_id": "u", "attributes": "{"}, 400),
        ({"placement": "home", "unit_id": "u", "attributes": "[]"}, 400),
        ({"placement": "home", "unit_id": "u", "attributes": "[" * 9_000}, 400),
        ({"placement": "nowhere", "unit_id": "u"}, 404),
    ],
)
def test_a_wrong_question_is_refused_in_the_envelope(
    secret: dict[str, str], published: Plan, asked: dict[str, str], status: int
) -> None:
    response = Client().get(API, asked, headers=secret)
    assert response.status_code == status
    assert response.json()["error"]["message"]


@pytest.mark.django_db
def test_strangers_and_publishable_keys_are_told_nothing(published: Plan) -> None:
    asked = {"placement": "home", "unit_id": UNIT}
    _, plain = create_key(
        label="page", client="shop", kind="publishable", scopes=("evaluate",)
    )
    assert Client().get(API, asked).status_code == 401
    refused = Client().get(API, asked, headers={"X-API-Key": plain})
    assert refused.status_code == 401
    assert Client().get("/explain/", asked).status_code == 302
    nobody = Client()
    nobody.force_login(User.objects.create_user("nobody"))
    assert nobody.get("/explain/", asked).status_code == 403


@pytest.mark.django_db
def test_a_role_is_told_why_on_the_page(published: Plan) -> None:
    client = Client()
    client.force_login(pages.person("viewer"))
    assert client.get(API, {"placement": "home", "unit_id": UNIT}).status_code == 200
    page = client.get("/explain/", {"placement": "home", "unit_id": UNIT})
    assert page.status_code == 200
    text = page.content.decode()
    assert "Why did this shopper get B?" in text
    assert "B, treatment: by chance" in text
    wrong = client.get("/explain/", {"placement": "nowhere", "unit_id": "<b>"})
    assert wrong.status_code == 400
    assert "There is no placement" in wrong.content.decode()


@pytest.mark.django_db
def test_without_redis_the_plan_that_would_be_published_answers(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    client = Client()
    client.force_login(pages.person("viewer"))
    assert client.get("/explain/").status_code == 200


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_person_asks_in_a_browser_and_reads_which_rule_decided(
    chromium: "Browser", live_server: "LiveServer", published: Plan
) -> None:
    client = Client()
    client.force_login(pages.person("viewer"))
    cookie = client.cookies["sessionid"].value
    with chromium.new_context() as context:
        context.add_cookies(
            [{"name": "sessionid", "value": cookie, "url": live_server.url}]
        )
        page = context.new_page()
        page.goto(f"{live_server.url}/explain/")
        page.get_by_label("Shopper", exact=True).fill(UNIT)
        page.get_by_label("Placement", exact=True).select_option("home")
        page.get_by_role("button", name="Explain").click()
        assert page.get_by_role("heading", level=1).inner_text().endswith("get B?")
        decided = page.locator(".walk li.info")
        assert decided.count() == 1
        assert f"{bucket('home-test', UNIT):.4f}" in decided.inner_text()
        assert decided.get_by_role("img").get_attribute("aria-label") is not None
        decided.get_by_text("Compute it yourself").click()
        assert "fnv1a32" in decided.locator("pre").inner_text()
