"""Optional tools: tests that need an absent one skip, and the run says how many.

With ``SHIPWORTHY_REQUIRE_TOOLS=1`` an absent tool is a failure instead, but for
gbstats: a second opinion, which lives in an environment of its own.
"""

import os
import shutil
from collections import Counter

import pytest

from benchmarks import peers

COMMANDS = {"browser": "chromium", "node": "node", "java": "java", "peers": "gbstats"}
SKIP_PREFIX = "optional tool absent: "


def present(command: str) -> bool:
    """Whether a tool is on this machine; gbstats lives in a folder of its own."""
    if command == COMMANDS["peers"]:
        return peers.installed()
    return shutil.which(command) is not None


def require_tools(item: pytest.Item) -> None:
    """Skip or fail a test marked with a tool that this machine lacks."""
    for marker, command in COMMANDS.items():
        if item.get_closest_marker(marker) and not present(command):
            required = os.environ.get("SHIPWORTHY_REQUIRE_TOOLS") == "1"
            if required and command != COMMANDS["peers"]:
                pytest.fail(f"{command} is absent but required", pytrace=False)
            pytest.skip(f"{SKIP_PREFIX}{command}")


def skips_by_tool(reports: list[pytest.TestReport]) -> Counter[str]:
    """How many tests were skipped for each absent tool."""
    found: Counter[str] = Counter()
    for report in reports:
        if isinstance(report.longrepr, tuple):
            reason = str(report.longrepr[2])
            _, mark, command = reason.partition(SKIP_PREFIX)
            if mark:
                found[command] += 1
    return found


def summary_line(skipped: Counter[str]) -> str:
    """One line that counts the skips of every tool."""
    counts = (f"{command} {skipped[command]}" for command in COMMANDS.values())
    return "skipped for want of a tool: " + ", ".join(counts)
