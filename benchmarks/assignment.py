"""Assignment: OFREP, the SDK payload and streams of a real front; the engine alone.

Two front workers, 20 experiments of two variants, 32 connections, 100,000 shoppers,
the generator on the same machine; exposures are logged by the client, and a row of its
own shows what logging them here costs. Throughput in a closed loop, the median of three
rounds in which the real answer and a bare one alternate: a handler in the same front
that returns the same status, headers and bytes. p99 in an open loop at half that rate.
"""

import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from benchmarks import _load as load
from benchmarks import _pages
from benchmarks._streams import propagation
from config.embedded import EmbeddedRedis
from config.process import Command, Process
from config.programs import FRONT_CONNECTIONS
from experiments.assignment.bucketing import bucket_ranges
from experiments.assignment.plan import (
    ExperimentPlan,
    PlacementPlan,
    Plan,
    VariantPlan,
)
from experiments.assignment.publication import (
    CHANNEL,
    HEAD_KEY,
    PLAN_KEY,
    encode_head,
    encode_plan,
)
from experiments.gateway import keys

ROOT = Path(__file__).resolve().parent.parent
SHOPPERS = 100_000
EXPERIMENTS = 20
BULK = "/ofrep/v1/evaluate/flags"
ROUNDS = 3
# Shorter rounds for whoever only wants to see it work.
SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
P99_SECONDS = float(os.environ.get("BENCH_P99_SECONDS", "60"))
BARS = {
    "ofrep_bulk_rps": ">= 10,000",
    "ofrep_bulk_p99_ms": "<= 12",
    "ofrep_bulk_vs_bare": ">= 0.6",
    "ofrep_single_rps": ">= 15,000",
    "not_modified_vs_bare": ">= 0.9",
    "payload_vs_bare": ">= 0.9",
    "payload_rps": ">= 20,000",
    "bulk_p99_beside_pages_ms": "<= 15",
    "propagate_p99_s": "<= 1",
    "bulk_rps_with_streams_ratio": ">= 0.9",
}


@dataclass(frozen=True)
class Shop:
    """A front under load.

    Attributes:
        plain: Its publishable key.
        cookie: A session of somebody who reads pages; empty: there is no site.
        folder: Where recorded answers and scripts lie.
    """

    port: int
    plain: str
    folder: Path
    redis_url: str
    plan: Plan
    cookie: str = ""

    def call(
        self, method: str, path: str, body: bytes = b"", etag: str = ""
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """One call."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"x-api-key": self.plain, "content-type": "application/json"}
        if etag:
            headers["if-none-match"] = etag
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        answer = response.status, response.getheaders(), response.read()
        connection.close()
        return answer

    def publish(self, plan: Plan) -> None:
        """Publish a plan as the service does."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.set(PLAN_KEY, encode_plan(plan))
            client.set(HEAD_KEY, encode_head(plan))
            client.publish(CHANNEL, plan.revision)

    def record(
        self, kind: str, method: str, path: str, body: bytes = b"", etag: str = ""
    ) -> None:
        """Keep an answer for the bare handler."""
        status, headers, answer = self.call(method, path, body, etag)
        # What the dispatcher, and the server, add to every answer.
        added = {"x-request-id", "x-content-type-options", "content-length", "date"}
        kept = [
            (k.lower(), v) for k, v in headers if k.lower() not in added | {"server"}
        ]
        content = {"status": status, "headers": kept}
        (self.folder / f"{kind}.json").write_text(json.dumps(content))
        (self.folder / f"{kind}.body").write_bytes(answer)


def make_plan(plain: str, *, exposure: str = "client") -> Plan:
    """20 placements of a text, each with an experiment of two variants."""
    placements = {}
    ranges = bucket_ranges(2)
    for number in range(EXPERIMENTS):
        key = f"placement-{number:02d}"
        variants = tuple(
            VariantPlan(
                key=name, start=start, end=end, weight=0.5, payload=json.dumps(name)
            )
            for name, (start, end) in zip(("control", "treatment"), ranges, strict=True)
        )
        rule = ExperimentPlan(
            id=number,
            key=f"experiment-{number:02d}",
            status="running",
            phase=1,
            epoch=1,
            seed=f"seed-{number:02d}",
            coverage=1.0,
            control="control",
            variants=variants,
            exposure=exposure,
        )
        placements[key] = PlacementPlan(
            key=key, value_type="string", experiments=(rule,), default_payload='"none"'
        )
    client = keys.Key(
        id=1,
        digest=keys.digest(plain),
        kind="publishable",
        label="bench",
        scopes=("evaluate", "events"),
    )
    revision = f"bench-{exposure}"
    return Plan(revision, time.time(), placements, {client.digest: client})


@contextmanager
def running_shop(
    folder: Path, *, exposure: str = "client", pages: bool = False
) -> Iterator[Shop]:
    """A Redis and a front of two workers, answering by the plan; a site on demand."""
    with ExitStack() as opened:
        server = EmbeddedRedis(folder)
        server.start()
        opened.callback(server.stop)
        plain = keys.generate("publishable")
        shop = Shop(
            load.free_port(),
            plain,
            folder,
            server.url,
            make_plan(plain, exposure=exposure),
        )
        shop.publish(shop.plan)
        env, cookie = _environment(shop), ""
        if pages:
            env, cookie = opened.enter_context(_pages.site(folder, env))
            shop = replace(shop, cookie=cookie)
        front = Process(_front(shop, env), folder / "front.log")
        front.start()
        opened.callback(front.stop)
        _wait_until_ready(shop, front)
        yield shop


def _environment(shop: Shop) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "REDIS_URL": shop.redis_url,
        "DATABASE_URL": "postgresql://none@127.0.0.1:9/none",
        "LAKE_URL": str(shop.folder / "lake"),
        "ARTIFACTS_URL": str(shop.folder / "artifacts"),
        "SHIPWORTHY_ENVIRONMENT": "test",
        "SHIPWORTHY_DATA_DIR": str(shop.folder),
        "SHIPWORTHY_SECRET_KEY": "a-secret-key-for-benchmarks-long-enough",
        "SHIPWORTHY_UNIT_KEY": "a-unit-key-for-benchmarks-long-enough",
        "SHIPWORTHY_LOG_LEVEL": "WARNING",
        "BENCH_FOLDER": str(shop.folder),
    }


