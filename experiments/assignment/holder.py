"""The plan a process answers by: followed in Redis, kept on disk, swapped whole."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.faults import Faults
from experiments.assignment.plan import Plan
from experiments.assignment.publication import (
    CHANNEL,
    HEAD_KEY,
    PLAN_KEY,
    decode_head,
    decode_plan,
    encode_plan,
)
from experiments.gateway.clock import Clock
from models_registry.errors import UnavailableError

logger = logging.getLogger(__name__)
CATCH_UP_SECONDS = 0.1

Prepare = Callable[[Plan], Awaitable[None]]
"""Makes a process able to answer by a plan, before it does."""


class PlanUnavailableError(UnavailableError):
    """No plan was published yet, and none is on disk."""

    code = "plan_unavailable"


class PlanHolder:
    """Holds the plan of one process.

    Args:
        withdrawn_seconds: A plan older than this serves no variant that was withdrawn
            for harm, since it cannot know what was decided since.

    Attributes:
        failures: Times in a row that preparing for the newest plan has failed.
        faults: Wrong rules met, over all plans.
    """

    # A plan that cannot be prepared is tried so often, then taken all the same: a
    # revoked key or a stopped experiment may not wait for a broken artifact.
    ATTEMPTS = 3

    def __init__(
        self,
        *,
        path: Path | None = None,
        prepare: Sequence[Prepare] = (),
        clock: Clock | None = None,
        withdrawn_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._path = path
        self._prepare = tuple(prepare)
        self._clock = clock or Clock()
        self._compiled: CompiledPlan | None = None
        self._confirmed_at = 0.0
        self._withdrawn_seconds = withdrawn_seconds
        self.failures = 0
        self._refreshing = asyncio.Lock()
        self._caught_up_at = float("-inf")
        self.faults = Faults()

    @property
    def loaded(self) -> bool:
        """Whether there is a plan at all."""
        return self._compiled is not None

    @property
    def age_seconds(self) -> float:
        """Seconds since the plan was last known to be what PostgreSQL says."""
        return max(0.0, self._clock.now() - self._confirmed_at)

    def current(self) -> Plan:
        """The plan to answer by; the same object until the next swap.

        Raises:
            PlanUnavailableError: There is none yet.
        """
        return self.compiled().plan

    def compiled(self) -> CompiledPlan:
        """The same plan, ready to assign.

        Raises:
            PlanUnavailableError: There is none yet.
        """
        if self._compiled is None:
            raise PlanUnavailableError("No plan was published yet; try again soon.")
        return self._compiled

    async def restore(self) -> bool:
        """Take the plan kept on disk; whether there was one that could be read."""
        if self._path is None:
            return False
        try:
            plan = decode_plan(await asyncio.to_thread(self._path.read_bytes))
        except FileNotFoundError:
            return False
        except (OSError, msgspec.MsgspecError, UnicodeError) as error:
            logger.warning("The plan at %s cannot be read: %s", self._path, error)
            return False
        for _ in range(self.ATTEMPTS):
            if await self._take(plan):
                break
        return True

    async def refresh(self, redis: Redis) -> bool:
        """Take the published plan if it is another; whether it was.

        Raises:
            RedisError: Redis is away; the present plan stays.
        """
        async with self._refreshing:  # else an older read could end last
            return await self._refresh(redis)

    async def _refresh(self, redis: Redis) -> bool:
        head = await redis.get(HEAD_KEY)
        if head is None:
            return False
        revision, built_at = decode_head(head)
        if self._compiled is not None and self._compiled.plan.revision == revision:
            self._confirmed_at = built_at
            return False
        text = await redis.get(PLAN_KEY)
        if text is None:
            return False
        plan = decode_plan(text)
        if not await self._take(plan):
            return False
        if self._path is not None:
            try:
                await asyncio.to_thread(_save, self._path, encode_plan(plan))
            except OSError as error:
                logger.warning("The plan was not kept on disk: %s", error)
        return True

    async def catch_up(self, redis: Redis) -> None:
        """Look for a plan that a caller knows of already, ten times a second at most.

        Redis away, the present plan stays.
        """
        now = time.monotonic()
        if now - self._caught_up_at < CATCH_UP_SECONDS:
            return
        self._caught_up_at = now
        try:
            await self.refresh(redis)
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            logger.warning("The plan could not be looked for: %s", error)

    async def follow(self, redis: Redis, poll_seconds: float) -> None:
        """Take every published plan until cancelled: on notice, and by looking."""
        away = False
        while not _cancelled():
            try:
                async with redis.pubsub(ignore_subscribe_messages=True) as notices:
                    await notices.subscribe(CHANNEL)
                    while not _cancelled():
                        await self.refresh(redis)
                        away = False
                        await notices.get_message(timeout=poll_seconds)
            except (RedisError, OSError, msgspec.MsgspecError) as error:
                if not away:
                    logger.warning("The plan cannot be followed: %s", error)
                away = True
                await asyncio.sleep(poll_seconds)
            except Exception:  # a fault of ours may not end the following
                logger.exception("The plan cannot be followed")
                await asyncio.sleep(poll_seconds)

    async def _take(self, plan: Plan) -> bool:
        try:
            await asyncio.gather(*(prepare(plan) for prepare in self._prepare))
        except Exception:
            self.failures += 1
            logger.exception("Plan %s cannot be prepared for", plan.revision)
            if self.failures < self.ATTEMPTS:
                return False
        self.failures = 0
        self._answer_by(await asyncio.to_thread(self._compile, plan))
        return True

    def swap(self, plan: Plan) -> None:
        """Answer by a plan from now on, whatever it needs besides."""
        self._answer_by(self._compile(plan))

    def _compile(self, plan: Plan) -> CompiledPlan:
        return CompiledPlan(plan, faults=self.faults, stale=self._is_stale)

    def _answer_by(self, compiled: CompiledPlan) -> None:
        self._compiled = compiled
        self._confirmed_at = compiled.plan.built_at

    def _is_stale(self) -> bool:
        return self.age_seconds > self._withdrawn_seconds()


def _cancelled() -> bool:
    """Whether this task was asked to end; a client's own timeout may eat the error."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _save(path: Path, text: bytes) -> None:
    """Replace a file at once, so that a reader never finds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
