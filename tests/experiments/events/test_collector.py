import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import redis as redis_module
from django.conf import settings

from experiments.events.collector import Collector, read_drains
from experiments.events.lake import Lake, RivalCommitError
from experiments.events.rows import encode_rows, rows_to_table
from experiments.events.stream import (
    entry_id,
    entry_version,
    shard_name,
    stream_key,
)
from tests.experiments.events.shop import HASHER, entries, logged, row, send

SHARD = shard_name(0)
KEY = stream_key(SHARD)


class Grave:
    """Where poison entries go in these tests."""

    def __init__(self) -> None:
        self.buried: list[tuple[str, str, str, bytes]] = []

    def bury(self, shard: str, entry: str, reason: str, payload: bytes) -> None:
        self.buried.append((shard, entry, reason, payload))


def collector(lake: Path, grave: Grave | None = None) -> Collector:
    """A collector as a process of its own would have it."""
    client = redis_module.Redis.from_url(settings.REDIS_URL)
    return Collector(client, Lake(str(lake)), (grave or Grave()).bury)


def ids(lake: Path) -> list[str]:
    return [str(found[0]) for found in logged(str(lake))]


def test_what_was_sent_is_logged_once_with_its_shard_and_batch(
    lake: Path, redis_client: redis_module.Redis
) -> None:
    rows = [row(value=Decimal("1.2500"), quantity=2), row(name="click")]
    send(rows)
    [(entry, _)] = entries(redis_client, KEY)
    drained = collector(lake).drain(SHARD)
    assert drained is not None
    assert (drained.rows, drained.commits, drained.waiting) == (2, 1, 0)
    columns = "event_id, name, value, shard, batch, date = timestamp::DATE"
    version = entry_version(entry)
    assert logged(str(lake), columns) == sorted(
        (r.event_id, r.name, r.value, SHARD, version, True) for r in rows
    )
    assert redis_client.xlen(KEY) == 0


def test_draining_twice_adds_nothing(lake: Path) -> None:
    rows = [row() for _ in range(5)]
    send(rows)
    one = collector(lake)
    one.drain(SHARD)
    one.drain(SHARD)
    collector(lake).drain(SHARD)
    assert ids(lake) == sorted(r.event_id for r in rows)


def test_a_request_sent_again_adds_nothing(
    lake: Path, redis_client: redis_module.Redis
) -> None:
    rows = [row() for _ in range(3)]
    send(rows, rows)
    one = collector(lake)
    one.drain(SHARD)
    send(rows)
    again = one.drain(SHARD)
    send(rows, [*rows, row()])
    restarted = collector(lake).drain(SHARD)
    assert len(ids(lake)) == len(set(ids(lake))) == 4
    assert again is not None
    assert restarted is not None
    assert (again.known, restarted.rows) == (3, 1)
    assert redis_client.xlen(KEY) == 0


def test_the_same_id_with_other_content_is_kept_once(lake: Path) -> None:
    first = row(item_id="lamp")
    send([first, row(event_id=first.event_id, item_id="chair")])
    collector(lake).drain(SHARD)
    assert logged(str(lake), "item_id") == [("lamp",)]


def test_a_kill_between_commit_and_trim_doubles_nothing(
    lake: Path, redis_client: redis_module.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row() for _ in range(3)]
    send(rows)
    killed = collector(lake)
    monkeypatch.setattr(killed, "_trim", lambda shard: None)
    killed.drain(SHARD)
    assert redis_client.xlen(KEY) == 1
    send([row()])
    collector(lake).drain(SHARD)
    assert len(ids(lake)) == len(set(ids(lake))) == 4
    assert redis_client.xlen(KEY) == 0


def test_a_lease_keeps_a_second_collector_out(
    lake: Path, redis_client: redis_module.Redis
) -> None:
    redis_client.set(f"shipworthy:lease:drain:{SHARD}", "another", px=60_000)
    send([row()])
    assert collector(lake).drain(SHARD) is None
    assert redis_client.xlen(KEY) == 1


def test_a_collector_that_slept_through_its_lease_is_refused(lake: Path) -> None:
    """It has read and prepared; another commits; it wakes and commits."""
    rows = [row() for _ in range(4)]
    send(rows)
    sleeper, rival = collector(lake), collector(lake)
    append = sleeper._lake.append

    def asleep(*args: object) -> None:
        sleeper._redis.delete(f"shipworthy:lease:drain:{SHARD}")
        rival.drain(SHARD)
        append(*args)  # type: ignore[arg-type]  # as it was called

    sleeper._lake.append = asleep  # type: ignore[method-assign,assignment]
    woken = sleeper.drain(SHARD)
    assert woken is not None
    assert woken.rows == 0
    assert ids(lake) == sorted(r.event_id for r in rows)


