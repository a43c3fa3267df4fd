import asyncio
import gzip
import io
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.management import call_command
from redis.asyncio import Redis as AsyncRedis

from experiments.events.history import HistoryEntry, read_history
from experiments.events.imports import reading
from experiments.events.imports.mapping import SHIPPED, load_mapping
from experiments.events.imports.services import (
    ImportReport,
    import_events,
    import_items,
)
from experiments.events.lake import Lake
from experiments.events.models import Item, Outbox
from experiments.gateway.units import UnitHasher
from models_registry.errors import InvalidError
from tests.experiments.events.shop import logged

pytestmark = pytest.mark.django_db

REAL = Path(__file__).parents[3] / "../shared/data/online_retail_ii_events.csv.gz"
START = 'title = "x"\n[timestamp]\ncolumn = "t"\n[name]\n'
HEADER = "ts,customer,code,description,qty,price,country"
GOOD = [
    "2009-12-01T07:45,13085,85048,GLASS BALL,12,6.95,United Kingdom",
    "2009-12-01T07:45,13085,79323P,PINK LIGHTS,2,6.75,United Kingdom",
    '2009-12-02T10:00,13086,22041,"RECORD FRAME 7"" SIZE",-1,2.1,France',
    "2009-12-03T10:00,13086,,A NEW THING,1,0.29,France",
]


