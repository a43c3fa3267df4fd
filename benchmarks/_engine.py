"""Assignment inside one process, on one core: the rows of ``assignment`` without wire.

A ready context is what a front has once a request is read: an id, decoded attributes,
a time. Nothing of a shopper is cached: each evaluation hashes, and each is of another
shopper. What is made beforehand is the compiled plan. Rates are per second of the
process's own time, as the peers' were, and of the best of several rounds, since
whatever else runs on the machine only takes away.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import psutil

from experiments.assignment.bucketing import bucket_ranges
from experiments.assignment.compiled import CompiledPlan, UnitContext
from experiments.assignment.plan import (
    ExperimentPlan,
    PlacementPlan,
    Plan,
    VariantPlan,
)
from experiments.assignment.vectors import bucket_numbers

BARS = {
    "evaluate_per_s": ">= 1,000,000",
    "bulk20_units_per_s": ">= 60,000",
    "vector_units_per_s": ">= 20,000,000",
    "plan1000_bulk_p99_ms": "<= 40",
    "plan1000_build_s": "<= 1",
    "plan1000_mb": "<= 50",
    "evaluate_growth_mb": "flat",
}
# Of rows without a bar.
AUDIENCE = '{"country": {"$in": ["nl", "be"]}, "orders": {"$gte": 2}}'
ROUNDS = 5
SHOPPERS = 100_000
GROWTH = 10_000_000


def figures() -> dict[str, float]:
    """Every figure; those of memory come from processes of their own."""
    plan = CompiledPlan(plan_of(20))
    contexts = ready(SHOPPERS)
    looked_at = CompiledPlan(plan_of(20, condition=AUDIENCE))
    shoppers = np.char.add(b"shopper-", np.arange(2_000_000).astype("S7"))
    return {
        "evaluate_per_s": best(lambda: _singles(plan, contexts), SHOPPERS),
        "bulk20_units_per_s": best(lambda: _bulk(plan, contexts[:20_000]), 20_000),
        "vector_units_per_s": best(
            lambda: bucket_numbers("a-seed", shoppers), len(shoppers)
        ),
        "bulk20_audience_units_per_s": best(
            lambda: _bulk(looked_at, contexts[:4_000]), 4_000
        ),
        **_in_a_process("thousand"),
        **_in_a_process("growth"),
    }


def plan_of(count: int, **fields: object) -> Plan:
    """Placements with an experiment of two variants each."""
    placements = {}
    for number in range(count):
        variants = tuple(
            VariantPlan(key, start, end, 0.5, payload=f'"{key}"')
            for key, (start, end) in zip(
                ("control", "treatment"), bucket_ranges(2), strict=True
            )
        )
        stated: dict[str, object] = {
            "id": number,
            "key": f"experiment-{number}",
            "status": "running",
            "phase": 1,
            "epoch": 1,
            "seed": f"experiment-{number}-1",
            "coverage": 1.0,
            "control": "control",
            "variants": variants,
            "exposure": "client",
        }
        rule = ExperimentPlan(**(stated | fields))  # type: ignore[arg-type] # fields
        key = f"placement-{number}"
        placements[key] = PlacementPlan(
            key, "string", experiments=(rule,), default_payload='"control"'
        )
    return Plan(revision="bench", built_at=time.time(), placements=placements)


def ready(count: int) -> list[UnitContext]:
    """Contexts of distinct shoppers, half of whom the audience holds."""
    return [
        UnitContext(
            f"shopper-{number}",
            {"country": ("nl", "fr")[number % 2], "orders": 3, "device": "phone"},
            1.0,
        )
        for number in range(count)
    ]


def best(work: Callable[[], object], units: int) -> float:
    """Units a second of the process's time in the best round."""
    seconds = []
    gc.collect()
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return round(units / min(seconds), 1)


def _singles(plan: CompiledPlan, contexts: list[UnitContext]) -> None:
    assign = plan.assign
    for context in contexts:
        assign("placement-7", context)


def _bulk(plan: CompiledPlan, contexts: list[UnitContext]) -> None:
    assign_all = plan.assign_all
    for context in contexts:
        assign_all(context)


def _in_a_process(name: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._engine", name],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _resident_mb() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


def thousand() -> dict[str, float]:
    """A plan of 1,000 experiments: its build, its size, and one shopper's answers."""
    stated = [plan_of(1_000) for _ in range(ROUNDS)]
    CompiledPlan(plan_of(1))  # what is imported and made once is not the plan's
    before, seconds = _resident_mb(), []
    made: list[CompiledPlan] = []
    for plan in stated:
        began = time.perf_counter()
        made.append(CompiledPlan(plan))
        seconds.append(time.perf_counter() - began)
    size = (_resident_mb() - before) / len(made)
    taken = []
    for context in ready(1_000):
        began = time.perf_counter()
        made[0].assign_all(context)
        taken.append(time.perf_counter() - began)
    return {
        "plan1000_bulk_p99_ms": round(1_000 * float(np.quantile(taken, 0.99)), 3),
        "plan1000_build_s": round(min(seconds), 4),
        "plan1000_mb": round(size, 2),
    }


def growth() -> dict[str, float]:
    """What memory gains over ten million evaluations of as many shoppers."""
    plan = CompiledPlan(plan_of(20, condition=AUDIENCE))
    plain = CompiledPlan(plan_of(20))

    def evaluate(first: int, count: int) -> None:
        known = {"country": "nl", "orders": 3}
        for number in range(first, first + count, 2):
            context = UnitContext(f"shopper-{number}", known, 1.0)
            plain.assign("placement-3", context)
            plan.assign("placement-3", context)

    evaluate(0, 100_000)
    before = _resident_mb()
    evaluate(100_000, GROWTH)
    return {"evaluate_growth_mb": round(_resident_mb() - before, 2)}


if __name__ == "__main__":
    sys.stdout.write(
        json.dumps({"thousand": thousand, "growth": growth}[sys.argv[1]]())
    )