def test_a_lake_refuses_a_rival_commit_of_the_same_app(lake: Path) -> None:
    one, other = Lake(str(lake)), Lake(str(lake))
    one.refresh()
    other.refresh()
    one.append(rows_to_table([row()], SHARD, 5), SHARD, 5)
    with pytest.raises(RivalCommitError):
        other.append(rows_to_table([row()], SHARD, 5), SHARD, 5)
    other.refresh()
    assert other.committed_version(SHARD) == 5
    other.append(rows_to_table([row()], "stream-1", 3), "stream-1", 3)
    assert one.batches() == {SHARD: 5, "stream-1": 3}


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"not zstd",
        encode_rows([])[:-1],
        encode_rows([row(unit_key=b"short")]),
        encode_rows([row(event_id="no uuid")]),
        encode_rows([row(value=Decimal("0.00001"))]),
        encode_rows([row(position=2**40)]),
    ],
    ids=["empty", "no-zstd", "cut", "short-unit", "no-uuid", "money", "position"],
)
def test_a_poison_entry_is_buried_and_the_rest_is_logged(
    lake: Path, redis_client: redis_module.Redis, poison: bytes
) -> None:
    before, after, grave = row(), row(), Grave()
    send([before])
    entry = redis_client.xadd(KEY, {"rows": poison})
    send([after])
    drained = collector(lake, grave).drain(SHARD)
    assert drained is not None
    assert (drained.rows, drained.dead) == (2, 1)
    [(shard, buried, reason, payload)] = grave.buried
    assert (shard, buried, payload) == (
        SHARD,
        f"{entry.decode()}" if isinstance(entry, bytes) else entry,
        poison,
    )
    assert reason
    assert ids(lake) == sorted([before.event_id, after.event_id])
    assert redis_client.xlen(KEY) == 0


def test_only_poison_empties_the_stream_without_a_commit(
    lake: Path, redis_client: redis_module.Redis
) -> None:
    redis_client.xadd(KEY, {"other": b"field"})
    grave = Grave()
    collector(lake, grave).drain(SHARD)
    assert len(grave.buried) == 1
    assert redis_client.xlen(KEY) == 0
    assert ids(lake) == []


def test_a_late_event_lies_under_its_own_date_and_is_kept_once(lake: Path) -> None:
    now = datetime.now(UTC)
    late = row(timestamp=now - timedelta(days=29))
    send([late])
    collector(lake).drain(SHARD)
    send([late])
    collector(lake).drain(SHARD)
    assert logged(str(lake), "date") == [(late.timestamp.date(),)]


def test_a_retry_after_more_than_a_day_is_found_in_the_log(lake: Path) -> None:
    now = datetime.now(UTC)
    old = row(timestamp=now - timedelta(days=5), received_at=now - timedelta(days=5))
    log = Lake(str(lake))
    log.append(rows_to_table([old], SHARD, 1), SHARD, 1)
    moved = row(
        event_id=old.event_id,
        timestamp=old.timestamp + timedelta(hours=23),
        received_at=now,
    )
    fresh = row(timestamp=old.timestamp)
    send([moved, fresh])
    collector(lake).drain(SHARD)
    assert ids(lake) == sorted([old.event_id, fresh.event_id])


def test_commits_of_another_process_are_known_before_the_next(lake: Path) -> None:
    one, other = collector(lake), collector(lake)
    rows = [row() for _ in range(3)]
    send(rows[:1])
    one.drain(SHARD)
    send(rows[1:])
    other.drain(SHARD)
    send(rows)
    drained = one.drain(SHARD)
    assert drained is not None
    assert drained.known == 3
    assert len(ids(lake)) == 3


def test_a_redis_that_began_anew_with_an_older_clock_loses_nothing(
    lake: Path, redis_client: redis_module.Redis
) -> None:
    future = entry_version(f"{int(datetime.now(UTC).timestamp() * 1000) + 10**8}-0")
    log = Lake(str(lake))
    log.append(rows_to_table([row()], SHARD, future), SHARD, future)
    rows = [row() for _ in range(3)]
    send(rows[:2], rows[2:])
    collector(lake).drain(SHARD)
    assert len(ids(lake)) == 4
    send([row()])
    collector(lake).drain(SHARD)
    assert len(ids(lake)) == 5
    assert redis_client.xlen(KEY) == 0


def test_a_backlog_is_committed_in_pieces_and_all_of_it(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.events.collector.MAX_ROWS", 100)
    monkeypatch.setattr("experiments.events.collector.READ_ENTRIES", 3)
    batches = [[row() for _ in range(30)] for _ in range(11)]
    send(*batches)
    drained = collector(lake).drain(SHARD)
    assert drained is not None
    assert (drained.rows, drained.commits) == (330, 4)
    assert sorted(ids(lake)) == sorted(r.event_id for b in batches for r in b)


def test_units_keep_their_shard_and_every_shard_is_logged(lake: Path) -> None:
    rows = [row(unit_key=HASHER.hash(str(n))) for n in range(40)]
    send(rows, shards=3)
    for number in range(3):
        collector(lake).drain(shard_name(number))
    found = logged(str(lake), "unit_key, shard")
    assert len(found) == 40
    assert set(Lake(str(lake)).batches()) == {shard_name(n) for n in range(3)}


def test_the_last_drain_is_known_to_the_readiness_page(
    lake: Path, redis_client: redis_module.Redis
) -> None:
    send([row()])
    drained = collector(lake).drain(SHARD)
    assert read_drains(redis_client) == [drained]


def test_a_stream_id_and_its_version_are_the_same_thing() -> None:
    assert entry_id(entry_version(b"1795517394295-17")) == "1795517394295-17"
    assert entry_version("1-1") < entry_version("1-2") < entry_version("2-0")


def test_statistics_of_the_log_never_name_a_unit_or_an_item(lake: Path) -> None:
    send([row(item_id="unmistakable", text="unmistakable")])
    collector(lake).drain(SHARD)
    entries = [p.read_text() for p in (lake / "events" / "_delta_log").glob("*.json")]
    added = [
        json.loads(line)["add"]
        for entry in entries
        for line in entry.splitlines()
        if '"add"' in line
    ]
    assert added
    assert "unmistakable" not in str(added)
