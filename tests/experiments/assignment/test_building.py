from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone

from experiments.assignment.building import build_plan
from experiments.assignment.evaluator import Reason, assign
from experiments.assignment.plan import Plan
from experiments.assignment.publication import CHANNEL, PLAN_KEY, decode_plan
from experiments.assignment.services import publish_plan
from experiments.assignment.tasks import publish_plan as publish_task
from experiments.design.models import Experiment, Placement
from experiments.design.services import change_coverage, create_experiment, transition
from experiments.events.models import Item
from experiments.gateway.services import create_key, revoke_key
from models_registry.models import Alias
from tests.factories import experiment_spec, placement, version

pytestmark = pytest.mark.django_db
Count = Callable[..., AbstractContextManager[Any]]


def built() -> Plan:
    return build_plan(timezone.now())


def running(key: str = "test", **fields: Any) -> Experiment:
    made = create_experiment(experiment_spec(key, **fields), by=None)
    return transition(made, "start", by=None)


def test_a_running_experiment_is_a_rule_of_its_placement() -> None:
    running(coverage=0.5)
    plan = built()
    [rule] = plan.placements["home"].experiments
    assert (rule.key, rule.status, rule.phase, rule.epoch) == ("test", "running", 1, 1)
    assert (rule.seed, rule.control, rule.coverage) == ("test", "control", 0.5)
    assert [(v.key, v.start, v.end, v.weight) for v in rule.variants] == [
        ("control", 0.0, 0.25, 0.5),
        ("treatment", 0.5, 0.75, 0.5),
    ]
    assert {v.version_id for v in rule.variants} <= set(plan.versions)


def make_champion(number: int) -> None:
    Alias.objects.filter(name="champion").update(version=version(number))


@pytest.mark.parametrize("action", [None, "pause", "archive"])
def test_an_experiment_that_does_not_run_is_no_rule(action: str | None) -> None:
    made = create_experiment(experiment_spec("test"), by=None)
    if action == "pause":
        transition(made, "start", by=None)
    if action is not None:
        transition(made, action, by=None)
    assert built().placements["home"].experiments == ()


def test_raising_coverage_opens_an_epoch_and_moves_nobody() -> None:
    made = running(coverage=0.2)
    before = built().placements["home"]
    change_coverage(made, 0.9, by=None)
    after = built().placements["home"]
    assert after.experiments[0].epoch == 2
    now = timezone.now().timestamp()
    answers = [
        (assign(before, f"u{n}", {}, now), assign(after, f"u{n}", {}, now))
        for n in range(2_000)
    ]
    assert all(old.variant in {None, new.variant} for old, new in answers)
    assert sum(old.variant is None for old, _ in answers) > 1_400


def test_the_placement_answers_the_champion_by_default() -> None:
    made = placement()
    plan = built()
    champion = Alias.objects.get(model=made.default_model, name="champion").version
    assert plan.placements["home"].default_version_id == champion.pk
    assert plan.versions[champion.pk].artifact_digest == champion.artifact_digest
    assert plan.fallback_version_ids == {"home": champion.pk}


def test_the_newest_popularity_version_is_the_fallback() -> None:
    version(1), version(2), version(3, kind="item_knn")
    assert built().fallback_version_ids == {"home": version(2).pk}


def test_a_value_placement_carries_its_json() -> None:
    Placement.objects.create(
        key="colour", name="Colour", value_type="string", default_value="blue"
    )
    found = built().placements["colour"]
    assert (found.default_payload, found.default_version_id) == ('"blue"', None)


def test_shipping_makes_everybody_get_the_variant() -> None:
    made = running()
    treatment = made.variants.get(key="treatment")
    transition(made, "ship", by=None, outcome=treatment)
    make_champion(2)
    home = built().placements["home"]
    answer = assign(home, "u1", {}, timezone.now().timestamp())
    assert (answer.reason, answer.variant) == (Reason.STOPPED, "treatment")
    assert answer.version_id == treatment.version_id == home.default_version_id


