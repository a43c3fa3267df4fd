"""The compiled expressions against a row-by-row recomputation on real Delta tables."""

from collections.abc import Mapping, Sequence
from datetime import timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable

from experiments.metrics.definitions import (
    Conversion,
    Count,
    Filter,
    MetricDefinition,
    Sum,
)
from experiments.metrics.presets import PRESETS
from experiments.metrics.selectors import EventLog, measure, unit_values
from experiments.metrics.sums import Measurement, Scope
from tests.experiments.metrics.logs import (
    START,
    LogBuilder,
    Truth,
    files_of,
    random_log,
    scope_of,
    truth_of,
    unit,
    write_rows,
)

METRICS: dict[str, MetricDefinition] = {
    **{key: preset.definition for key, preset in PRESETS.items()},
    "buyers_on_the_web": Conversion(
        events=("purchase",), filters=(Filter("source", "is", "web"),)
    ),
    "capped_revenue": Sum(events=("purchase",), net_of_refunds=True, cap=150.5),
    "large_lines": Count(
        events=("purchase",), filters=(Filter("value", "above", 100),), cap=2
    ),
    "clicks_of_two_days": Count(events=("click",), window_days=2),
    "attributed_revenue": Sum(events=("purchase",), attribution="recommended"),
    "clicks_within_five_minutes": Conversion(
        events=("click",), attribution="recommended", attribution_minutes=5
    ),
}


FEW = {key: METRICS[key] for key in ("recommended_click_share", "revenue_per_shopper")}


def _measured(
    files: Sequence[str],
    scope: Scope,
    metrics: Mapping[str, MetricDefinition] = FEW,
    threads: int = 2,
) -> Measurement:
    with EventLog(files, threads=threads) as log:
        return measure(log, scope, metrics)


def _assert_equal(measured: Measurement, truth: Truth, scope: Scope) -> None:
    assert (measured.crossed, measured.unknown) == (truth.crossed, truth.unknown)
    for row, variant in enumerate(scope.variants):
        mine = [key for key, shown in truth.variant.items() if shown == variant]
        for day in range(scope.days):
            end = scope.started_at + timedelta(days=day + 1)
            met = [k for k in mine if truth.first[k] < end or day == scope.days - 1]
            assert measured.users[row, day] == len(met)
            for name, values in truth.values.items():
                found = [values[key][day] for key in met]
                sums = measured.sums[name]
                assert sums.totals[row, day] == sum(found), (name, variant, day)
                assert sums.squares[row, day] == sum(v * v for v in found)


@pytest.mark.parametrize("seed", range(3))
def test_every_sum_equals_the_row_by_row_recomputation(
    tmp_path: Path, seed: int
) -> None:
    log, scope = random_log(seed), scope_of(10.3, batches={"0": 17, "import-7": 12})
    measured = _measured(log.write(tmp_path), scope, METRICS)
    truth = truth_of(log.rows, scope, METRICS)
    assert len(truth.variant) > 20
    assert all(any(v[-1] for v in values.values()) for values in truth.values.values())
    _assert_equal(measured, truth, scope)


def test_moments_are_those_of_the_units_values(tmp_path: Path) -> None:
    log, scope = random_log(5), scope_of()
    files = log.write(tmp_path)
    measured = _measured(files, scope)
    with EventLog(files) as opened:
        definition = METRICS["revenue_per_shopper"]
        table = unit_values(opened, scope, definition)
    values = np.array(table["value"]) / definition.scale
    variants = np.array(table["variant"])
    moments = measured.moments("revenue_per_shopper")[:, -1]
    for row, variant in enumerate(scope.variants):
        mine = values[variants == variant]
        assert moments.count[row] == mine.size
        assert moments.mean[row] == pytest.approx(mine.mean(), rel=1e-12)
        assert moments.variance[row] == pytest.approx(mine.var(ddof=1), rel=1e-12)
        third = ((mine - mine.mean()) ** 3).sum()
        assert moments.m3[row] == pytest.approx(third, rel=1e-3)


