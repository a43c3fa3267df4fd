"""Exec a command that dies with the process that started it.

Run as a script, isolated and before anything heavy is imported::

    python -I -S tether.py PARENT SIGNAL USER GROUP COMMAND...

PARENT is the pid of the starter; SIGNAL is what the kernel sends to the command
when the starter ends, however it ends (Linux only; elsewhere the next run of the
supervisor clears up). USER and GROUP are numeric ids to become first, or ``-``.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, user: str, group: str) -> None:
    """Tie this process to ``parent``, then become the command."""
    if user != "-":
        # The kernel forgets the death signal when credentials change, so this is first.
        os.setgroups([])
        os.setgid(int(group))
        os.setuid(int(user))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            sys.exit("the process that started this one is gone")
    command = sys.argv[5:]
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
