from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from experiments.design.models import Epoch, Experiment, Phase, Variant
from experiments.design.services import (
    change_coverage,
    check_experiment,
    create_experiment,
)
from experiments.design.services import transition as move
from models_registry.errors import ConflictError, InvalidError
from tests.factories import experiment_spec

pytestmark = pytest.mark.django_db


@pytest.fixture
def growth() -> User:
    return User.objects.create_user("growth")


def test_starting_opens_one_phase_and_one_epoch_at_the_given_time(growth: User) -> None:
    experiment = create_experiment(experiment_spec(), by=growth)
    at = datetime(2026, 8, 3, tzinfo=UTC)

    move(experiment, "start", by=growth, now=at)

    phase = Phase.objects.get(experiment=experiment)
    assert experiment.status == "running"
    assert (phase.number, phase.started_at) == (1, at)
    assert phase.weights == {"control": 0.5, "treatment": 0.5}
    assert Epoch.objects.get(phase=phase).coverage == 1.0
    assert [c.summary for c in experiment.changes.all()] == ["Started", "Created"]


def test_an_incomplete_experiment_does_not_start_and_says_why(growth: User) -> None:
    experiment = create_experiment(experiment_spec(weights=(0.5, 0.4)), by=growth)

    with pytest.raises(InvalidError, match="add up to 90") as raised:
        move(experiment, "start", by=growth)

    assert [d.code for d in raised.value.details] == ["weights"]
    experiment.refresh_from_db()
    assert experiment.status == "draft"
    assert not Phase.objects.exists()


def test_an_action_out_of_turn_is_refused_with_what_is_possible(growth: User) -> None:
    experiment = create_experiment(experiment_spec(), by=growth)
    with pytest.raises(ConflictError, match="possible: start, archive"):
        move(experiment, "pause", by=growth)


def test_an_unknown_action_is_refused_with_the_known_ones(growth: User) -> None:
    experiment = create_experiment(experiment_spec(), by=growth)
    with pytest.raises(InvalidError, match=r"launch.*start"):
        move(experiment, "launch", by=growth)


def test_raising_coverage_opens_an_epoch_in_the_same_phase(growth: User) -> None:
    experiment = create_experiment(experiment_spec(coverage=0.2), by=growth)
    move(experiment, "start", by=growth)

    epoch = change_coverage(experiment, 0.6, by=growth)

    assert (epoch.number, epoch.phase.number, epoch.coverage) == (2, 1, 0.6)
    assert epoch.phase.seed == experiment.key


def test_a_draft_has_no_epochs_to_open(growth: User) -> None:
    experiment = create_experiment(experiment_spec(), by=growth)
    with pytest.raises(ConflictError, match="draft"):
        change_coverage(experiment, 0.6, by=growth)


def test_concluding_gives_everybody_the_control_and_ends_the_phase(
    growth: User,
) -> None:
    experiment = create_experiment(experiment_spec(), by=growth)
    move(experiment, "start", by=growth)
    move(experiment, "conclude", by=growth)

    assert experiment.outcome == experiment.variants.get(is_control=True)
    assert experiment.phases.get().ended_at == experiment.ended_at


def test_a_taken_key_is_refused(growth: User) -> None:
    create_experiment(experiment_spec(), by=growth)
    with pytest.raises(ConflictError, match="is taken"):
        create_experiment(experiment_spec(), by=growth)


def test_the_schema_allows_one_control_only(growth: User) -> None:
    experiment = create_experiment(experiment_spec(), by=growth)
    with pytest.raises(IntegrityError), transaction.atomic():
        Variant.objects.filter(experiment=experiment).update(is_control=True)


def test_the_schema_refuses_an_unknown_status(growth: User) -> None:
    experiment = create_experiment(experiment_spec(), by=growth)
    with pytest.raises(IntegrityError), transaction.atomic():
        Experiment.objects.filter(pk=experiment.pk).update(status="winning")


def test_an_audience_that_cannot_be_read_is_named_before_the_start(
    growth: User,
) -> None:
    experiment = create_experiment(
        experiment_spec(audience={"country": {"$similar": "GB"}}), by=growth
    )
    findings = {f.code: f for f in check_experiment(experiment)}
    assert not findings["audience"].ok
    assert "$similar" in findings["audience"].sentence