def write(
    folder: Path, *rows: str, name: str = "log.csv", header: str = HEADER
) -> Path:
    path = folder / name
    text = "\n".join([header, *rows]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def retail(path: Path) -> ImportReport:
    return import_events(path, "online_retail_ii")


def history(unit_id: str) -> list[HistoryEntry]:
    async def read() -> list[HistoryEntry]:
        async with AsyncRedis.from_url(settings.REDIS_URL) as redis:
            key = UnitHasher(settings.UNIT_KEY).hash(unit_id)
            return await read_history(redis, key)

    return asyncio.run(read())


def test_a_log_becomes_rows_a_catalogue_and_recent_history(
    lake: Path, tmp_path: Path
) -> None:
    report = retail(write(tmp_path, *GOOD, name="log.csv.gz"))
    assert (report.read, report.accepted, report.exit_status) == (4, 4, 0)
    assert (report.units, report.items) == (2, 4)
    assert report.first_timestamp == datetime(2009, 12, 1, 7, 45, tzinfo=UTC)
    assert report.last_timestamp == datetime(2009, 12, 3, 10, tzinfo=UTC)
    columns = "item_id, name, quantity, value, price, currency, properties, shard"
    assert logged(str(lake), columns) == [
        ("22041", "refund", 1, Decimal("2.1"), Decimal("2.1"), "GBP",
         '{"country":"France"}', report.shard),
        ("79323P", "purchase", 2, Decimal("13.5"), Decimal("6.75"), "GBP",
         '{"country":"United Kingdom"}', report.shard),
        ("85048", "purchase", 12, Decimal("83.4"), Decimal("6.95"), "GBP",
         '{"country":"United Kingdom"}', report.shard),
        ("A NEW THING", "purchase", 1, Decimal("0.29"), Decimal("0.29"), "GBP",
         '{"country":"France"}', report.shard),
    ]  # fmt: skip
    orders = logged(str(lake), "order_id, count(*) OVER (PARTITION BY order_id)")
    assert [count for _, count in orders] in ([1, 1, 2, 2], [2, 2, 1, 1], [1, 2, 2, 1])
    item = Item.objects.get(pk="22041")
    assert (item.title, item.price) == ('RECORD FRAME 7" SIZE', Decimal("2.1"))
    assert Outbox.objects.filter(table="items").count() == 4
    assert [(e.item_id, e.name) for e in history("13086")] == [
        ("A NEW THING", "purchase")
    ]


def test_importing_the_same_file_again_adds_nothing(lake: Path, tmp_path: Path) -> None:
    path = write(tmp_path, *GOOD)
    retail(path)
    again = retail(path)
    assert (again.accepted, again.known) == (4, 4)
    assert len(logged(str(lake))) == 4
    assert len(history("13085")) == 2


def test_a_killed_import_goes_on_where_it_stopped(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK_ROWS", 3)
    rows = [f"2010-01-{1 + n % 28:02d}T10:00,{n},A,A,1,1.00,UK" for n in range(10)]
    path = write(tmp_path, *rows)
    append, calls = Lake.append, []

    def dies(self: Lake, *args: object) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        append(self, *args)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Lake, "append", dies)
    with pytest.raises(KeyboardInterrupt):
        retail(path)
    assert len(logged(str(lake))) == 6
    report = retail(path)
    assert (report.read, report.accepted, report.known) == (10, 10, 6)
    assert len(logged(str(lake))) == len(set(logged(str(lake)))) == 10


def test_a_longer_or_corrected_export_adds_only_what_is_new(
    lake: Path, tmp_path: Path
) -> None:
    wrong = GOOD[0].replace("2009-12-01T07:45", "yesterday")
    first = retail(write(tmp_path, wrong, *GOOD[1:]))
    assert (first.accepted, first.exit_status) == (3, 1)
    second = retail(write(tmp_path, *GOOD, GOOD[3], name="corrected.csv"))
    assert (second.accepted, second.known) == (5, 3)
    assert len(logged(str(lake))) == 5


def test_equal_lines_are_two_lines(lake: Path, tmp_path: Path) -> None:
    retail(write(tmp_path, GOOD[0], GOOD[0]))
    assert len(set(logged(str(lake)))) == 2


@pytest.mark.parametrize(
    ("row", "field", "value", "reason"),
    [
        ("31/13/2010,1,A,a,1,1.0,UK", "timestamp", "31/13/2010", "bad_timestamp"),
        ("1066-10-14T09:00,1,A,a,1,1,UK", "timestamp", "1066-10-14T09:00",
         "bad_timestamp"),
        ("2010-01-01T10:00,,A,a,1,1.0,UK", "unit_id", "", "unit_id_missing"),
        ("2010-01-01T10:00,1,,,1,1.0,UK", "item_id", "", "item_id_missing"),
        ("2010-01-01T10:00,1,A,a,two,1.0,UK", "quantity", "two", "bad_quantity"),
        ("2010-01-01T10:00,1,A,a,1.5,1.0,UK", "quantity", "1.5", "bad_quantity"),
        ("2010-01-01T10:00,1,A,a,1,-1.0,UK", "price", "-1.0", "negative_price"),
        ("2010-01-01T10:00,1,A,a,1,nan,UK", "price", "nan", "bad_price"),
        ("2010-01-01T10:00,1,A,a,9000000000000,90000000,UK", "quantity",
         "9000000000000", "value_too_large"),
        (f"2010-01-01T10:00,1,{'A' * 201},a,1,1,UK", "item_id", "A" * 201,
         "item_id_too_long"),
        ("2010-01-01T10:00,1,A,a,1,1.0,UK,extra", "row",
         "2010-01-01T10:00,1,A,a,1,1.0,UK,extra", "columns"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_and_the_others_are_kept(
    lake: Path, tmp_path: Path, row: str, field: str, value: str, reason: str
) -> None:
    report = retail(write(tmp_path, GOOD[0], GOOD[1], row, GOOD[2], row))
    assert report.accepted == len(logged(str(lake))) == 3
    assert report.rejected_by_reason == {reason: 2}
    assert [(p.row, p.field, p.value) for p in report.samples] == [
        (4, field, value),
        (6, field, value),
    ]
    assert report.samples[0].remedy
    assert report.exit_status == 1


def test_a_wrong_encoding_is_named_and_the_right_one_reads_it(
    lake: Path, tmp_path: Path
) -> None:
    path = tmp_path / "latin.csv"
    row = "2010-01-01T10:00,1,,CAFÉ CUP,1,1.0,UK"
    path.write_bytes("\n".join([HEADER, GOOD[0], row, GOOD[1]]).encode("latin-1"))
    report = retail(path)
    assert (report.accepted, report.exit_status) == (2, 1)
    assert report.rejected_by_reason == {"encoding": 1}
    [problem] = report.samples
    assert problem.row == 3
    assert "latin-1" in problem.line("latin.csv")
    text = (SHIPPED / "online_retail_ii.toml").read_text()
    own = tmp_path / "own.toml"
    own.write_text(text + '\n[file]\nencoding = "latin-1"\n')
    assert import_events(path, str(own)).accepted == 3
    assert ("CAFÉ CUP",) in logged(str(lake), "item_id")


def test_a_truncated_gzip_file_gives_its_whole_rows_and_says_so(
    lake: Path, tmp_path: Path
) -> None:
    rows = [f"2010-01-01T10:00,{n},A{n},thing,1,1.00,UK" for n in range(5000)]
    whole = write(tmp_path, *rows, name="whole.csv.gz")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    report = retail(cut)
    assert 0 < report.accepted < 5000
    assert report.rejected_by_reason == {}
    assert report.exit_status == 1
    [problem] = report.file_problems
    assert "ends in the middle" in problem.line("cut.csv.gz")
    complete = retail(whole)
    assert (complete.accepted, complete.known) == (5000, report.accepted)
    assert len(logged(str(lake))) == 5000


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (f"{HEADER}\n".encode(), "no rows"),
        (gzip.compress(b""), "the file is empty"),
        (b"\x1f\x8b\x08\x00nonsense", "gzip"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (b"ts,customer,code,qty\n", "needs this column; the file has ts, customer"),
    ],
    ids=["empty", "header only", "gzip of nothing", "no gzip", "UTF-16", "column"],
)
@pytest.mark.usefixtures("lake")
def test_an_unusable_file_gives_one_line_and_status_two(
    tmp_path: Path, data: bytes, says: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(data)
    report = retail(path)
    [problem] = report.file_problems
    assert says in problem.line(path.name)
    assert report.exit_status == 2


@pytest.mark.usefixtures("lake")
def test_the_command_tells_what_became_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, *GOOD, "never,1,A,a,1,1.0,UK")
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("import_events", str(path), mapping="online_retail_ii",
                     stdout=out, stderr=err)  # fmt: skip
    assert ended.value.code == 1
    assert "5 rows read, 4 accepted" in out.getvalue()
    assert err.getvalue().startswith("log.csv, row 6: timestamp 'never': it is no time")


def test_a_negative_quantity_is_an_error_where_the_mapping_knows_no_refunds(
    lake: Path, tmp_path: Path
) -> None:
    header = "timestamp,name,unit_id,item_id,quantity,event_id,text"
    known = "6fa459ea-ee8a-3ca4-894e-db77e160355e"
    rows = [
        f'2026-01-01T10:00:00+01:00,purchase,u,a,1,{known},"two\nlines, one text"',
        "2026-01-01T10:00:00Z,purchase,u,a,-1,,",
        "2026-01-01T10:00:00Z,search,u,,,order-7,",
        "2026-01-01T10:00:00Z,No Name,u,,,,",
    ]
    report = import_events(write(tmp_path, *rows, header=header), "generic")
    assert report.rejected_by_reason == {"negative_quantity": 1, "bad_name": 1}
    [first, second] = sorted(
        logged(str(lake), "name, event_id, timestamp, text, quantity")
    )
    moment = datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert first == ("purchase", known, moment, "two\nlines, one text", 1)
    assert second[0] == "search"
    assert len(str(second[1])) == 36


def test_other_shops_logs_are_read_by_their_mappings(
    lake: Path, tmp_path: Path
) -> None:
    rocket = write(
        tmp_path,
        "1433221332117,257597,view,355908,",
        "1433224214164,992329,addtocart,248676,",
        "1433222276276,599528,transaction,356475,4000",
        name="rocket.csv",
        header="timestamp,visitorid,event,itemid,transactionid",
    )
    lens = write(
        tmp_path, "1,31,2.5,1260759144", name="lens.csv",
        header="userId,movieId,rating,timestamp",
    )  # fmt: skip
    assert import_events(rocket, "retailrocket").exit_status == 0
    assert import_events(lens, "movielens").exit_status == 0
    assert logged(str(lake), "name, item_id, order_id, rating") == [
        ("add_to_cart", "248676", None, None),
        ("purchase", "356475", "4000", None),
        ("review", "31", None, 2.5),
        ("view", "355908", None, None),
    ]
    [moment] = [t for n, t in logged(str(lake), "name, timestamp") if n == "view"]
    assert moment == datetime(2015, 6, 2, 5, 2, 12, 117000, UTC)


def test_parquet_is_read_like_csv(lake: Path, tmp_path: Path) -> None:
    table = pa.table(
        {
            "timestamp": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 2),
            "name": ["view", "view"],
            "unit_id": [1, 2],
            "item_id": ["a", None],
        }
    )
    path = tmp_path / "log.parquet"
    pq.write_table(table, path)
    report = import_events(path, "generic")
    assert report.rejected_by_reason == {"item_id_missing": 1}
    assert logged(str(lake), "item_id, timestamp") == [
        ("a", datetime(2026, 1, 1, tzinfo=UTC))
    ]


@pytest.mark.usefixtures("lake")
def test_a_catalogue_is_updated_in_the_columns_it_has(tmp_path: Path) -> None:
    Item.objects.create(item_id="a", title="old", description="kept")
    path = write(
        tmp_path, "a,Lamp,9.99", "b,Chair,none", "a,,8.50",
        header="item_id,title,price",
    )  # fmt: skip
    report = import_items(path, "generic")
    assert (report.read, report.items, report.exit_status) == (3, 2, 0)
    item = Item.objects.get(pk="a")
    assert (item.title, item.description) == ("Lamp", "kept")
    assert item.price == Decimal("8.5")
    assert Item.objects.get(pk="b").price is None


@pytest.mark.parametrize("name", [p.stem for p in SHIPPED.glob("*.toml")])
def test_every_shipped_mapping_loads(name: str) -> None:
    assert load_mapping(name).title


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = 3", "title"),
        (f'{START}constant = "view"\n[fields]\nunit_id = "u"\ncolour = "c"', "colour"),
        (f'{START}constant = "view"\n[fields]\nitem_id = "i"', "unit_id"),
        (f'{START}[fields]\nunit_id = "u"', "constant"),
        ("not toml", "not a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_refused_by_name(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(InvalidError, match=says):
        load_mapping(str(path))


def test_an_unknown_mapping_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidError, match="online_retail_ii"):
        load_mapping("magento")


def test_the_real_log_is_imported_whole_and_fast(
    lake: Path,
) -> None:
    if not REAL.exists():
        pytest.skip(f"{REAL.name} is absent: the real log was not imported")
    started = time.process_time()
    report = retail(REAL)
    assert (report.read, report.accepted) == (809_560, 809_560)
    assert report.units == 5_942
    assert time.process_time() - started < 60
    counted = set(logged(str(lake), "DISTINCT name, count(*) OVER (PARTITION BY name)"))
    assert counted == {("purchase", 791_114), ("refund", 18_446)}
    blank = logged(str(lake), "DISTINCT item_id")
    assert len(blank) == report.items


def test_pyarrow_numbers_rows_as_we_count_on() -> None:
    numbers: list[int] = []

    def keep(row: pa_csv.InvalidRow) -> str:
        numbers.append(row.number)
        return "skip"

    pa_csv.read_csv(
        io.BytesIO(b"1,2\n1,2,3\n1,2\n"),
        read_options=pa_csv.ReadOptions(column_names=["a", "b"], use_threads=False),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=keep),
    )
    assert numbers == [2]
