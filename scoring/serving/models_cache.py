"""The model versions a front holds in memory: those its plan may ask for.

A new plan's versions are loaded before the plan is swapped in, in threads, so that
no request waits for a model; those of the plan before stay until the next change,
for requests that began under it. A version that can't be loaded is tried again.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from experiments.assignment.plan import Plan, VersionPlan
from models_registry import artifacts
from models_registry.errors import ShipworthyError
from scoring.engine.artifact import Artifact
from scoring.engine.errors import EngineError
from scoring.engine.registry import load_scorer
from scoring.serving.ranking import Ranker

RETRY_SECONDS = 10.0
LOGGER = logging.getLogger(__name__)


def load_ranker(version: VersionPlan) -> Ranker:
    """Fetch a version's artifact, verified, and make it ready.

    Raises:
        ArtifactUnusableError: Its files are not to be had unaltered.
        EngineError: Its files do not fit together.
    """
    files = artifacts.fetch(version.artifact_digest)
    artifact = Artifact.from_files(files, expected_hash=version.artifact_digest)
    return Ranker(version, load_scorer(artifact))


class ModelCache:
    """Version id to loaded model; one object per process, for any event loop.

    Attributes:
        failures: Why versions of the plan are not loaded, by version id.
        pool: Threads that load models and rank with slow ones.
    """

    def __init__(
        self, load: Callable[[VersionPlan], Ranker] = load_ranker, *, threads: int = 2
    ) -> None:
        self._load = load
        self._lock = threading.RLock()
        self._rankers: dict[int, Ranker] = {}
        self._wanted: dict[int, VersionPlan] = {}
        self._tried_at: dict[int, float] = {}
        self._loading: dict[int, Future[None]] = {}
        self.failures: dict[int, str] = {}
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="models")

    @property
    def loaded(self) -> frozenset[int]:
        """Ids of the versions in memory."""
        return frozenset(self._rankers)

    @property
    def ready(self) -> bool:
        """Whether lists can be made: a model is there, or the plan wants none."""
        return bool(self._rankers) or not self._wanted

    def get(self, version_id: int) -> Ranker | None:
        """A loaded version; None: it is not there (and is tried again)."""
        ranker = self._rankers.get(version_id)
        if ranker is None and version_id in self._wanted:
            waited = time.monotonic() - self._tried_at.get(version_id, float("-inf"))
            if waited >= RETRY_SECONDS:
                self._start(self._wanted[version_id])
        return ranker

    async def prepare(self, plan: Plan) -> None:
        """Load what a plan needs and drop what neither it nor the last one needs."""
        with self._lock:
            before, self._wanted = self._wanted, dict(plan.versions)
            missing = [v for v in plan.versions.values() if v.id not in self._rankers]
        loading = [asyncio.wrap_future(self._start(version)) for version in missing]
        await asyncio.gather(*loading)
        with self._lock:
            keep = self._wanted.keys() | before.keys()
            self._rankers = {i: r for i, r in self._rankers.items() if i in keep}
            self.failures = {i: w for i, w in self.failures.items() if i in keep}

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, version: VersionPlan) -> "Future[None]":
        """The loading of a version; one at a time for each."""
        with self._lock:
            future = self._loading.get(version.id)
            if future is None:
                self._tried_at[version.id] = time.monotonic()
                future = self.pool.submit(self._load_one, version)
                self._loading[version.id] = future
                future.add_done_callback(lambda _: self._loaded(version.id))
            return future

    def _loaded(self, version_id: int) -> None:
        with self._lock:
            self._loading.pop(version_id, None)

    def _load_one(self, version: VersionPlan) -> None:
        try:
            ranker = self._load(version)
        except (ShipworthyError, EngineError, OSError, MemoryError) as error:
            with self._lock:
                self.failures[version.id] = str(error)
            LOGGER.error(  # noqa: TRY400 - anticipated: the sentence says it all
                "%s version %d is not loaded: %s", version.model, version.number, error
            )
            return
        with self._lock:
            self.failures.pop(version.id, None)
            self._rankers = {**self._rankers, version.id: ranker}
