"""Memory of a tree of processes, each shared page counted once."""

import os
from pathlib import Path

import psutil

MB = 1024 * 1024


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
