"""From the stream to the log, once each; the log itself is the offset store.

A drain reads what the log holds of its shard, takes the entries after it, drops what
is known, commits through the same handle and trims the stream below the commit. A
kill at any point loses nothing and doubles nothing: what was committed is skipped by
the next drain, what was not is still in the stream. DESIGN section 6.
"""

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from redis import Redis

from experiments.events.deduplication import Deduplicator
from experiments.events.history import write_history
from experiments.events.identifiers import hash_ids
from experiments.events.lake import Lake, RivalCommitError
from experiments.events.lease import lease
from experiments.events.rows import (
    EventRow,
    MalformedEntryError,
    decode_rows,
    encode_rows,
    rows_to_table,
)
from experiments.events.stream import (
    ROWS_FIELD,
    Field,
    entry_id,
    entry_version,
    stream_key,
)

MAX_ROWS = 50_000
READ_ENTRIES = 100
DRAIN_SECONDS = 20.0
LEASE = timedelta(seconds=10)  # also the longest stall after a kill -9
FACTS_KEY = "shipworthy:drains"
LAST_DRAIN_KEY = "shipworthy:events:last_drain"  # read by /readyz

_Entries = list[tuple[bytes, dict[bytes, bytes]]]
Bury = Callable[[str, str, str, bytes], None]


@dataclass(slots=True)
class Drain:
    """What one drain did; kept in Redis for ``/readyz``.

    Attributes:
        at: When it ended, unix seconds.
        rows: Rows committed.
        known: Rows left out because the log holds their event ids.
        dead: Entries that went to the dead letters.
        waiting: Entries left in the stream.
    """

    shard: str
    at: float = 0.0
    seconds: float = 0.0
    commits: int = 0
    rows: int = 0
    known: int = 0
    dead: int = 0
    waiting: int = 0


@dataclass(slots=True)
class _Group:
    """Entries that are committed together."""

    entries: list[tuple[str, list[EventRow]]]
    buried: list[str]

    @property
    def ids(self) -> list[str]:
        return [*(name for name, _ in self.entries), *self.buried]

    @property
    def rows(self) -> list[EventRow]:
        return [row for _, rows in self.entries for row in rows]


