"""Streams of changes, held by a real front."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psutil
import pytest
import redis

from experiments.assignment.plan import Plan
from tests.config.shops import DjangoShop, FrontShop, wait_for
from tests.experiments.assignment import plans

KEYS = plans.Keys()
BULK = "/ofrep/v1/evaluate/flags"
CONTEXT = json.dumps({"context": {"targetingKey": "u1"}}).encode()
SUB = f"/sub/{KEYS.browser}"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontShop]:
    shop = FrontShop(
        tmp_path_factory.mktemp("front"), {"SHIPWORTHY_STREAMS_PER_KEY": "550"}
    )
    shop.start()
    try:
        yield shop
    finally:
        shop.stop()


@pytest.fixture
def plan(front: FrontShop, redis_client: "redis.Redis") -> Plan:
    """The plan that the front answers by."""
    made = msgspec.structs.replace(plans.plan(KEYS), versions={})
    publish(front, redis_client, made)
    return made


def publish(front: FrontShop, client: "redis.Redis", made: Plan) -> None:
    plans.publish(client, made)
    wait_for(lambda: held(front) == made.revision)


def held(front: FrontShop) -> str | None:
    facts = json.loads(front.call("GET", "/readyz").body)
    found: str | None = facts["plan"].get("revision")
    return found


def changed(plan: Plan, phase: int) -> Plan:
    home = plan.placements["home"]
    rule = msgspec.structs.replace(home.experiments[0], phase=phase)
    home = msgspec.structs.replace(home, experiments=(rule,))
    return msgspec.structs.replace(
        plan,
        placements={**plan.placements, "home": home},
        revision=f"{plan.revision[:8]}-{phase}",
        built_at=plan.built_at + phase,
    )


class Message:
    """One event of a stream."""

    def __init__(self, text: str) -> None:
        self.fields: dict[str, str] = {}
        for line in text.splitlines():
            name, _, value = line.partition(":")
            self.fields[name] = value.removeprefix(" ")

    @property
    def data(self) -> Any:
        return json.loads(self.fields["data"])


class Client:
    """An SSE client over a socket of its own."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader, self._writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def begin(self, path: str, headers: Mapping[str, str]) -> None:
        lines = [f"GET {path} HTTP/1.1", "host: x"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.strip().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {
            name.lower(): value for name, _, value in (r.partition(": ") for r in rest)
        }

    async def next(self) -> Message:
        """The next event, pings left out."""
        while True:
            size = int(await self._reader.readline(), 16)
            assert size, "the stream ended"
            text = (await self._reader.readexactly(size + 2)).decode().strip()
            if not text.startswith(":"):
                return Message(text)

    async def end(self) -> None:
        """Return once the server ends the stream."""
        async with asyncio.timeout(5):
            while size := int(await self._reader.readline(), 16):
                await self._reader.readexactly(size + 2)

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def opened(front: FrontShop, path: str, **headers: str) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    client = Client(reader, writer)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        async with asyncio.timeout(20):
            await client.begin(path, sent)
            yield client
    finally:
        client.close()


def stream_path(front: FrontShop, key: str = KEYS.browser) -> str:
    answer = front.call("POST", BULK, CONTEXT, {"X-API-Key": key})
    [entry] = json.loads(answer.body)["eventStreams"]
    path: str = entry["endpoint"]["requestUri"]
    return path


def bulk(front: FrontShop, query: str = "", **headers: str) -> Any:
    sent = {"X-API-Key": KEYS.browser} | headers
    return front.call("POST", f"{BULK}{query}", CONTEXT, sent)


def test_a_change_asks_ofrep_clients_to_evaluate_again(
    front: FrontShop, plan: Plan, redis_client: "redis.Redis"
) -> None:
    async def watch() -> Message:
        async with opened(front, stream_path(front)) as client:
            assert client.status == 200
            assert client.headers["content-type"] == "text/event-stream"
            first = await client.next()
            assert first.fields["retry"] == "10000"
            plans.publish(redis_client, changed(plan, 2))
            while True:  # what was new when we came is told too
                message = await client.next()
                if message.fields["id"] != state:
                    return message

    old = bulk(front)
    state = json.loads(old.body)["metadata"]["configuration"]
    message = asyncio.run(watch())
    assert message.fields["event"] == "message"
    assert message.data["type"] == "refetchEvaluation"
    assert message.data["etag"] == message.fields["id"]
    query = "?flagConfigEtag={etag}&flagConfigLastModified={lastModified}"
    again = bulk(
        front, query.format(**message.data), **{"If-None-Match": old.headers["etag"]}
    )
    assert again.status == 200
    assert json.loads(again.body)["metadata"]["configuration"] == message.data["etag"]


def test_a_change_sends_growthbook_clients_the_payload(
    front: FrontShop, plan: Plan, redis_client: "redis.Redis"
) -> None:
    async def watch() -> Message:
        async with opened(front, SUB, origin=plans.ORIGIN) as client:
            assert client.headers["access-control-allow-origin"] == plans.ORIGIN
            await client.next()
            plans.publish(redis_client, changed(plan, 3))
            while True:  # what was new when we came is told too
                message = await client.next()
                if '"phase":"3"' in message.fields["data"]:
                    return message

    message = asyncio.run(watch())
    assert message.fields["event"] == "features"
    wait_for(lambda: held(front) == changed(plan, 3).revision)
    payload = front.call("GET", f"/api/features/{KEYS.browser}")
    assert message.data == json.loads(payload.body)


def test_remote_evaluation_is_told_that_and_not_what(
    front: FrontShop, plan: Plan, redis_client: "redis.Redis"
) -> None:
    closed = msgspec.structs.replace(
        plan,
        revision=f"{plan.revision[:8]}-closed",
        keys={
            digest: msgspec.structs.replace(key, remote_only=True)
            for digest, key in plan.keys.items()
        },
    )
    publish(front, redis_client, closed)

    async def watch() -> Message:
        async with opened(front, SUB) as client:
            await client.next()
            plans.publish(redis_client, changed(closed, 4))
            return await client.next()

    message = asyncio.run(watch())
    assert (message.fields["event"], message.fields["data"]) == ("features-updated", "")


@pytest.mark.parametrize("path", ["ofrep", "growthbook"])
def test_who_comes_back_is_told_what_was_missed(
    path: str, front: FrontShop, plan: Plan
) -> None:
    path = stream_path(front) if path == "ofrep" else SUB

    state = json.loads(bulk(front).body)["metadata"]["configuration"]

    async def hear(last_event_id: str, messages: int) -> Message:
        async with opened(front, path, last_event_id=last_event_id) as client:
            heard = [await client.next() for _ in range(messages)]
            return heard[-1]

    assert asyncio.run(hear("before", 2)).fields["id"] == state
    assert asyncio.run(hear(state, 1)).fields == {"retry": "10000", "id": state}


@pytest.mark.parametrize(
    "token", ["x", "1.2.3", "6.99999999999.AAAAAAAAAAAAAAAAAAAAAAAA"]
)
def test_a_forged_token_opens_nothing(token: str, front: FrontShop, plan: Plan) -> None:
    answer = front.call("GET", f"/ofrep/v1/stream/{token}")
    assert (answer.status, answer.body) == (401, b"")


def test_a_token_reads_streams_and_nothing_else(front: FrontShop, plan: Plan) -> None:
    token = stream_path(front).rpartition("/")[2]
    sent = {"X-API-Key": token, "Authorization": f"Bearer {token}"}
    assert front.call("POST", BULK, CONTEXT, sent).status == 401
    assert front.call("GET", f"/api/features/{token}").status == 400


def test_a_key_that_is_revoked_ends_its_streams(
    front: FrontShop, plan: Plan, redis_client: "redis.Redis"
) -> None:
    path = stream_path(front)
    bereft = msgspec.structs.replace(plan, revision=f"{plan.revision[:8]}-k", keys={})

    async def watch() -> None:
        async with opened(front, path) as client:
            await client.next()
            plans.publish(redis_client, bereft)
            await client.end()

    asyncio.run(watch())
    assert front.call("GET", path).status == 401


def test_over_a_thousand_streams_cost_little_hear_within_a_second_and_leave_no_trace(
    front: FrontShop, plan: Plan, redis_client: "redis.Redis"
) -> None:
    paths = [stream_path(front, key) for key in (KEYS.browser, KEYS.server)]
    state = json.loads(bulk(front).body)["metadata"]["configuration"]
    [worker] = workers(front)
    before = worker.memory_info().rss

    async def watch() -> float:
        async with asyncio.TaskGroup() as group:
            opening = [
                group.create_task(entered(front, paths[n % 2])) for n in range(1_100)
            ]
        clients = [task.result() for task in opening]
        for client in clients:
            assert client.status == 200
            await client.next()
        grown = (worker.memory_info().rss - before) / 1e6
        assert grown < 100, f"{grown:.0f} MB"
        async with opened(front, paths[0]) as refused:
            assert refused.status == 429
            assert int(refused.headers["retry-after"]) > 0
        began = time.perf_counter()
        plans.publish(redis_client, changed(plan, 5))
        await asyncio.gather(*(hears_of_another(client, state) for client in clients))
        took = time.perf_counter() - began
        for client in clients:
            client.close()
        return took

    assert asyncio.run(watch()) < 2.0  # 1 s is the benchmark's bar, on a quiet machine

    async def reopened() -> int:
        async with opened(front, paths[0]) as client:
            return client.status

    # The limit is reached as long as clients that left are counted.
    wait_for(lambda: asyncio.run(reopened()) == 200)


async def hears_of_another(client: Client, state: str) -> None:
    while (await client.next()).fields["id"] == state:
        pass


async def entered(front: FrontShop, path: str) -> Client:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    client = Client(reader, writer)
    await client.begin(path, {})
    return client


def workers(front: FrontShop) -> list[psutil.Process]:
    tree = psutil.Process(front.process.pid).children(recursive=True)
    return [p for p in tree if not p.children() and "granian" in " ".join(p.cmdline())][
        -1:
    ]


def test_a_front_with_open_streams_stops_at_once(
    tmp_path: Any, redis_client: "redis.Redis"
) -> None:
    shop = FrontShop(tmp_path)
    shop.start()
    made = msgspec.structs.replace(plans.plan(KEYS), versions={})
    try:
        publish(shop, redis_client, made)

        async def hold() -> float:
            async with opened(shop, SUB) as client:
                await client.next()
                began = time.perf_counter()
                await asyncio.to_thread(shop.stop)
                return time.perf_counter() - began

        assert asyncio.run(hold()) < 4.0
    finally:
        shop.stop()


def test_streams_are_the_fronts(plan: Plan) -> None:
    answer = DjangoShop().call("GET", SUB)
    assert answer.status == 501
    assert json.loads(answer.body)["error"]["code"] == "streams_elsewhere"
