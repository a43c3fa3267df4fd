import threading

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection

from models_registry import jobs, services
from models_registry.errors import ConflictError, InvalidError, NotFoundError
from models_registry.models import AliasMove, Model, Version
from models_registry.selectors import (
    alias_moves,
    get_model,
    get_version,
    latest_evaluation,
    live_version,
)
from models_registry.services import EvaluationFacts
from tests.models_registry.test_artifacts import artifact, cache

__all__ = ["cache"]  # the fixture: a cache of each test's own


def register(model: Model, content: bytes = b"w", **more: object) -> Version:
    return services.register_version(
        model,
        files=artifact(weights__bin=content),
        kind="popularity",
        manifest={"seed": 0},
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def model(db: None) -> Model:
    return services.ensure_model("home")


def test_a_model_is_made_once(model: Model) -> None:
    assert services.ensure_model("home") == model
    assert get_model("home") == model


@pytest.mark.django_db
def test_a_model_name_with_a_slash_is_refused() -> None:
    with pytest.raises(InvalidError, match="'a/b'"):
        services.ensure_model("a/b")


def test_versions_count_up_and_keep_their_evaluation(model: Model) -> None:
    first = register(model, b"1")
    facts = EvaluationFacts(
        protocol={"k": 10},
        figures={"ndcg@10": {"value": 0.1, "lower": 0.05, "upper": 0.15}},
        per_unit={"ndcg@10": [0.0, 0.2]},
    )
    second = register(model, b"2", evaluation=facts)
    assert (first.number, second.number) == (1, 2)
    evaluation = latest_evaluation(second)
    assert evaluation is not None
    assert evaluation.figures["ndcg@10"]["value"] == 0.1
    assert get_version("home", 2) == second
    with pytest.raises(NotFoundError, match="version 3"):
        get_version("home", 3)


def test_a_job_that_registers_twice_gets_one_version(model: Model) -> None:
    job = jobs.create_job("train", "Train", {})
    assert register(model, b"1", job=job) == register(model, b"2", job=job)
    assert model.versions.count() == 1


def test_a_move_is_recorded_with_who_why_and_from_where(model: Model) -> None:
    person = User.objects.create(username="grace")
    first, second = register(model, b"1"), register(model, b"2")
    services.move_alias(model, "champion", first, by=person, reason="first")
    move = services.move_alias(
        model,
        "champion",
        second,
        by=person,
        reason="better",
        report="home/3",
        expected_version=first,
    )
    assert (move.from_version, move.to_version) == (first, second)
    assert (move.moved_by, move.reason, move.report) == (person, "better", "home/3")
    assert live_version(model, "champion") == second
    assert [m.to_version for m in alias_moves(model)] == [second, first]


def test_a_move_from_where_the_alias_no_longer_is_conflicts(model: Model) -> None:
    first, second = register(model, b"1"), register(model, b"2")
    services.move_alias(model, "champion", second, by=None, reason="first")
    with pytest.raises(ConflictError, match="is at popularity v2, not at"):
        services.move_alias(
            model, "champion", first, by=None, reason="x", expected_version=first
        )
    assert live_version(model, "champion") == second
    assert AliasMove.objects.count() == 1


def test_a_move_needs_a_reason_and_a_version_of_the_model(model: Model) -> None:
    version = register(model)
    with pytest.raises(InvalidError, match="reason is empty"):
        services.move_alias(model, "champion", version, by=None, reason=" ")
    other = services.ensure_model("cart")
    with pytest.raises(InvalidError, match="no version of cart"):
        services.move_alias(other, "champion", version, by=None, reason="x")


def test_only_a_models_first_version_is_crowned(model: Model) -> None:
    first, second = register(model, b"1"), register(model, b"2")
    assert services.crown_first(model, first) is not None
    assert services.crown_first(model, second) is None
    assert live_version(model, "champion") == first


@pytest.mark.django_db(transaction=True)
def test_of_ten_racing_moves_one_wins_and_the_rest_are_told() -> None:
    model = services.ensure_model("home")
    first = register(model, b"0")
    services.move_alias(model, "champion", first, by=None, reason="first")
    rivals = [register(model, b"%d" % n) for n in range(1, 11)]
    outcomes: list[str] = []
    began = threading.Barrier(len(rivals))

    def move(version: Version) -> None:
        began.wait()
        try:
            services.move_alias(
                model,
                "champion",
                version,
                by=None,
                reason="race",
                expected_version=first,
            )
            outcomes.append("moved")
        except ConflictError:
            outcomes.append("conflict")
        finally:
            connection.close()

    threads = [threading.Thread(target=move, args=(v,)) for v in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 9 + ["moved"]
    assert AliasMove.objects.filter(reason="race").count() == 1


@pytest.mark.django_db(transaction=True)
def test_versions_registered_at_once_get_different_numbers() -> None:
    model = services.ensure_model("home")
    errors: list[Exception] = []

    def add(content: bytes) -> None:
        try:
            register(model, content)
        except IntegrityError as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=add, args=(b"%d" % n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(model.versions.values_list("number", flat=True)) == [*range(1, 9)]
