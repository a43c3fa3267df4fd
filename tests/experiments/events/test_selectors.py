from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis as redis_module

from experiments.events import maintenance
from experiments.events.lake import EVENTS, Lake, read_twice
from experiments.events.rows import rows_to_table
from experiments.events.selectors import (
    count_events,
    count_lists,
    event_files,
    read_events,
)
from tests.experiments.events.shop import logged, row

DAY = datetime(2026, 11, 1, 12, tzinfo=UTC)


def fill(lake: Path, shard: str = "stream-0", days: int = 3, first: int = 1) -> Lake:
    """A commit a day: a view and a click each."""
    log = Lake(str(lake))
    for n in range(days):
        moment = DAY + timedelta(days=n)
        rows = [row(timestamp=moment), row(name="click", timestamp=moment)]
        log.append(rows_to_table(rows, shard, first + n), shard, first + n)
    return log


def test_events_are_read_by_name_time_and_column(lake: Path) -> None:
    fill(lake)
    table = read_events(
        ["click"],
        ["unit_key", "timestamp"],
        since=DAY + timedelta(days=1),
        until=DAY + timedelta(days=2),
    )
    assert table.column_names == ["unit_key", "timestamp"]
    assert table.column("timestamp").to_pylist() == [DAY + timedelta(days=1)]
    assert len(event_files(DAY.date(), DAY.date())) == 1


def test_a_vector_of_batches_reads_the_same_rows_for_ever(lake: Path) -> None:
    log = fill(lake)
    fill(lake, "import-x", days=1)
    vector = log.batches()
    assert vector == {"stream-0": 3, "import-x": 1}
    before = read_events(["view"], ["event_id"], batches=vector)
    fill(lake, first=4)
    fill(lake, "stream-1")
    after = read_events(["view"], ["event_id"], batches=vector)
    assert sorted(after["event_id"].to_pylist()) == sorted(
        before["event_id"].to_pylist()
    )
    assert count_events() == 20


def test_an_empty_log_is_read_as_empty(lake: Path) -> None:
    assert read_events(["view"], ["event_id", "value"]).num_rows == 0
    assert (count_events(), count_lists("home")) == (0, 0)
    assert Lake(str(lake)).batches() == {}


def test_lists_are_counted_by_request(lake: Path) -> None:
    rows = [row(name="served", request_id=r, placement="home") for r in "aab"]
    rows.append(row(name="served", request_id="c", placement="other"))
    Lake(str(lake)).append(rows_to_table(rows, "stream-0", 1), "stream-0", 1)
    assert count_lists("home") == 2


def test_maintenance_joins_files_and_changes_nothing_readers_see(
    lake: Path, redis_client: redis_module.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "RETENTION_HOURS", 24 * 7)
    log = Lake(str(lake))
    for n in range(1, 11):
        shard = f"stream-{n % 3}"
        log.append(rows_to_table([row(timestamp=DAY)], shard, n), shard, n)
    old_files = log.active_files()
    before, vector = logged(str(lake)), log.batches()
    assert maintenance.maintain(Lake(str(lake)), redis_client)
    assert len(log.active_files()) == 1
    assert logged(str(lake)) == before
    assert log.batches() == vector == {"stream-0": 9, "stream-1": 10, "stream-2": 8}
    assert all(Path(file).exists() for file in old_files)  # within the retention
    assert log.committed_version("stream-1") == 10


def test_maintenance_is_done_by_one_worker_at_a_time(
    lake: Path, redis_client: redis_module.Redis
) -> None:
    redis_client.set("shipworthy:lease:maintain", "another", px=60_000)
    assert not maintenance.maintain(Lake(str(lake)), redis_client)


def test_an_append_beside_a_compaction_is_kept(lake: Path) -> None:
    log, other = fill(lake, days=1), Lake(str(lake))
    for n in range(2, 12):
        log.append(rows_to_table([row(timestamp=DAY)], "stream-0", n), "stream-0", n)
    other.refresh()
    log.append(rows_to_table([row(timestamp=DAY)], "stream-0", 12), "stream-0", 12)
    assert maintenance.compact(other, EVENTS) == 1
    log.append(rows_to_table([row(timestamp=DAY)], "stream-0", 13), "stream-0", 13)
    assert count_events() == 14


def test_a_reader_whose_files_were_vacuumed_reads_again() -> None:
    tries: list[int] = []

    def read() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise FileNotFoundError
        return "read"

    assert read_twice(read) == "read"
