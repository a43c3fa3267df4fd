"""Runs benchmarks and keeps their figures.

A benchmark is a module here with ``run() -> dict[str, float]``, which prints its
table and returns its figures. Without a name all run but those ending in ``-long``
(``sizes-long`` lives in ``sizes_long.py``).
"""

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
PACKAGES = ("django", "granian", "celery", "deltalake", "duckdb", "numpy", "torch")


def names() -> list[str]:
    """Every benchmark's name, as it is typed."""
    return sorted(
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules([str(FOLDER)])
        if not module.name.startswith("_") and not module.ispkg
    )


def machine() -> dict[str, str | int | float]:
    """What the figures were measured on."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = (line.split(":", 1)[1] for line in lines if line.startswith("model name"))
    return next(models, platform.machine()).strip()


def measure(name: str) -> Mapping[str, float]:
    """Run one benchmark and keep its figures in ``results``."""
    before = machine()
    figures = importlib.import_module(f"benchmarks.{name.replace('-', '_')}").run()
    record = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": before,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    return dict(figures)


def main() -> None:
    """Run the named benchmarks; the last line is one JSON object of figures."""
    known = names()
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="BENCH", help=", ".join(known))
    chosen = parser.parse_args().names
    if unknown := set(chosen) - set(known):
        sys.exit(f"no benchmark {min(unknown)!r}; there are: {', '.join(known)}")
    several = chosen or [name for name in known if not name.endswith("-long")]
    figures: dict[str, float] = {}
    for name in several:
        measured = measure(name)
        prefix = "" if len(several) == 1 else f"{name}."
        figures |= {f"{prefix}{key}": value for key, value in measured.items()}
        if len(several) > 1:
            print(json.dumps({name: measured}))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
