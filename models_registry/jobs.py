"""Long work as rows: who asked, who runs it, how far it is, how it ended.

A run owns a job through its lease. A second delivery of the same message finds a
living lease and ends; a run whose heartbeat stopped loses the lease, and whatever it
still writes meets no row. A message is only a hint that there is work: the row is
the truth, and ``requeue_lost_jobs`` sends the message again when it went missing.
"""

import logging
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from models_registry.errors import ConflictError, InvalidError, ShipworthyError
from models_registry.models import Job, JobState

HEARTBEAT = timedelta(seconds=5)
DEAD_AFTER = timedelta(seconds=30)
MISSED_AFTER = timedelta(seconds=30)
RESEND_AFTER = timedelta(minutes=5)
TICK_SECONDS = 1.0
MAX_ATTEMPTS = 3
LOG_LINES = 200
CURVE_POINTS = 500
FINISHED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
LOGGER = logging.getLogger(__name__)

Work = Callable[["JobHandle"], Mapping[str, object]]


class JobCancelledError(ShipworthyError):
    """The work stopped because someone asked it to, or because its lease was lost."""

    code = "cancelled"
    status = 409


def create_job(
    kind: str,
    title: str,
    parameters: Mapping[str, object],
    by: User | None = None,
) -> Job:
    """Write a queued job; ``enqueue`` hands it to a worker.

    Raises:
        InvalidError: No task is known for the kind.
    """
    _task_of(kind)
    return Job.objects.create(
        kind=kind,
        title=title,
        parameters=dict(parameters),
        created_by=by,
    )


def enqueue(job: Job) -> None:
    """Send the job's message once the surrounding transaction is committed."""
    transaction.on_commit(partial(_send, job.pk, job.kind))


def cancel(job: Job) -> None:
    """Ask a job to stop: at once while it waits, at its next safe point if it runs.

    Raises:
        ConflictError: It has already ended.
    """
    waiting = Job.objects.filter(pk=job.pk, state=JobState.QUEUED)
    if waiting.update(
        state=JobState.CANCELLED,
        cancel_requested=True,
        finished_at=Now(),
        error="Cancelled before it began.",
    ):
        return
    running = Job.objects.filter(pk=job.pk, state=JobState.RUNNING)
    if not running.update(cancel_requested=True):
        job.refresh_from_db()
        raise ConflictError(
            f"Job {job.pk} is already {job.state}; only a queued or running job can "
            "be cancelled."
        )


class JobHandle:
    """What running work holds: it reports through it and hears whether to stop.

    Nothing here waits for the database: a thread of the run carries reports out and
    the cancel flag in, once a second.
    """

    def __init__(self, job: Job) -> None:
        self.job_id: int = job.pk
        self.parameters: Mapping[str, object] = job.parameters
        self.attempt: int = job.attempts
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._changes: dict[str, object] = {}
        self._figures: dict[str, object] = dict(job.figures)
        self._logs: list[str] = list(job.logs)

    def report(self, fraction: float, message: str, **figures: float) -> None:
        """Say how far the work is (0 to 1), in words and figures."""
        with self._lock:
            self._figures.update(figures)
            self._changes |= {
                "progress": min(1.0, max(0.0, fraction)),
                "message": message[:500],
                "figures": dict(self._figures),
            }

    def track(self, series: str, x: float, y: float) -> None:
        """Add a point to a curve, kept under ``series`` among the figures.

        A curve of over 500 points loses every second one.
        """
        with self._lock:
            curves = dict(self._figures.get("series") or {})  # type: ignore[call-overload]  # JSON
            points = [*curves.get(series, ()), [x, y]]
            curves[series] = points[::2] if len(points) > CURVE_POINTS else points
            self._figures["series"] = curves
            self._changes["figures"] = dict(self._figures)

    def log(self, line: str) -> None:
        """Add a line to the job's log; the last 200 are kept."""
        stamp = timezone.now().strftime("%H:%M:%S")
        with self._lock:
            self._logs = [*self._logs, f"{stamp} {line}"][-LOG_LINES:]
            self._changes["logs"] = list(self._logs)

    def cancelled(self) -> bool:
        """Whether the work should stop: it was cancelled, or the lease was lost."""
        return self._stop.is_set()

    def check(self) -> None:
        """Stop here if the work should stop.

        Raises:
            JobCancelledError: It should.
        """
        if self.cancelled():
            raise JobCancelledError("The job was cancelled.")

    def take_changes(self) -> dict[str, object]:
        """What was reported since the last call, as column values."""
        with self._lock:
            changes, self._changes = self._changes, {}
        return changes

    def stop(self) -> None:
        """Make ``cancelled`` true."""
        self._stop.set()