def _front(shop: Shop, env: Mapping[str, str]) -> Command:
    argv = (
        *(sys.executable, "-m", "granian", "--interface", "rsgi", "--no-ws"),
        *("--host", "127.0.0.1", "--port", str(shop.port), "--workers", "2"),
        *("--workers-kill-timeout", "2", *FRONT_CONNECTIONS, "--loop", "uvloop"),
        "benchmarks._bare_front:app",
    )
    return Command("front", argv, env, cwd=ROOT)


def _wait_until_ready(shop: Shop, front: Process) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if (
                shop.call("POST", BULK, load.Call("", shoppers=1).body(0))[0] == 200
            ):  # HTTP's
                return
        except OSError:
            pass
        if not front.alive:
            break
        time.sleep(0.05)
    raise load.LoadError(f"The front did not start: {front.tail()}")


def compared(shop: Shop, real: load.Call, bare: str) -> tuple[float, float]:
    """Requests a second of an answer, and the share of the bare answer's."""
    reference = load.Call(f"/bare/{bare}", real.key, real.etag, real.shoppers)
    rates, shares = [], []
    for _ in range(ROUNDS):
        rate = load.closed_loop(shop.port, real, SECONDS, shop.folder)
        floor = load.closed_loop(shop.port, reference, SECONDS, shop.folder)
        rates.append(rate)
        shares.append(rate / floor)
    return statistics.median(rates), statistics.median(shares)


def wire_figures() -> dict[str, float]:
    """The rows that go over HTTP."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch, running_shop(Path(scratch)) as shop:
        bulk = load.Call(BULK, shop.plain, shoppers=SHOPPERS)
        body = bulk.body(0)
        features = f"/api/features/{shop.plain}"
        shop.record("bulk", "POST", BULK, body)
        shop.record("payload", "GET", features)
        etag = dict(shop.call("POST", BULK, body)[1])["etag"]
        shop.record("not_modified", "POST", BULK, body, etag)
        rps, share = compared(shop, bulk, "bulk")
        figures |= {"ofrep_bulk_rps": rps, "ofrep_bulk_vs_bare": share}
        p99 = load.open_loop(shop.port, bulk, rps / 2, P99_SECONDS).p99_ms()
        figures["ofrep_bulk_p99_ms"] = p99
        single = load.Call(f"{BULK}/placement-00", shop.plain, shoppers=SHOPPERS)
        figures["ofrep_single_rps"] = load.closed_loop(
            shop.port, single, SECONDS, shop.folder
        )
        unchanged = load.Call(BULK, shop.plain, etag, shoppers=0)
        figures["not_modified_vs_bare"] = compared(shop, unchanged, "not_modified")[1]
        payload = load.Call(features, shop.plain)
        rps, share = compared(shop, payload, "payload")
        figures |= {"payload_rps": rps, "payload_vs_bare": share}
        figures |= propagation(shop, bulk, SECONDS)
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_shop(Path(scratch), exposure="server") as shop,
    ):
        bulk = load.Call(BULK, shop.plain, shoppers=SHOPPERS)
        figures["ofrep_bulk_logging_rps"] = load.closed_loop(
            shop.port, bulk, SECONDS, shop.folder
        )
    return figures


def beside_pages() -> float:
    """p99 of bulk answers, ms, at half of what the front gives beside four readers."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_shop(Path(scratch), pages=True) as shop,
    ):
        _pages.wait_for_pages(shop.port, shop.cookie)
        bulk = load.Call(BULK, shop.plain, shoppers=SHOPPERS)
        with _pages.Readers(shop.port, shop.cookie):
            rate = load.closed_loop(shop.port, bulk, SECONDS, shop.folder)
            taken = load.open_loop(shop.port, bulk, rate / 2, P99_SECONDS)
        return taken.p99_ms()


def run() -> dict[str, float]:
    """All rows of the table."""
    if not load.has_wrk():
        print("wrk is not installed: throughput is measured by a slower generator")
    figures = wire_figures() | {"bulk_p99_beside_pages_ms": beside_pages()}
    for name, value in figures.items():
        print(f"{name:<28} {value:>12,.3f}   {BARS.get(name, 'no bar')}")
    return figures
