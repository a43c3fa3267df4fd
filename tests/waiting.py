"""Waiting for conditions instead of sleeping."""

import time
from collections.abc import Callable

import psutil


def wait_for(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    """Return once ``condition`` holds; fail when it does not within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def processes_of(mark: str) -> list[psutil.Process]:
    """Living processes, other than this one, with ``mark`` in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = any(mark in value for value in process.environ().values())
            zombie = process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
        if marked and not zombie and process.pid != psutil.Process().pid:
            found.append(process)
    return found
