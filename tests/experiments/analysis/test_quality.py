"""Health checks: which findings forbid a verdict, and what they say."""

from datetime import timedelta

import pytest

from experiments.analysis.quality import checks_of
from experiments.analysis.results import QualityCheck
from experiments.metrics.sums import Measurement
from tests.experiments.analysis.measurements import after, measured

NAMES = {"control": "popularity v1", "variant-1": "item-knn v1"}


def _checks(measurement: Measurement) -> dict[str, QualityCheck]:
    found = checks_of(
        measurement,
        weights={"control": 0.5, "variant-1": 0.5},
        names=NAMES,
        as_of=after(14),
    )
    return {check.code: check for check in found}


def test_a_healthy_experiment_passes_every_check() -> None:
    checks = _checks(measured([5000, 5050], {}))
    assert {check.state for check in checks.values()} == {"good"}
    assert "p = 0.62" in checks["sample_ratio"].sentence


@pytest.mark.parametrize(
    ("users", "state"), [((5000, 5300), "good"), ((5000, 5400), "bad")]
)
def test_a_split_a_fair_coin_would_hardly_give_is_bad(
    users: tuple[int, int], state: str
) -> None:
    check = _checks(measured(users, {}))["sample_ratio"]
    assert check.state == state
    assert bool(check.remedy) == (state == "bad")


@pytest.mark.parametrize(("crossed", "state"), [(100, "good"), (102, "bad")])
def test_more_than_one_in_a_hundred_crossing_over_is_bad(
    crossed: int, state: str
) -> None:
    check = _checks(measured([5000, 5000], {}, crossed=crossed))["crossover"]
    assert check.state == state


@pytest.mark.parametrize(
    ("late", "state"),
    [
        (timedelta(hours=1), "good"),
        (timedelta(hours=30), "warn"),
        (timedelta(days=4), "bad"),
    ],
)
def test_old_data_is_told(late: timedelta, state: str) -> None:
    found = measured([5000, 5000], {}, last_event_at=after(14) - late)
    assert _checks(found)["freshness"].state == state


def test_an_empty_log_is_bad_and_raises_nothing() -> None:
    checks = _checks(measured([0, 0], {}, last_event_at=None))
    assert checks["freshness"].state == "bad"
    assert checks["sample_ratio"].state == "warn"


def test_a_variant_nobody_met_is_bad() -> None:
    check = _checks(measured([5000, 0], {}))["missing_variant"]
    assert check.state == "bad"
    assert "item-knn v1" in check.sentence


def test_a_variant_whose_shoppers_all_keep_silent_is_bad() -> None:
    check = _checks(measured([5000, 5000], {}, active=[3000, 0]))
    assert check["exposure_without_events"].state == "bad"
    assert "item-knn v1" in check["exposure_without_events"].sentence


def test_two_currencies_are_bad_and_strange_variants_a_warning() -> None:
    checks = _checks(measured([5000, 5000], {}, unknown=3, currencies=("EUR", "GBP")))
    assert checks["currencies"].state == "bad"
    assert checks["unknown_variant"].state == "warn"


def test_few_shoppers_are_a_warning() -> None:
    assert _checks(measured([99, 120], {}))["few_users"].state == "warn"


def test_the_worst_check_comes_first() -> None:
    found = checks_of(
        measured([99, 150], {}),
        weights={"control": 0.5, "variant-1": 0.5},
        names=NAMES,
        as_of=after(14),
    )
    order = [check.state for check in found]
    assert order == sorted(order, key=("bad", "warn", "good").index)
