import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from models_registry import jobs
from models_registry.errors import ConflictError, InvalidError
from models_registry.jobs import JobCancelledError, JobHandle
from models_registry.models import Job, JobState
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "TICK_SECONDS", 0.02)


@pytest.fixture
def job() -> Job:
    return jobs.create_job("train", "Train something", {"kind": "popularity"})


def messages(client: redis.Redis, queue: str = "train") -> int:
    return int(client.llen(queue))


def state_of(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def running_elsewhere(job: Job, *, silent_for: timedelta, attempts: int = 1) -> None:
    Job.objects.filter(pk=job.pk).update(
        state=JobState.RUNNING,
        lease="another worker's",
        attempts=attempts,
        heartbeat_at=timezone.now() - silent_for,
    )


def test_a_job_runs_and_keeps_its_result(job: Job) -> None:
    def work(handle: JobHandle) -> dict[str, object]:
        handle.report(0.5, "half way", loss=0.25)
        handle.log("hello")
        return {"version": 3}

    assert jobs.run(job.pk, work)
    done = state_of(job)
    assert done.state == JobState.SUCCEEDED
    assert done.result == {"version": 3}
    assert done.progress == 1.0
    assert done.figures == {"loss": 0.25}
    assert done.logs[0].endswith("hello")
    assert done.finished_at is not None
    assert done.attempts == 1


def test_reports_are_seen_while_the_work_runs(job: Job) -> None:
    def work(handle: JobHandle) -> dict[str, object]:
        handle.report(0.25, "a quarter", loss=1.5)
        wait_for(lambda: state_of(job).progress == 0.25)
        assert state_of(job).message == "a quarter"
        return {}

    jobs.run(job.pk, work)
    assert state_of(job).state == JobState.SUCCEEDED


def test_a_second_delivery_finds_a_living_lease_and_ends(job: Job) -> None:
    calls: list[int] = []

    def work(handle: JobHandle) -> dict[str, object]:
        calls.append(1)
        assert not jobs.run(job.pk, work)
        return {}

    assert jobs.run(job.pk, work)
    assert calls == [1]


def test_two_deliveries_at_once_run_the_work_once(job: Job) -> None:
    began = threading.Barrier(4)
    calls: list[int] = []

    def work(handle: JobHandle) -> dict[str, object]:
        calls.append(handle.job_id)
        return {}

    def deliver() -> None:
        from django.db import connection

        began.wait()
        try:
            jobs.run(job.pk, work)
        finally:
            connection.close()

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [job.pk]


def test_a_finished_job_does_not_run_again(job: Job) -> None:
    jobs.run(job.pk, lambda handle: {})
    assert not jobs.run(job.pk, lambda handle: pytest.fail("ran again"))


def test_the_heart_beats_while_the_work_is_silent(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "HEARTBEAT", timedelta(seconds=0.02))

    def work(handle: JobHandle) -> dict[str, object]:
        first = state_of(job).heartbeat_at
        assert first is not None
        wait_for(lambda: (state_of(job).heartbeat_at or first) > first)
        return {}

    jobs.run(job.pk, work)
    assert state_of(job).state == JobState.SUCCEEDED


def test_a_fault_is_kept_with_its_sentence_and_its_trace(job: Job) -> None:
    def work(handle: JobHandle) -> dict[str, object]:
        raise KeyError("no such column")

    jobs.run(job.pk, work)
    failed = state_of(job)
    assert failed.state == JobState.FAILED
    assert "no such column" in failed.error
    assert "KeyError" in failed.logs[-1]


def test_an_anticipated_error_is_its_own_sentence(job: Job) -> None:
    def work(handle: JobHandle) -> dict[str, object]:
        raise InvalidError("The log is empty; import one.")

    jobs.run(job.pk, work)
    assert state_of(job).error == "The log is empty; import one."


def test_a_running_job_hears_that_it_was_cancelled(job: Job) -> None:
    def work(handle: JobHandle) -> dict[str, object]:
        assert not handle.cancelled()
        jobs.cancel(job)
        wait_for(handle.cancelled)
        handle.check()
        return {}

    jobs.run(job.pk, work)
    assert state_of(job).state == JobState.CANCELLED


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(job: Job) -> None:
    jobs.cancel(job)
    assert state_of(job).state == JobState.CANCELLED
    assert not jobs.run(job.pk, lambda handle: pytest.fail("ran"))


def test_a_finished_job_cannot_be_cancelled(job: Job) -> None:
    jobs.run(job.pk, lambda handle: {})
    with pytest.raises(ConflictError, match="already succeeded"):
        jobs.cancel(job)


def test_a_run_that_lost_its_lease_stops_and_writes_nothing(job: Job) -> None:
    def work(handle: JobHandle) -> dict[str, object]:
        running_elsewhere(job, silent_for=timedelta(0))
        wait_for(handle.cancelled)
        raise JobCancelledError("lost")

    jobs.run(job.pk, work)
    assert state_of(job).state == JobState.RUNNING
    assert state_of(job).lease == "another worker's"


def test_a_worker_that_is_stopped_hands_the_job_back(job: Job) -> None:
    def work(handle: JobHandle) -> dict[str, object]:
        raise SystemExit

    with pytest.raises(SystemExit):
        jobs.run(job.pk, work)
    handed_back = state_of(job)
    assert handed_back.state == JobState.QUEUED
    assert handed_back.attempts == 0


def test_a_job_is_sent_to_its_queue_on_commit(
    job: Job, redis_client: redis.Redis
) -> None:
    jobs.enqueue(job)
    assert messages(redis_client) == 1
    assert state_of(job).enqueued_at is not None


def test_a_job_whose_message_was_never_sent_is_sent(
    job: Job, redis_client: redis.Redis
) -> None:
    assert jobs.requeue_lost_jobs() == 0
    old = timezone.now() - jobs.MISSED_AFTER - timedelta(seconds=1)
    Job.objects.filter(pk=job.pk).update(created_at=old)
    assert jobs.requeue_lost_jobs() == 1
    assert jobs.requeue_lost_jobs() == 0
    assert messages(redis_client) == 1


def test_a_job_whose_worker_died_is_sent_again_and_resumes(
    job: Job, redis_client: redis.Redis
) -> None:
    running_elsewhere(job, silent_for=timedelta(seconds=31))
    assert jobs.requeue_lost_jobs() == 1
    assert messages(redis_client) == 1
    assert jobs.run(job.pk, lambda handle: {"attempt": handle.attempt})
    assert state_of(job).result == {"attempt": 2}


def test_a_job_with_a_living_heartbeat_is_left_alone(job: Job) -> None:
    running_elsewhere(job, silent_for=timedelta(seconds=20))
    assert jobs.requeue_lost_jobs() == 0
    assert state_of(job).state == JobState.RUNNING


def test_a_job_that_lost_three_workers_is_parked(job: Job) -> None:
    running_elsewhere(job, silent_for=timedelta(seconds=31), attempts=3)
    assert jobs.requeue_lost_jobs() == 0
    parked = state_of(job)
    assert parked.state == JobState.FAILED
    assert "died 3 times" in parked.error


def test_a_cancelled_job_whose_worker_died_is_not_started_again(job: Job) -> None:
    running_elsewhere(job, silent_for=timedelta(seconds=31))
    jobs.cancel(job)
    assert jobs.requeue_lost_jobs() == 0
    assert state_of(job).state == JobState.CANCELLED


def test_a_broker_that_is_away_leaves_the_job_waiting(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celery import current_app

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("Redis is away")

    monkeypatch.setattr(current_app, "send_task", away)
    jobs.enqueue(job)
    assert state_of(job).enqueued_at is None
    assert state_of(job).state == JobState.QUEUED


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(InvalidError, match=r"'dance'.*train"):
        jobs.create_job("dance", "Dance", {})


def test_a_long_curve_is_thinned(job: Job) -> None:
    def work(handle: JobHandle) -> dict[str, object]:
        for step in range(2000):
            handle.track("loss", float(step), 1.0 / (1 + step))
        return {}

    jobs.run(job.pk, work)
    points = state_of(job).figures["series"]["loss"]
    assert 100 < len(points) <= jobs.CURVE_POINTS
    assert points[0][0] == 0.0
    assert points[-1][0] > 1800


def test_every_kind_of_job_has_a_task_and_a_queue() -> None:
    for name, queue in settings.JOB_TASKS.values():
        assert "." in name
        assert queue in {"train", "analyse", "score", "default", "collect"}


@pytest.fixture(autouse=True)
def no_stray_hearts() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("heart-of-job")]