def test_unit_values_equal_the_row_by_row_recomputation(tmp_path: Path) -> None:
    log, scope = random_log(6), scope_of()
    files = log.write(tmp_path)
    truth = truth_of(log.rows, scope, METRICS)
    with EventLog(files) as opened:
        for name, definition in METRICS.items():
            table = unit_values(opened, scope, definition)
            found = dict(
                zip(
                    table["unit_key"].to_pylist(),
                    table["value"].to_pylist(),
                    strict=True,
                )
            )
            assert found == {k: v[-1] for k, v in truth.values[name].items()}


def test_a_shopper_without_events_counts_as_zero(tmp_path: Path) -> None:
    log = LogBuilder()
    log.expose("quiet", "control", START)
    log.expose("buyer", "control", START)
    log.add("buyer", "purchase", START, value="10.00", currency="GBP")
    measured = _measured(log.write(tmp_path), scope_of())
    moments = measured.moments("revenue_per_shopper")[:, -1]
    assert (moments.count[0], moments.mean[0]) == (2, 5.0)
    assert measured.active.tolist() == [1, 0]


def test_events_before_the_first_exposure_do_not_count(tmp_path: Path) -> None:
    log = LogBuilder()
    log.expose("early", "control", START + timedelta(hours=2))
    log.add("early", "purchase", START + timedelta(hours=1), value="10", currency="EUR")
    log.add("early", "purchase", START + timedelta(hours=2), value="7", currency="GBP")
    measured = _measured(log.write(tmp_path), scope_of())
    assert measured.moments("revenue_per_shopper")[:, -1].mean[0] == 7.0
    assert measured.currencies == ("EUR", "GBP")


def test_a_shopper_seen_in_two_variants_is_left_out_and_counted(
    tmp_path: Path,
) -> None:
    log = LogBuilder()
    log.expose("torn", "control", START)
    log.expose("torn", "model", START + timedelta(days=1))
    log.expose("true", "model", START)
    measured = _measured(log.write(tmp_path), scope_of())
    assert measured.crossed == 1
    assert measured.users[:, -1].tolist() == [0, 1]


def test_a_phase_reads_its_own_exposures_only(tmp_path: Path) -> None:
    log = LogBuilder()
    log.expose("first", "control", START, phase=1)
    log.expose("both", "control", START, phase=1)
    second = START + timedelta(days=7)
    log.expose("both", "model", second, phase=2)
    log.expose("second", "model", second, phase=2)
    files = log.write(tmp_path)
    fresh = scope_of(phase=2, started_at=second)
    measured = _measured(files, fresh)
    assert measured.users[:, -1].tolist() == [0, 2]
    carried = scope_of(phase=2, started_at=second, carried_phases=(1,))
    measured = _measured(files, carried)
    assert measured.users[:, -1].tolist() == [0, 1]
    assert measured.crossed == 1


def test_a_forced_variant_is_not_analysed(tmp_path: Path) -> None:
    log = LogBuilder()
    log.expose("tester", "model", START, reason="forced")
    log.expose("shopper", "model", START)
    assert _measured(log.write(tmp_path), scope_of()).users[1, -1] == 1


def test_a_late_event_changes_the_next_report_and_not_the_stored_one(
    tmp_path: Path,
) -> None:
    log = LogBuilder()
    log.expose("late", "model", START)
    log.write(tmp_path)
    late = LogBuilder()
    late.add("late", "click", START + timedelta(days=1), item_id="x", batch=2)
    write_rows(tmp_path, late.rows)
    stored, now = scope_of(batches={"0": 1}), scope_of(batches={"0": 2})
    files = files_of(tmp_path)
    assert _measured(files, stored).events_read == 1
    assert _measured(files, now).events_read == 2


def test_compaction_and_vacuum_leave_a_stored_vector_readable(tmp_path: Path) -> None:
    log = random_log(7)
    for batch in sorted({row["batch"] for row in log.rows}):
        write_rows(tmp_path, [r for r in log.rows if r["batch"] == batch])
    scope = scope_of(batches={"0": 9, "import-7": 4})
    before = _measured(files_of(tmp_path), scope)
    table = DeltaTable(tmp_path / "events")
    count = len(files_of(tmp_path))
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert len(files_of(tmp_path)) < count
    _assert_same(before, _measured(files_of(tmp_path), scope))


