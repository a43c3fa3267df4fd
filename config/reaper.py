"""Ends what a supervisor that was killed could not end itself.

``python -m config.reaper DATA_DIR`` waits for the end of its standard input, which
the supervisor holds open for as long as it lives, and then ends the process groups
that are still noted in the installation.
"""

import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from config.embedded.place import runtime_path
from config.installation import Installation, InstallationBusyError


def main(data_dir: Path) -> None:
    """Wait for the supervisor's end, then clear up unless the next one did."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    with suppress(InstallationBusyError), Installation(data_dir, {}).exclusively():
        shutil.rmtree(runtime_path(data_dir), ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
