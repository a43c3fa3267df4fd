import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from experiments.analysis.models import Report
from experiments.decisions import services
from experiments.decisions.models import Decision
from experiments.design.models import Experiment
from experiments.design.services import create_experiment, transition
from models_registry.errors import ConflictError, InvalidError
from models_registry.models import Alias, AliasMove
from tests.factories import experiment_spec
from tests.reports import report_content

pytestmark = pytest.mark.django_db


@pytest.fixture
def growth() -> User:
    return User.objects.create_user("growth")


@pytest.fixture
def running(growth: User) -> Experiment:
    experiment = create_experiment(experiment_spec(), by=growth)
    transition(experiment, "start", by=growth)
    return experiment


def report(experiment: Experiment, decision: str, winner: str | None = None) -> Report:
    return Report.objects.create(
        experiment=experiment,
        phase=experiment.phases.get(),
        number=experiment.reports.count() + 1,
        look=2,
        as_of=timezone.now(),
        content=report_content(decision=decision, winner=winner),
    )


def champion() -> int:
    return Alias.objects.get(name="champion").version.number


def test_shipping_moves_the_champion_and_keeps_who_and_on_what(
    running: Experiment, growth: User
) -> None:
    seen = report(running, "ship", "treatment")

    decision = services.ship(
        running, running.variants.get(key="treatment"), report=seen, by=growth
    )

    assert champion() == 2
    assert running.status == "shipped"
    assert running.outcome == decision.variant
    assert not decision.against_rule
    assert decision.alias_move
    assert decision.alias_move.report == "home-page-recommender/1"
    assert decision.decided_by == growth


def test_shipping_against_the_rule_needs_a_reason(
    running: Experiment, growth: User
) -> None:
    seen = report(running, "not_distinguishable")
    treatment = running.variants.get(key="treatment")

    with pytest.raises(InvalidError, match="give the reason"):
        services.ship(running, treatment, report=seen, by=growth)
    assert champion() == 1
    assert not Decision.objects.exists()

    decision = services.ship(
        running, treatment, report=seen, by=growth, reason="It is cheaper to serve."
    )
    assert decision.against_rule
    assert champion() == 2


def test_nothing_is_shipped_twice(running: Experiment, growth: User) -> None:
    seen = report(running, "ship", "treatment")
    treatment = running.variants.get(key="treatment")
    services.ship(running, treatment, report=seen, by=growth)
    with pytest.raises(ConflictError):
        services.ship(running, treatment, report=seen, by=growth)
    assert AliasMove.objects.count() == 1


def test_rolling_back_restores_the_former_champion(
    running: Experiment, growth: User
) -> None:
    seen = report(running, "ship", "treatment")
    services.ship(
        running, running.variants.get(key="treatment"), report=seen, by=growth
    )

    with pytest.raises(InvalidError, match="reason"):
        services.roll_back(running, by=growth, reason=" ")
    services.roll_back(running, by=growth, reason="Returns went up.")

    assert champion() == 1
    assert running.status == "concluded"
    assert running.outcome == running.variants.get(is_control=True)


def test_keeping_the_control_ends_it_and_moves_nothing(
    running: Experiment, growth: User
) -> None:
    seen = report(running, "keep_control")
    decision = services.keep_control(running, report=seen, by=growth)
    assert (running.status, champion()) == ("concluded", 1)
    assert not decision.against_rule
    assert not AliasMove.objects.exists()


def test_another_experiments_report_is_no_ground(
    running: Experiment, growth: User
) -> None:
    other = create_experiment(experiment_spec("other"), by=growth)
    transition(other, "start", by=growth)
    seen = report(other, "ship", "treatment")
    with pytest.raises(InvalidError, match="Report 1 is not of"):
        services.ship(
            running, running.variants.get(key="treatment"), report=seen, by=growth
        )
