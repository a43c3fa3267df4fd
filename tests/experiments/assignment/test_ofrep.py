import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import redis

from experiments.assignment.bucketing import bucket
from experiments.assignment.plan import PlacementPlan, Plan
from experiments.gateway.handlers import Response
from tests.experiments.assignment import plans
from tests.experiments.assignment.wire import HASHER, KEYS, NOW, Wire, logged

ALL = "/ofrep/v1/evaluate/flags"
CONTEXT = {"context": {"targetingKey": "u1", "country": "nl"}}


def ask(
    path: str,
    body: Any = CONTEXT,
    key: str = KEYS.browser,
    plan: Plan | None = None,
    **headers: str,
) -> Response:
    return Wire(plan).ask(path, body, key, **headers)


def nested(levels: int) -> object:
    return [nested(levels - 1)] if levels else 1


def many(count: int) -> dict[str, int]:
    return {f"a{n}": n for n in range(count)}


def test_a_placement_under_test_answers_the_variant_and_where_it_came_from() -> None:
    response = ask(f"{ALL}/home")
    treated = bucket("home-test", "u1") >= 0.5
    assert response.status == 200
    assert json.loads(response.body) == {
        "key": "home",
        "reason": "SPLIT",
        "variant": "treatment" if treated else "control",
        "value": {"model": "home", "version": 2 if treated else 1},
        "metadata": {
            "decidedBy": "SPLIT",
            "experiment": "home-test",
            "variant": "treatment" if treated else "control",
            "phase": 1,
            "epoch": 1,
            "probability": 0.5,
            "model": "home",
            "modelVersion": 2 if treated else 1,
        },
    }


def test_a_default_has_a_variant_and_a_reason_of_the_protocol() -> None:
    body = json.loads(ask(f"{ALL}/colour").body)
    assert (body["variant"], body["reason"], body["value"]) == (
        "default",
        "STATIC",
        "blue",
    )


@pytest.mark.parametrize("text", ["5.0", "5", "true", '"x"', '{"a": [1.0]}', "1e-7"])
def test_a_value_is_written_as_it_was(text: str) -> None:
    made = plans.plan(KEYS)
    number = PlacementPlan(key="number", value_type="number", default_payload=text)
    made = msgspec.structs.replace(made, placements={"number": number})
    assert f'"value":{text},'.encode() in ask(f"{ALL}/number", plan=made).body


def test_all_placements_answer_at_once() -> None:
    response = ask(ALL)
    body = json.loads(response.body)
    assert [flag["key"] for flag in body["flags"]] == ["home", "colour"]
    assert body["flags"][0] == json.loads(ask(f"{ALL}/home").body)
    assert dict(response.headers)["content-type"] == "application/json"


def test_nothing_is_sent_again_while_nothing_changed() -> None:
    made = plans.plan(KEYS)
    etag = dict(ask(ALL, plan=made).headers)["etag"]
    again = ask(ALL, plan=made, if_none_match=etag)
    assert (again.status, again.body) == (304, b"")
    assert dict(again.headers)["etag"] == etag
    other = {"context": {"targetingKey": "u2"}}
    assert ask(ALL, other, plan=made, if_none_match=etag).status == 200


def test_a_phase_that_starts_meanwhile_is_a_change() -> None:
    made = plans.plan(KEYS)
    later = plans.experiment(started_at=2e9)
    home = msgspec.structs.replace(made.placements["home"], experiments=(later,))
    made = msgspec.structs.replace(made, placements={"home": home})
    body = {**CONTEXT, "timestamp": "2026-01-01T00:00:00Z"}
    after = {**CONTEXT, "timestamp": "2040-01-01T00:00:00Z"}
    first = ask(ALL, body, KEYS.simulate, made)
    second = ask(ALL, after, KEYS.simulate, made)
    assert json.loads(first.body)["flags"][0]["reason"] == "STATIC"
    assert json.loads(second.body)["flags"][0]["reason"] == "SPLIT"
    assert dict(first.headers)["etag"] != dict(second.headers)["etag"]


