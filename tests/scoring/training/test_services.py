from datetime import timedelta
from pathlib import Path

import pytest

from experiments.events.lake import Lake
from models_registry import artifacts, jobs
from models_registry.errors import InvalidError
from models_registry.models import Alias, Job, JobState, Version
from models_registry.selectors import latest_evaluation
from scoring.engine.artifact import Artifact
from scoring.engine.protocol import History
from scoring.engine.registry import load_scorer
from scoring.training import services
from scoring.training.selectors import comparison, read_log, run_view
from tests.scoring import shop

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shop_log"),
]


def trained(kind: str, **parameters: object) -> Job:
    job = services.request_training("home", kind, parameters, seed=3)
    jobs.run(job.pk, services.train)
    job.refresh_from_db()
    assert job.state == JobState.SUCCEEDED, job.error
    return job


def version_of(job: Job) -> Version:
    return Version.objects.get(pk=job.result["version_id"])


def test_a_run_registers_a_judged_version_whose_artifact_ranks() -> None:
    job = trained("item_knn")
    version = version_of(job)
    assert version.job == job
    files = artifacts.fetch(version.artifact_digest)
    scorer = load_scorer(
        Artifact.from_files(files, expected_hash=version.artifact_digest)
    )
    history = History(shop.ITEMS[3:5], (0.0, 1.0), 2.0)
    [ranked] = scorer.recommend([history], 3, [history.item_ids])
    assert ranked.item_ids[0] == shop.ITEMS[5]
    evaluation = latest_evaluation(version)
    assert evaluation is not None
    for name in ("accuracy", "precision", "recall", "f1", "ndcg", "hit_rate"):
        figure = evaluation.figures[f"{name}@10"]
        assert 0 <= figure["lower"] <= figure["value"] <= figure["upper"] <= 1
        assert len(evaluation.per_unit[f"{name}@10"]) == evaluation.protocol["users"]
    assert 0 < evaluation.figures["coverage@10"]["value"] <= 1


def test_what_a_version_was_made_from_is_written_down() -> None:
    version = version_of(trained("popularity", half_life_days=5))
    manifest = version.manifest
    assert manifest["parameters"]["half_life_days"] == 5
    assert manifest["seed"] == 3
    assert manifest["log"]["batches"] == {shop.SHARD: 1}
    assert manifest["log"]["cleaning"]["kept"] == 60 * 21
    assert len(manifest["log"]["sha256"]) == 64
    assert manifest["refit"] is True
    evaluation = latest_evaluation(version)
    assert evaluation is not None
    assert "fitted again on all" in evaluation.protocol["judged"]
    assert evaluation.protocol["candidates"] == "whole catalogue"


def test_held_out_time_is_later_than_anything_the_judged_fit_saw() -> None:
    version = version_of(trained("popularity", horizon_days=5))
    protocol = latest_evaluation(version).protocol  # type: ignore[union-attr]
    last = version.manifest["log"]["last"]
    assert protocol["cut"] == pytest.approx(last - 5 * 86400)
    assert protocol["train_interactions"] < version.manifest["log"]["cleaning"]["kept"]


def test_a_log_shorter_than_the_horizon_is_still_judged() -> None:
    job = trained("popularity", horizon_days=30)
    assert any("shorter than twice" in line for line in job.logs)


def test_only_the_first_version_becomes_champion() -> None:
    first = version_of(trained("popularity"))
    second = version_of(trained("item_knn"))
    assert Alias.objects.get(name="champion").version == first
    assert second.number == 2


def test_a_resumed_run_reads_the_rows_its_first_attempt_read(lake: Path) -> None:
    job = services.request_training("home", "popularity", {})
    services.train(jobs.JobHandle(job))  # dies before its job is marked as done
    later = shop.BEGIN + timedelta(days=40)
    shop.write_log(str(lake), [shop.event(1, "new", later)], batch=2)
    job.refresh_from_db()
    assert job.parameters["batches"] == {shop.SHARD: 1}
    again = services.train(jobs.JobHandle(job))
    assert Version.objects.count() == 1
    assert again["version_id"] == Version.objects.get().pk


def test_only_the_log_before_a_moment_is_read(lake: Path) -> None:
    until = shop.BEGIN + timedelta(days=10)
    batches = Lake(str(lake)).batches()
    rows = read_log(["view"], until=until, batches=batches)
    assert rows.num_rows == 60 * 10
    assert read_log(["view"], until=None, batches={}).num_rows == 0


def test_a_cancelled_run_registers_nothing() -> None:
    job = services.request_training("home", "item_knn", {})

    def work(handle: jobs.JobHandle) -> dict[str, object]:
        handle.stop()
        return services.train(handle)

    jobs.run(job.pk, work)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert not Version.objects.exists()


def test_a_log_without_a_row_that_counts_says_so() -> None:
    job = services.request_training("home", "popularity", {"weights": {"wish": 1}})
    jobs.run(job.pk, services.train)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "check the event names" in job.error


@pytest.mark.parametrize(
    ("kind", "parameters", "said"),
    [
        ("oracle", {}, "oracle"),
        ("popularity", {"half_life_days": -1}, "half_life_days"),
        ("popularity", {"speed": 9}, "speed is no parameter"),
    ],
)
def test_a_wrong_request_queues_nothing(
    kind: str, parameters: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidError, match=said):
        services.request_training("home", kind, parameters)
    assert not Job.objects.exists()


def test_versions_are_compared_in_pairs_over_the_same_shoppers() -> None:
    first = version_of(trained("popularity"))
    second = version_of(trained("item_knn"))
    view = comparison([first.pk, second.pk])
    assert view.reference.version == first
    assert view.reference.aliases == ("champion",)
    assert not view.reference.differences
    assert view.same_protocol
    other = view.versions[1]
    difference = other.differences["ndcg@10"]
    assert difference.lower is not None
    assert difference.lower <= difference.value <= (difference.upper or 0)
    assert difference.value == pytest.approx(
        other.figures["ndcg@10"].value - view.reference.figures["ndcg@10"].value,
        abs=1e-5,
    )
    assert difference.lower > 0, "neighbours on a ring beat popularity"


def test_versions_judged_on_other_shoppers_are_not_paired() -> None:
    first = version_of(trained("popularity"))
    second = version_of(trained("popularity", horizon_days=3))
    view = comparison([first.pk, second.pk])
    assert not view.same_protocol
    assert "different cases" in view.versions[1].not_paired


def test_a_run_is_shown_with_its_version_and_the_champion() -> None:
    trained("popularity")
    view = run_view(trained("item_knn"))
    assert view.version is not None
    assert view.version.kind == "item_knn"
    assert view.champion is not None
    assert view.champion.kind == "popularity"
    assert "ndcg@10" in view.champion_figures
    assert not view.running
    assert view.seconds_left is None
    assert view.figures["interactions"] == 60 * 21