def test_rolling_back_takes_it_away_again() -> None:
    made = running()
    treatment = made.variants.get(key="treatment")
    transition(made, "ship", by=None, outcome=treatment)
    control = made.variants.get(key="control")
    transition(made, "roll_back", by=None, outcome=control)
    answer = assign(built().placements["home"], "u1", {}, timezone.now().timestamp())
    assert (answer.reason, answer.variant) == (Reason.STOPPED, "control")
    assert answer.version_id == version(1).pk


def test_a_stopped_experiment_never_overrides_a_newer_decision() -> None:
    transition(running("old"), "conclude", by=None)
    make_champion(3)
    home = built().placements["home"]
    answer = assign(home, "u1", {}, timezone.now().timestamp())
    assert (answer.reason, answer.variant) == (Reason.STOPPED, None)
    assert answer.version_id == version(3).pk


def test_a_stopped_experiment_does_not_keep_a_running_one_from_its_shoppers() -> None:
    transition(running("old"), "conclude", by=None)
    running("new")
    home = built().placements["home"]
    assert [rule.key for rule in home.experiments] == ["new", "old"]
    assert assign(home, "u1", {}, timezone.now().timestamp()).experiment == "new"


def test_live_keys_are_in_the_plan_and_others_are_not() -> None:
    row, _ = create_key(
        label="shop",
        client="shop",
        kind="publishable",
        scopes=["events"],
        origins=["https://shop.example"],
        rate_per_minute=60,
    )
    gone, _ = create_key(label="g", client="g", kind="secret", scopes=["manage"])
    revoke_key(gone)
    create_key(
        label="e",
        client="e",
        kind="secret",
        scopes=["manage"],
        expires_at=timezone.now() - timedelta(seconds=1),
    )
    [key] = built().keys.values()
    assert (key.digest, key.scopes, key.origins) == (
        row.digest,
        ("events",),
        ("https://shop.example",),
    )
    assert (key.kind, key.rate_per_minute, key.expires_at) == ("publishable", 60, 0.0)


def test_items_that_may_not_be_shown_are_listed() -> None:
    soon = timezone.now() + timedelta(days=1)
    Item.objects.create(item_id="here")
    Item.objects.create(item_id="sold out", in_stock=False)
    Item.objects.create(item_id="tomorrow", available_from=soon)
    assert built().items_out == {"sold out", "tomorrow"}


def test_the_same_content_has_the_same_revision() -> None:
    running()
    first, second = built(), built()
    assert first.revision == second.revision
    assert len(first.revision) == 16
    Item.objects.create(item_id="gone", in_stock=False)
    assert built().revision != first.revision


def test_the_number_of_queries_does_not_grow_with_the_experiments(
    django_assert_max_num_queries: Count,
) -> None:
    for number in range(8):
        running(f"test-{number}")
    with django_assert_max_num_queries(15):
        assert len(built().placements["home"].experiments) == 8


@pytest.mark.django_db(transaction=True)
def test_a_committed_change_is_published_and_noticed(
    redis_client: "redis.Redis",
) -> None:
    with redis_client.pubsub(  # type: ignore[no-untyped-call] # redis's own
        ignore_subscribe_messages=True
    ) as notices:
        notices.subscribe(CHANNEL)
        notices.get_message(timeout=1)
        running()
        plan = decode_plan(redis_client.get(PLAN_KEY))  # type: ignore[arg-type] # bytes
        assert plan.placements["home"].experiments[0].key == "test"
        notice = None
        while notice is None or notice["data"].decode() != plan.revision:
            notice = notices.get_message(timeout=1)
            assert notice is not None


@pytest.mark.django_db(transaction=True)
def test_publishing_again_tells_nobody_when_nothing_changed(
    redis_client: "redis.Redis",
) -> None:
    placement()
    publish_plan()
    with redis_client.pubsub(  # type: ignore[no-untyped-call] # redis's own
        ignore_subscribe_messages=True
    ) as notices:
        notices.subscribe(CHANNEL)
        notices.get_message(timeout=1)
        publish_task()
        assert notices.get_message(timeout=0.1) is None


@pytest.mark.django_db(transaction=True)
def test_a_change_is_committed_while_redis_is_away(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    running()
    assert Experiment.objects.get().status == "running"
