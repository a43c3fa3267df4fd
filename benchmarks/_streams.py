"""How soon a change reaches open streams, and what they cost the hot path."""

import asyncio
import time
from typing import TYPE_CHECKING, cast

import msgspec

from benchmarks import _load as load

if TYPE_CHECKING:
    from benchmarks.assignment import Shop
    from experiments.assignment.plan import Plan

STREAMS = 1_000
CHANGES = 10


class _Listener(asyncio.Protocol):
    """An open stream that notes when it hears of a state."""

    def __init__(self, path: str, heard: list[tuple[float, bytes]]) -> None:
        self._path, self._heard = path, heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        asking = f"GET {self._path} HTTP/1.1\r\nhost: x\r\n\r\n"
        cast("asyncio.Transport", transport).write(asking.encode())

    def data_received(self, data: bytes) -> None:
        if b"refetchEvaluation" in data or b"retry:" in data:
            self._heard.append((time.perf_counter(), data))


def changed(plan: "Plan", number: int) -> "Plan":
    """The plan with another phase of its first experiment."""
    key, placement = next(iter(plan.placements.items()))
    rule = msgspec.structs.replace(placement.experiments[0], phase=number)
    placement = msgspec.structs.replace(placement, experiments=(rule,))
    return msgspec.structs.replace(
        plan,
        revision=f"bench-{number}",
        built_at=time.time(),
        placements={**plan.placements, key: placement},
    )


def propagation(shop: "Shop", bulk: load.Call, seconds: float) -> dict[str, float]:
    """p99 over streams and changes, and the bulk rate beside the open streams."""
    return asyncio.run(_propagation(shop, bulk, seconds))


async def _propagation(
    shop: "Shop", bulk: load.Call, seconds: float
) -> dict[str, float]:
    _, _, answer = shop.call("POST", bulk.path, bulk.body(0))
    entry = msgspec.json.decode(answer)["eventStreams"][0]
    path, loop = entry["endpoint"]["requestUri"], asyncio.get_running_loop()
    heard: list[tuple[float, bytes]] = []
    alone = await _rate(shop, bulk, seconds)
    transports = []
    for _ in range(STREAMS):
        transport, _ = await loop.create_connection(
            lambda: _Listener(path, heard), "127.0.0.1", shop.port
        )
        transports.append(transport)
    await _until(heard, STREAMS)
    taken: list[float] = []
    for number in range(2, CHANGES + 2):
        heard.clear()
        began = time.perf_counter()
        await asyncio.to_thread(shop.publish, changed(shop.plan, number))
        await _until(heard, STREAMS)
        taken += [at - began for at, _ in heard]
    beside = await _rate(shop, bulk, seconds)
    for transport in transports:
        transport.close()
    return {
        "propagate_p99_s": load.quantile(taken, 0.99),
        "bulk_rps_with_streams_ratio": beside / alone,
    }


async def _rate(shop: "Shop", bulk: load.Call, seconds: float) -> float:
    return await asyncio.to_thread(
        load.closed_loop, shop.port, bulk, seconds, shop.folder
    )


async def _until(heard: list[tuple[float, bytes]], count: int) -> None:
    async with asyncio.timeout(30):
        while len(heard) < count:  # noqa: ASYNC110 # 1,000 streams, no event each
            await asyncio.sleep(0.005)
