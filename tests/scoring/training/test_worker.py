import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from models_registry.models import Alias, Job, JobState, Version
from scoring.training.services import request_training
from tests.scoring.training.worker import ROOT, environment, training_worker
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shop_log"),
]


def test_a_worker_trains_what_the_command_line_asks_for(tmp_path: Path) -> None:
    with training_worker(tmp_path):
        told = subprocess.run(
            [
                *(sys.executable, "manage.py", "train", "--wait"),
                *("--model", "home", "--kind", "popularity"),
                *("--param", "half_life_days=7"),
            ],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        transformer = request_training(
            "home", "transformer", {"epochs": 1, "width": 8, "length": 10}
        )
        wait_for(lambda: _state(transformer) in {"succeeded", "failed"}, 60)
    assert "home version 1, NDCG" in told.stdout
    transformer.refresh_from_db()
    assert transformer.state == JobState.SUCCEEDED, transformer.error
    version = Version.objects.get(number=2)
    assert version.kind == "transformer"
    assert version.manifest["refit"] is False
    assert transformer.figures["series"]
    assert Alias.objects.get().version.kind == "popularity"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "oracle"], "oracle"),
        (["--kind", "popularity", "--param", "x"], "NAME=VALUE"),
        (["--kind", "popularity", "--param", "x=1"], "x is no parameter"),
        (["--kind", "popularity", "--until", "yesterday"], "yesterday"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    arguments: list[str], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("train", "--model", "home", *arguments)
    assert not Job.objects.exists()


def _state(job: Job) -> str:
    job.refresh_from_db()
    return job.state
