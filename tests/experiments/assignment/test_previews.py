"""An edit's preview: it names exactly those whom the edit then moves."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from experiments.assignment.answers import UnitContext
from experiments.assignment.building import build_plan
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.moves import Moves, Shopper
from experiments.assignment.previews import preview_audience, preview_split
from experiments.assignment.reservoir import AT_ONCE, UNITS, Cipher, Reservoir, erase
from experiments.assignment.services import publish_plan
from experiments.design.models import Experiment
from experiments.design.services import (
    change_coverage,
    change_split,
    create_experiment,
    transition,
)
from experiments.gateway.services import create_key
from experiments.gateway.units import UnitHasher
from models_registry.errors import InvalidError
from tests.factories import experiment_spec

pytestmark = pytest.mark.django_db
IDS = [f"shopper-{n}" for n in range(AT_ONCE)]


def attributes(unit: str) -> Mapping[str, Any]:
    return {"country": "NL" if int(unit.split("-")[1]) % 3 else "BE"}


@pytest.fixture(autouse=True)
def seen() -> None:
    """Shoppers who came by a moment ago."""
    remember(IDS, timezone.now().timestamp())


def remember(units: list[str], now: float) -> None:
    async def write() -> None:
        async with AsyncRedis.from_url(settings.REDIS_URL) as redis:
            hasher = UnitHasher(settings.UNIT_KEY)
            reservoir = Reservoir(redis, hasher, Cipher(settings.UNIT_KEY))
            for unit in units:
                reservoir.note(UnitContext(unit, attributes(unit), now))
            await reservoir.write(now)

    asyncio.run(write())


def running(**fields: Any) -> Experiment:
    made = create_experiment(experiment_spec("test", **fields), by=None)
    return transition(made, "start", by=None)


def variants() -> dict[str, str | None]:
    plan = CompiledPlan(build_plan(timezone.now()))
    now = timezone.now().timestamp()
    return {
        unit: plan.assign("home", UnitContext(unit, attributes(unit), now)).variant
        for unit in IDS
    }


def compare(before: dict[str, str | None], after: dict[str, str | None]) -> Moves:
    pairs = [(before[unit], after[unit]) for unit in IDS]
    return Moves(
        looked_at=len(IDS),
        before=sum(a is not None for a, _ in pairs),
        after=sum(b is not None for _, b in pairs),
        stay=sum(a is not None and a == b for a, b in pairs),
        change=sum(a is not None and b is not None and a != b for a, b in pairs),
        join=sum(a is None and b is not None for a, b in pairs),
        leave=sum(a is not None and b is None for a, b in pairs),
    )


shares = st.integers(1, 9).map(lambda tenth: tenth / 10)
edits = st.one_of(
    st.fixed_dictionaries({"coverage": shares}),
    st.fixed_dictionaries(
        {
            "weights": shares.map(
                lambda w: {"control": w, "treatment": round(1 - w, 1)}
            ),
            "mode": st.sampled_from(["continue", "rerandomise"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "audience": st.sampled_from([{}, {"country": "NL"}, {"country": "BE"}]),
            "mode": st.just("continue"),
        }
    ),
)


@hypothesis(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(edits, min_size=1, max_size=4))
def test_nobody_moves_but_those_the_preview_named(
    edits: list[dict[str, Any]],
) -> None:
    Experiment.objects.all().delete()
    made = running(coverage=0.5)
    for edit in edits:
        before, told = variants(), preview_split(made, **edit)
        if "coverage" in edit:
            change_coverage(made, edit["coverage"], by=None)
        else:
            change_split(made, **edit, by=None)
        assert told == compare(before, variants())


def test_raising_coverage_is_told_to_move_nobody() -> None:
    told = preview_split(running(coverage=0.2), coverage=0.9)
    assert (told.change, told.leave) == (0, 0)
    assert told.join > 0
    assert f"{told.join} join" in told.sentence


def test_an_audience_is_counted_beforehand() -> None:
    found = preview_audience({"country": "NL"})
    assert (found.looked_at, found.matching) == (len(IDS), len(IDS) * 2 // 3)
    with pytest.raises(InvalidError):
        preview_audience({"country": {"$nonsense": 1}})


def test_an_experiment_that_does_not_run_has_nobody_to_move() -> None:
    made = create_experiment(experiment_spec("test"), by=None)
    with pytest.raises(InvalidError, match="does not run"):
        preview_split(made, coverage=0.5)


def test_the_reservoir_keeps_no_raw_id_and_forgets_after_a_week() -> None:
    with Redis.from_url(settings.REDIS_URL) as redis:
        values = b"".join(redis.hvals(UNITS))
        assert len(values) > 0
        assert b"shopper" not in values
        assert b"country" not in values
        remember(["shopper-9999"], timezone.now().timestamp() + 8 * 86_400)
        assert redis.hlen(UNITS) == 1
        key = UnitHasher(settings.UNIT_KEY).hash("shopper-9999")
        assert erase(redis, {key}) == 1
        assert redis.hlen(UNITS) == 0


def test_a_changed_secret_opens_nothing() -> None:
    key = UnitHasher("one").hash("u")
    sealed = Cipher("one").seal(key, Shopper("u", {}))
    assert Cipher("one").open(key, sealed) == Shopper("u", {})
    assert Cipher("two").open(key, sealed) is None
    assert Cipher("one").open(b"\0" * 16, sealed) is None


def test_whom_the_storefront_answered_is_in_the_next_preview(client: Client) -> None:
    running()
    key = create_key(label="s", client="s", kind="secret", scopes=["evaluate"])[1]
    publish_plan()
    answer = client.post(
        "/ofrep/v1/evaluate/flags",
        {"context": {"targetingKey": "shopper-5000", "country": "FR"}},
        content_type="application/json",
        headers={"X-API-Key": key},
    )
    assert answer.status_code == 200
    assert preview_audience({"country": "FR"}).matching == 1
