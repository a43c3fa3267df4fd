import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from experiments.assignment.plan import Plan, VersionPlan
from tests.scoring.serving import kitchen


@pytest.fixture
def redis_url() -> str:
    return os.environ["REDIS_URL"]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, VersionPlan]]:
    """Two trained versions, their artifacts in a store and a cache of the session."""
    folder: Path = tmp_path_factory.mktemp("serving")
    with override_settings(
        ARTIFACTS_URL=str(folder / "artifacts"), ARTIFACT_CACHE=folder / "cache"
    ):
        yield {
            kitchen.POPULARITY: kitchen.put_version(kitchen.POPULARITY, "popularity"),
            kitchen.NEIGHBOURS: kitchen.put_version(kitchen.NEIGHBOURS, "item_knn"),
        }


@pytest.fixture
def neighbours(shelf: dict[int, VersionPlan]) -> Plan:
    """Everybody gets the neighbours, in an experiment."""
    rule = kitchen.experiment(kitchen.NEIGHBOURS)
    return kitchen.plan(kitchen.placement(rule), *shelf.values())