def run(job_id: int, work: Work) -> bool:
    """Run a job's work under its lease; a task's only call.

    Args:
        job_id: The job.
        work: Does it; what it gives becomes the job's result. It may be called again
            after a crash, so it must be safe to repeat.

    Returns:
        Whether this call ran the work; False: it is done, cancelled, or run by
        another.
    """
    lease = uuid.uuid4().hex
    job = _claim(job_id, lease)
    if job is None:
        return False
    handle = JobHandle(job)
    heart = _Heart(handle, lease)
    heart.start()
    try:
        result = work(handle)
    except JobCancelledError:
        heart.end(state=JobState.CANCELLED, error="Cancelled while it ran.")
    except ShipworthyError as error:
        heart.end(state=JobState.FAILED, error=error.message)
    except Exception as error:
        LOGGER.exception("job %d failed", job_id)
        handle.log(traceback.format_exc(limit=-3))
        heart.end(state=JobState.FAILED, error=f"{type(error).__name__}: {error}")
    except BaseException:  # the worker stops: whoever comes next goes on
        heart.end(
            state=JobState.QUEUED,
            lease="",
            attempts=F("attempts") - 1,
            enqueued_at=None,
            heartbeat_at=None,
        )
        raise
    else:
        heart.end(state=JobState.SUCCEEDED, progress=1.0, result=dict(result))
    return True


def requeue_lost_jobs() -> int:
    """Send lost jobs' messages again; park those that lost their worker 3 times.

    Lost are running jobs without a heartbeat for 30 s, queued ones whose message was
    never sent, and queued ones whose message is 5 minutes old (a second message does
    no harm).

    Returns:
        How many messages were sent.
    """
    now = timezone.now()
    dead = Job.objects.filter(state=JobState.RUNNING, heartbeat_at__lt=now - DEAD_AFTER)
    dead.filter(cancel_requested=True).update(
        state=JobState.CANCELLED,
        finished_at=now,
        error="Cancelled; its worker had died.",
    )
    dead.filter(attempts__gte=MAX_ATTEMPTS).update(
        state=JobState.FAILED,
        finished_at=now,
        error=(
            f"Its worker died {MAX_ATTEMPTS} times; read the worker's log (out of "
            "memory?) and start it again."
        ),
    )
    dead.update(state=JobState.QUEUED, lease="", enqueued_at=None, heartbeat_at=None)
    never_sent = Q(enqueued_at=None) & (
        Q(created_at__lt=now - MISSED_AFTER) | Q(attempts__gt=0)
    )
    old = Q(enqueued_at__lt=now - RESEND_AFTER)
    lost = Job.objects.filter(never_sent | old, state=JobState.QUEUED)
    pairs = list(lost.values_list("pk", "kind"))
    for job_id, kind in pairs:
        _send(job_id, kind)
    return len(pairs)


def _task_of(kind: str) -> tuple[str, str]:
    tasks: Mapping[str, tuple[str, str]] = settings.JOB_TASKS
    if kind not in tasks:
        raise InvalidError(
            f"{kind!r} is no kind of job; known are {', '.join(sorted(tasks))}."
        )
    return tasks[kind]


def _send(job_id: int, kind: str) -> None:
    name, queue = _task_of(kind)
    try:
        current_app.send_task(name, kwargs={"job_id": job_id}, queue=queue)
    except (OperationalError, RedisError, OSError) as error:
        # The row stays queued and unsent; the sweeper sends it when Redis is back.
        LOGGER.warning("job %d waits for the broker: %s", job_id, error)
        return
    Job.objects.filter(pk=job_id, state=JobState.QUEUED).update(enqueued_at=Now())


def _claim(job_id: int, lease: str) -> Job | None:
    now = timezone.now()
    free = Q(state=JobState.QUEUED) | Q(
        state=JobState.RUNNING, heartbeat_at__lt=now - DEAD_AFTER
    )
    claimed = Job.objects.filter(free, pk=job_id).update(
        state=JobState.RUNNING,
        lease=lease,
        heartbeat_at=now,
        attempts=F("attempts") + 1,
        started_at=Coalesce(F("started_at"), now),
    )
    return Job.objects.get(pk=job_id) if claimed else None


class _Heart(threading.Thread):
    """Keeps a run's lease alive; the only writer of its row while it runs."""

    def __init__(self, handle: JobHandle, lease: str) -> None:
        super().__init__(name=f"heart-of-job-{handle.job_id}", daemon=True)
        self._handle = handle
        self._mine: QuerySet[Job] = Job.objects.filter(
            pk=handle.job_id, lease=lease, state=JobState.RUNNING
        )
        self._over = threading.Event()

    def run(self) -> None:
        """Beat until ``end``; a database that is away is tried again."""
        beat_at = timezone.now()
        try:
            while not self._over.wait(TICK_SECONDS):
                changes = self._handle.take_changes()
                now = timezone.now()
                if changes or now - beat_at >= HEARTBEAT:
                    changes["heartbeat_at"] = beat_at = now
                self._beat(changes)
        finally:
            connection.close()

    def _beat(self, changes: dict[str, object]) -> None:
        try:
            if changes:
                self._mine.update(**changes)
            asked = self._mine.values_list("cancel_requested", flat=True).first()
        except DatabaseError as error:
            LOGGER.warning("heartbeat of job %d: %s", self._handle.job_id, error)
            connection.close()
            return
        if asked is not False:  # asked to stop, or the row is no longer ours
            self._handle.stop()

    def end(self, **columns: object) -> None:
        """Stop beating and write the outcome, if the lease is still ours."""
        self._over.set()
        self.join()
        if columns["state"] in FINISHED:
            columns["finished_at"] = Now()
        if not self._mine.update(**(self._handle.take_changes() | columns)):
            LOGGER.warning("job %d was taken over", self._handle.job_id)