@pytest.mark.parametrize("path", [ALL, f"{ALL}/home"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        ({"context": []}, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": 5}}, "INVALID_CONTEXT"),
        ({}, "TARGETING_KEY_MISSING"),
        ({"context": {}}, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": ""}}, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": "u", "a": nested(19)}}, "PARSE_ERROR"),
        (b'{"context":{"a":' + b"[" * 5_000, "PARSE_ERROR"),
        ({"context": {"targetingKey": "u", **many(1_000)}}, "INVALID_CONTEXT"),
    ],
)
def test_a_wrong_context_is_refused_in_the_protocols_form(
    path: str, body: Any, code: str
) -> None:
    response = ask(path, body)
    error = json.loads(response.body)
    assert (response.status, error["errorCode"]) == (400, code)
    assert error["errorDetails"]
    assert error.get("key") == ("home" if path.endswith("home") else None)


def test_an_unknown_placement_is_a_flag_not_found() -> None:
    response = ask(f"{ALL}/nowhere")
    assert response.status == 404
    assert json.loads(response.body)["errorCode"] == "FLAG_NOT_FOUND"


def test_a_placement_whose_model_has_no_version_fails_alone() -> None:
    made = plans.plan(KEYS)
    empty = PlacementPlan(key="empty", value_type="model")
    made = msgspec.structs.replace(
        made, placements={"empty": empty, "colour": made.placements["colour"]}
    )
    flags = json.loads(ask(ALL, plan=made).body)["flags"]
    assert [flag.get("errorCode") for flag in flags] == ["GENERAL", None]
    alone = ask(f"{ALL}/empty", plan=made)
    assert (alone.status, json.loads(alone.body)["errorCode"]) == (400, "GENERAL")


@pytest.mark.parametrize(
    ("key", "status"), [("", 401), (KEYS.catalogue, 403)], ids=["none", "scope"]
)
def test_a_wrong_key_is_refused_without_a_body(key: str, status: int) -> None:
    response = ask(ALL, key=key)
    assert (response.status, response.body) == (status, b"")


def test_a_context_as_deep_and_as_wide_as_allowed_is_evaluated() -> None:
    context = {"targetingKey": "u1", "a": nested(18), **many(997)}
    assert ask(ALL, {"context": context}).status == 200


def changed(plan: Plan, **more: object) -> Plan:
    """The plan after a change of its one experiment."""
    home = plan.placements["home"]
    rule = msgspec.structs.replace(home.experiments[0], **more)
    home = msgspec.structs.replace(home, experiments=(rule,))
    placements = {**plan.placements, "home": home}
    revision = f"{plan.revision}x"
    return msgspec.structs.replace(
        plan, placements=placements, revision=revision, built_at=plan.built_at + 60
    )


def test_a_plan_that_changes_no_answer_sends_nothing_again() -> None:
    wire = Wire()
    etag = dict(wire.ask(ALL, CONTEXT).headers)["etag"]
    plan = wire.holder.current()
    out = msgspec.structs.replace(plan, revision="other", items_out=frozenset({"i"}))
    wire.holder.swap(out)
    assert wire.ask(ALL, CONTEXT, if_none_match=etag).status == 304
    wire.holder.swap(changed(plan, phase=2))
    assert wire.ask(ALL, CONTEXT, if_none_match=etag).status == 200


def test_an_answer_is_good_for_half_a_day() -> None:
    wire = Wire()
    etag = dict(wire.ask(ALL, CONTEXT).headers)["etag"]
    wire.clock.moment = NOW + 12 * 3600
    assert wire.ask(ALL, CONTEXT, if_none_match=etag).status == 200


def test_another_key_has_another_etag_since_its_stream_is_another() -> None:
    wire = Wire()
    etag = dict(wire.ask(ALL, CONTEXT).headers)["etag"]
    assert wire.ask(ALL, CONTEXT, KEYS.server, if_none_match=etag).status == 200


def state(response: Response) -> str:
    found: str = json.loads(response.body)["metadata"]["configuration"]
    return found