class Collector:
    """Drains shards; one per process, made after the fork.

    Args:
        redis: A client that does not decode answers.
        lake: Where the log is.
        bury: Keeps a poison entry (shard, entry id, reason, payload); it must have
            kept it when it returns, and keep it once.
    """

    def __init__(self, redis: Redis, lake: Lake, bury: Bury) -> None:
        self._redis, self._lake, self._bury = redis, lake, bury
        self._known = Deduplicator(lake, datetime.now(UTC))

    def drain(self, shard: str, seconds: float = DRAIN_SECONDS) -> Drain | None:
        """Empty a shard into the log, for at most ``seconds``.

        Returns:
            What was done; None if another process holds the shard's lease.
        """
        with lease(self._redis, f"drain:{shard}", LEASE) as held:
            if held is None:
                return None
            started = time.monotonic()
            done = Drain(shard)
            self._lake.refresh()
            self._mend(shard)
            self._trim(shard)
            while self._step(shard, done):
                if time.monotonic() - started >= seconds or not held.renew():
                    break
            done.at, done.seconds = time.time(), time.monotonic() - started
            done.waiting = self._redis.xlen(stream_key(shard))
            self._redis.hset(FACTS_KEY, shard, json.dumps(asdict(done)))
            self._redis.set(LAST_DRAIN_KEY, done.at)
            return done

    def _step(self, shard: str, done: Drain) -> bool:
        """Commit the next entries; whether there were any."""
        self._known.catch_up(datetime.now(UTC))
        group = self._read(shard)
        try:
            more = self._commit(shard, group, done)
        except ValueError:  # rows of some entry do not fit the log: find out which
            self._sift(shard, group)
            more = self._commit(shard, group, done)
        done.dead += len(group.buried)
        return more

    def _commit(self, shard: str, group: _Group, done: Drain) -> bool:
        """Put what is new into the log, then forget it here.

        Raises:
            ValueError: An entry is poison; nothing was done.
        """
        if not group.ids:
            return False
        rows = group.rows
        fresh = list(itertools.compress(rows, self._known.unknown(rows).tolist()))
        version = max(map(entry_version, group.ids))
        table = rows_to_table(fresh, shard, version)
        done.known += len(rows) - len(fresh)
        if not fresh:
            self._redis.xdel(stream_key(shard), *group.ids)
            return True
        try:
            self._lake.append(table, shard, version)
        except RivalCommitError:  # the lease went to another while we were paused
            return False
        self._known.committed(fresh, datetime.now(UTC))
        done.commits += 1
        done.rows += len(fresh)
        write_history(self._redis, fresh)
        self._trim(shard)
        return True

    def _read(self, shard: str) -> _Group:
        """Entries after the log's, of at most 50,000 rows together."""
        group = _Group([], [])
        after = entry_id(self._lake.committed_version(shard))
        count = 0
        while True:
            entries = self._entries_after(shard, after)
            for raw_id, fields in entries:
                after = raw_id.decode()
                payload = fields.get(ROWS_FIELD, b"")
                try:
                    rows = decode_rows(payload)
                except MalformedEntryError as error:
                    self._bury(shard, after, str(error), payload)
                    group.buried.append(after)
                    continue
                if count and count + len(rows) > MAX_ROWS:
                    return group
                count += len(rows)
                group.entries.append((after, rows))
            if len(entries) < READ_ENTRIES or count >= MAX_ROWS:
                return group

    def _sift(self, shard: str, group: _Group) -> None:
        """Bury the entries of a group whose rows do not fit the log."""
        good = []
        for name, rows in group.entries:
            try:
                hash_ids([row.event_id for row in rows])
                rows_to_table(rows, shard, 0)
            except ValueError as error:
                self._bury(shard, name, str(error), encode_rows(rows))
                group.buried.append(name)
            else:
                good.append((name, rows))
        group.entries[:] = good

    def _entries_after(self, shard: str, after: str) -> _Entries:
        answer = self._redis.xread({stream_key(shard): after}, count=READ_ENTRIES)
        streams = cast("list[tuple[bytes, _Entries]]", answer or [])
        return streams[0][1] if streams else []

    def _trim(self, shard: str) -> None:
        """Delete what the log holds, and nothing else."""
        version = self._lake.committed_version(shard)
        if version:
            self._redis.xtrim(
                stream_key(shard), minid=entry_id(version + 1), approximate=False
            )

    def _mend(self, shard: str) -> None:
        """Give entries ids beyond the log's, if Redis began anew with an older clock.

        A Redis that lost its data while the clock went back hands out ids below the
        committed version, which no drain would ever read. Such entries are all new.
        """
        key, version = stream_key(shard), self._lake.committed_version(shard)
        if not version or not self._redis.exists(key):
            return
        last = self._redis.xinfo_stream(key)["last-generated-id"]
        if entry_version(last) >= version:
            return
        entries = cast("_Entries", self._redis.xrange(key))
        with self._redis.pipeline(transaction=True) as pipe:
            # redis-py knows no XSETID of its own
            pipe.execute_command(  # type: ignore[no-untyped-call]
                "XSETID", key, entry_id(version)
            )
            for old_id, fields in entries:
                pipe.xadd(key, cast("dict[Field, Field]", fields))
                pipe.xdel(key, old_id)
            pipe.execute()


def read_drains(redis: Redis) -> Sequence[Drain]:
    """The last drain of each shard, for ``/readyz``."""
    facts = redis.hgetall(FACTS_KEY)
    return [Drain(**json.loads(facts[shard])) for shard in sorted(facts)]
