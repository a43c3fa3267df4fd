"""Comparisons from sufficient statistics, beside other tools; the validation's time."""

import json
import os
import pkgutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import experiments.statistics
from benchmarks import peers
from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.comparison import Comparison
from experiments.statistics.covariates import adjust, adjusted_difference
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.ratios import ratio_difference

ROOT = Path(__file__).resolve().parent.parent
GRID = ROOT / "docs" / "validation" / "grid.json"
ROUNDS = 3
UNITS = 5_000
BARS = {
    "mean_1000_ms": "<= 2",
    "ratio_1000_ms": "<= 2",
    "cuped_1000_ms": "<= 2",
    "mean_100000_ms": "<= 100",
    "import_s": "< 0.5",
    "grid_minutes": "<= 15",
    "gbstats_ratio": "times slower, at least",
    "tea_tasting_ratio": "times slower, at least",
}


def run() -> dict[str, float]:
    """Time the engine and the peers in turn, three rounds; print and return medians."""
    peers.install()
    ours = {kind: _ours(kind, 1_000) for kind in ("mean", "ratio", "cuped")}
    large = _ours("mean", 100_000)
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for kind, compare in ours.items():
            times.setdefault(f"{kind}_1000_ms", []).append(_milliseconds(compare, 31))
            for tool in ("gbstats", "tea_tasting"):
                seconds = peers.ask(tool, _questions(kind, 1_000)).seconds  # type: ignore[arg-type]  # literals in a tuple
                times.setdefault(f"{tool} {kind}", []).append(1_000 * seconds)
        times.setdefault("mean_100000_ms", []).append(_milliseconds(large, 5))
        times.setdefault("import_s", []).append(_import_seconds())
    middle = {name: statistics.median(values) for name, values in times.items()}
    figures = {name: value for name, value in middle.items() if name in BARS}
    figures["grid_minutes"] = _grid_minutes()
    for tool in ("gbstats", "tea_tasting"):
        slower = {k: middle[f"{tool} {k}"] / middle[f"{k}_1000_ms"] for k in ours}
        figures[f"{tool}_ratio"] = min(slower.values())
        print(f"1,000 comparisons one by one with {tool.replace('_', '-')}:")
        for kind, ratio in slower.items():
            took = middle[f"{tool} {kind}"]
            print(f"  {kind:<6} {took:>9,.1f} ms, {ratio:>7,.0f} times slower")
    figures = {name: round(figures[name], 3) for name in BARS if name in figures}
    for name, value in figures.items():
        print(f"{name:<18} {value:>10,.3f}   {BARS[name]}")
    return figures


def _arms(kind: str, size: int) -> FloatArray:
    """Return sums over units, shape (arm, comparison, sum), as `peers` wants them."""
    generator = np.random.default_rng(0)
    x = 5 + generator.standard_normal((2, size)) * 0.02
    y = 2 + 0.5 * (x - 5) + generator.standard_normal((2, size)) * 0.02
    spread = generator.uniform(0.8, 1.2, (3, 2, size))
    n = np.full((2, size), float(UNITS))
    yy = n * (spread[0] + y * y)
    if kind == "mean":
        return np.stack([n, n * y, yy], axis=-1)
    xx, xy = n * (spread[1] + x * x), n * (0.5 * spread[2] + x * y)
    return np.stack([n, n * y, yy, n * x, xx, xy], axis=-1)


def _questions(kind: peers.Kind, size: int) -> list[peers.Question]:
    control, treatment = _arms(kind, size).tolist()
    return [peers.Question(kind, a, b) for a, b in zip(control, treatment, strict=True)]


def _ours(kind: str, size: int) -> Callable[[], Comparison]:
    """Return the engine's answer to the same questions, all at once."""
    sums = np.moveaxis(_arms(kind, size), -1, 0)
    n, y, yy = sums[:3]
    if kind == "mean":
        m2 = yy - y * y / n
        a, b = (Moments(n[i], (y / n)[i], m2[i], np.zeros(size)) for i in (0, 1))
        return lambda: welch(a, b)
    x, xx, xy = sums[3:]
    m2 = yy - y * y / n, xx - x * x / n, xy - x * y / n
    if kind == "ratio":
        c, d = (
            CrossMoments(n[i], (y / n)[i], (x / n)[i], *(part[i] for part in m2))
            for i in (0, 1)
        )
        return lambda: ratio_difference(c, d)
    arms = CrossMoments(n.T, (y / n).T, (x / n).T, *(part.T for part in m2))
    return lambda: adjusted_difference(adjust(arms))


def _milliseconds(compare: Callable[[], Comparison], times: int) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        compare()
        taken.append(time.perf_counter() - began)
    return 1_000 * statistics.median(taken)


def _import_seconds() -> float:
    """Return the time a fresh interpreter needs for every module of the engine."""
    package = experiments.statistics
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    imports = ", ".join(f"{package.__name__}.{name}" for name in names)
    program = (
        f"import time; began = time.perf_counter()\nimport {imports}\n"
        "print(time.perf_counter() - began)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def _grid_minutes() -> float:
    """Return the minutes of the published grid; run it anew with BENCH_GRID=1."""
    if os.environ.get("BENCH_GRID") == "1":
        subprocess.run(
            [sys.executable, "-m", "benchmarks.validation"], cwd=ROOT, check=True
        )
    return float(json.loads(GRID.read_text())["run"]["minutes"])
