"""Client libraries of other languages, installed for the tests that need them."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tools import SKIP_PREFIX

FOLDER = Path(__file__).parent
_LOCK = FOLDER / "package-lock.json"
_STAMP = FOLDER / "node_modules" / ".package-lock.json"


def node_packages() -> Path:
    """The folder from which Node finds the locked packages; installed when absent.

    Skips when they cannot be had, or fails where optional tools are required.
    """
    with (FOLDER / "package.json").open() as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not _STAMP.exists() or _STAMP.stat().st_mtime < _LOCK.stat().st_mtime:
            _install()
    return FOLDER


def _install() -> None:
    problem = "npm is absent"
    if shutil.which("npm"):
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode == 0:
            _STAMP.touch()
            return
        problem = done.stderr.strip()[-300:]
    if os.environ.get("SHIPWORTHY_REQUIRE_TOOLS") == "1":
        pytest.fail(f"the Node packages are absent but required: {problem}")
    pytest.skip(f"{SKIP_PREFIX}node")
