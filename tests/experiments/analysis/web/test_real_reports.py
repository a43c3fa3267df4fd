"""Pages of reports that were computed from a log, not written by hand."""

import html
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client

from experiments.design.services import create_experiment, transition
from tests import pages
from tests.experiments.analysis import test_services as looks
from tests.experiments.metrics.logs import START

pytestmark = pytest.mark.django_db


def _read(clickers: Mapping[str, int], lake: Path, client: Client, days: int) -> str:
    """The page's words after a look at a log."""
    made = create_experiment(looks._spec(), by=None)
    experiment = transition(made, "start", by=None, now=START)
    looks._shop(clickers, days=days).write(lake)
    looks._analyse(experiment, START + timedelta(days=days))
    client.force_login(pages.person("growth"))
    response = client.get(f"/experiments/{looks.KEY}/")
    assert response.status_code == 200
    text = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", html.unescape(text))


def test_a_clear_gain_reads_as_ship_with_letters_and_true_signs(
    lake: Path, client: Client
) -> None:
    words = _read({"control": 60, "treatment": 130}, lake, client, 14)
    for said in (
        "Ship B, popularity v2: ",
        "between +65.6% and +187.4%",
        "B is better than control. Met: +116.7% (+65.6% to +187.4%)",
        "Met: 14 days so far",
        "Met: look 2 of 2",
        "1 of 1 hold",
        "Control £4.43",
        "−£0.89 to +£0.89",
        "Welch t, repeated, Fieller",
    ):
        assert said in words
    assert "treatment" not in words
    assert not re.search(r"\d %|(?<![\w])-\d", words)


def test_no_difference_keeps_control_and_speaks_against_nothing(
    lake: Path, client: Client
) -> None:
    words = _read({"control": 60, "treatment": 62}, lake, client, 14)
    assert "No clear difference: keep popularity v1" in words
    assert "What speaks against it" not in words
    assert "Keep control…" in words


def test_the_third_day_says_how_long_it_takes(lake: Path, client: Client) -> None:
    words = _read({"control": 60, "treatment": 70}, lake, client, 3)
    assert "Too early to tell: at most 11 more days" in words
    assert "Waiting: none of 2 planned looks" in words


def test_a_broken_split_in_the_log_hides_every_effect(
    lake: Path, client: Client
) -> None:
    made = create_experiment(looks._spec(), by=None)
    experiment = transition(made, "start", by=None, now=START)
    log = looks._shop({"control": 60, "treatment": 130})
    for number in range(400):
        log.expose(f"more-{number}", "control", START, experiment=looks.KEY)
    log.write(lake)
    looks._analyse(experiment, START + timedelta(days=14))
    client.force_login(pages.person("growth"))
    page = client.get(f"/experiments/{looks.KEY}/").content.decode()
    assert "Do not read these results: the split is broken" in page
    assert "open a new phase" in page
    assert "+65.2%" not in page
    assert 'id="metrics"' not in page