def test_the_number_of_threads_changes_no_bit(tmp_path: Path) -> None:
    files, scope = random_log(8).write(tmp_path), scope_of()
    single = _measured(files, scope, METRICS, threads=1)
    _assert_same(single, _measured(files, scope, METRICS, threads=4))


def _assert_same(a: Measurement, b: Measurement) -> None:
    assert a.users.tolist() == b.users.tolist()
    for key in a.sums:
        for part in ("totals", "squares", "cubes"):
            one, two = getattr(a.sums[key], part), getattr(b.sums[key], part)
            assert one.tolist() == two.tolist()
        for name in ("count", "mean", "m2", "m3"):
            one, two = getattr(a.moments(key), name), getattr(b.moments(key), name)
            assert one.tobytes() == two.tobytes()


def test_large_totals_stay_exact(tmp_path: Path) -> None:
    log = LogBuilder()
    for number in range(3):
        log.expose(number, "control", START)
        for _ in range(9):
            log.add(number, "purchase", START, value="99999999.9999", currency="IDR")
    measured = _measured(log.write(tmp_path), scope_of())
    one = 9 * 999_999_999_999
    sums = measured.sums["revenue_per_shopper"]
    assert sums.totals[0, -1] == 3 * one
    assert sums.squares[0, -1] == 3 * one * one
    assert measured.moments("revenue_per_shopper")[:, -1].variance[0] == 0.0


@pytest.mark.parametrize(
    ("columns", "minutes", "credited"),
    [
        ({"request_id": "r1", "item_id": "a"}, 600, True),  # by request: no window
        ({"request_id": "r1", "item_id": "z"}, 1, False),  # not in that list
        ({"item_id": "a"}, 30, True),  # by window, at its edge
        ({"item_id": "a"}, 31, False),
        ({"item_id": "b"}, 20, False),  # last shown at another placement
        ({"request_id": "r2", "item_id": "b"}, 20, False),  # that placement's list
        ({"item_id": None, "request_id": "r1"}, 1, False),
    ],
)
def test_a_click_belongs_to_a_list_by_request_or_else_by_the_last_showing(
    tmp_path: Path, columns: dict[str, object], minutes: int, *, credited: bool
) -> None:
    log = LogBuilder()
    log.expose("shopper", "control", START)
    for item in ("a", "b"):
        log.add(
            "shopper", "served", START, request_id="r1", item_id=item, placement="home"
        )
    log.add(
        "shopper",
        "impression",
        START + timedelta(minutes=5),
        request_id="r2",
        item_id="b",
        placement="product",
    )
    log.add("shopper", "click", START + timedelta(minutes=minutes), **columns)
    log.add("other", "click", START + timedelta(minutes=1), item_id="a")
    measured = _measured(log.write(tmp_path), scope_of())
    share = measured.moments("recommended_click_share")[:, -1].mean[0]
    assert share == float(credited)


def test_no_batch_seen_means_nothing_is_measured(tmp_path: Path) -> None:
    log = LogBuilder()
    log.expose("a", "control", START)
    measured = _measured(log.write(tmp_path), scope_of(batches={}))
    assert measured.users.sum() == 0
    assert measured.last_event_at is None


def test_unit_keys_are_those_of_the_log(tmp_path: Path) -> None:
    log = LogBuilder()
    log.expose("a", "control", START)
    with EventLog(log.write(tmp_path)) as opened:
        table = unit_values(opened, scope_of(), METRICS["orders_per_shopper"])
    assert table.to_pylist() == [
        {"unit_key": unit("a"), "variant": "control", "value": 0}
    ]


def test_a_moment_in_another_zone_is_the_same_moment(tmp_path: Path) -> None:
    log = LogBuilder()
    night = START.replace(hour=23)
    log.expose("a", "control", START)
    log.add("a", "purchase", night + timedelta(hours=2), value="3", currency="GBP")
    files = log.write(tmp_path)
    as_of = (night + timedelta(hours=3)).astimezone(timezone(timedelta(hours=-7)))
    assert as_of.date() == START.date()
    measured = _measured(files, scope_of(as_of=as_of))
    assert measured.moments("revenue_per_shopper")[:, -1].mean[0] == 3.0
