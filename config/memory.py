"""Memory: what a tree of processes uses, and what is left for more."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

MB = 1024 * 1024
CGROUPS = Path("/sys/fs/cgroup")


def tree_mb() -> float:
    """Megabytes in use by this process and everything below it.

    Proportional set sizes where the system tells them (Linux), so that pages shared
    by forked processes count once; resident set sizes elsewhere.
    """
    own = psutil.Process(os.getpid())
    try:
        processes = [own, *own.children(recursive=True)]
    except psutil.NoSuchProcess:
        processes = [own]
    return sum(_bytes(process) for process in processes) / MB


def _bytes(process: psutil.Process) -> int:
    try:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        rollup = ""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def free_mb() -> float:
    """Megabytes that new processes can still take, swap included.

    The least of what the machine has left and what every control group around this
    process leaves (a container's limit, for instance).
    """
    machine = psutil.virtual_memory().available + psutil.swap_memory().free
    return min([machine, *_left_in_groups()]) / MB


def _left_in_groups() -> Iterator[int]:
    """Bytes below the limit of each control group with one (versions 1 and 2)."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in {"", "memory"}:
            continue
        root = CGROUPS / controllers
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else ("memory.max", "memory.current", "inactive_file")
        )
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            left = _left(folder, *names)
            if left is not None:
                yield left
            if folder == root:
                break


def _left(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Bytes a control group leaves; None: it has no limit, or does not say."""
    try:
        most = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
        facts = dict(
            line.split() for line in (folder / "memory.stat").read_text().splitlines()
        )
    except (OSError, ValueError):
        return None
    # Page cache that was not touched lately is given back when memory is short.
    return max(0, most - used + int(facts.get(cache, 0)))