def test_a_refetch_is_compared_with_the_new_state(redis_client: "redis.Redis") -> None:
    wire = Wire()
    first = wire.ask(ALL, CONTEXT)
    etag = dict(first.headers)["etag"]
    plan = changed(wire.holder.current(), phase=2)
    plans.publish(redis_client, plan)  # our process has not seen it yet
    told = Wire(plan).configurations.of(plan).state(NOW)
    query = f"flagConfigEtag={told}&flagConfigLastModified=5"
    again = wire.ask(ALL, CONTEXT, query=query, if_none_match=etag)
    assert (again.status, state(again)) == (200, told)
    new = dict(again.headers)["etag"]
    assert wire.ask(ALL, CONTEXT, query=query, if_none_match=new).status == 304


@pytest.mark.parametrize(
    "query", ["flagConfigEtag=other", "flagConfigLastModified=9e9"]
)
def test_a_refetch_is_never_answered_by_304_blindly(query: str) -> None:
    wire = Wire()
    etag = dict(wire.ask(ALL, CONTEXT).headers)["etag"]
    query = query.replace("9e9", "9000000000")
    assert wire.ask(ALL, CONTEXT, query=query, if_none_match=etag).status == 200


@pytest.mark.parametrize("text", ["900", "1970-01-01T00:10:00Z", "nonsense"])
def test_a_refetch_after_what_we_hold_may_be_answered_by_304(text: str) -> None:
    wire = Wire()
    etag = dict(wire.ask(ALL, CONTEXT).headers)["etag"]
    query = f"flagConfigLastModified={text}"
    assert wire.ask(ALL, CONTEXT, query=query, if_none_match=etag).status == 304


def test_the_context_may_name_the_placements_it_wants() -> None:
    context = {**CONTEXT["context"], "placements": ["colour", "nowhere"]}
    flags = json.loads(ask(ALL, {"context": context}).body)["flags"]
    assert [(flag["key"], flag.get("errorCode")) for flag in flags] == [
        ("colour", None),
        ("nowhere", "FLAG_NOT_FOUND"),
    ]
    wrong = ask(ALL, {"context": {**context, "placements": "colour"}})
    assert json.loads(wrong.body)["errorCode"] == "INVALID_CONTEXT"


def test_a_bulk_answer_says_where_changes_are_told_of() -> None:
    [entry] = json.loads(ask(ALL).body)["eventStreams"]
    assert (entry["type"], entry["inactivityDelaySec"]) == ("sse", 120)
    assert entry["endpoint"]["requestUri"].startswith("/ofrep/v1/stream/")


def test_a_server_side_exposure_is_logged_once_a_day(
    redis_client: "redis.Redis",
) -> None:
    wire = Wire()
    agent = {"user_agent": "openfeature-python/0.3.0 x"}
    wire.ask(ALL, {"context": {**CONTEXT["context"], "id": "u1"}}, **agent)
    wire.ask(f"{ALL}/home", CONTEXT, **agent)
    rows = logged(redis_client, "exposure")
    assert len({row.event_id for row in rows}) == 1
    row = rows[0]
    assert (row.experiment, row.phase, row.epoch) == ("home-test", 1, 1)
    assert (row.reason, row.assignment_probability) == ("SPLIT", 0.5)
    assert row.attributes == '{"country":"nl"}'
    assert row.unit_key == HASHER.hash("u1")
    assert row.timestamp == datetime.fromtimestamp(NOW, UTC)
    assert json.loads(row.properties or "") == {
        "endpoint": "ofrep.bulk",
        "sdk": "openfeature-python",
        "sdk_version": "0.3.0",
    }
    assert row.model_version in {"home/1", "home/2"}
    wire.clock.moment = NOW + 86_400
    wire.ask(ALL, CONTEXT)
    assert len({row.event_id for row in logged(redis_client, "exposure")}) == 2


def test_the_client_logs_where_the_experiment_says_so(
    redis_client: "redis.Redis",
) -> None:
    ask(ALL, plan=changed(plans.plan(KEYS), exposure="client"))
    assert logged(redis_client) == []
