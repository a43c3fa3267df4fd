"""Sees when code changes, for ``make dev``."""

from pathlib import Path

SUFFIXES = (".py", ".html", ".css", ".js", ".toml")
FOLDERS = ("config", "experiments", "models_registry", "scoring", "templates")


class Watch:
    """Times of the source files below ``root``, compared at each look."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = self._times()

    def changed(self) -> str | None:
        """A file changed, made or removed since the last look, if there is one."""
        before, self._seen = self._seen, self._times()
        differing = dict(before.items() ^ self._seen.items())
        if not differing:
            return None
        return str(min(differing).relative_to(self._root))

    def _times(self) -> dict[Path, int]:
        times = {}
        for folder in FOLDERS:
            for path in (self._root / folder).rglob("*"):
                if path.suffix in SUFFIXES:
                    times[path] = path.stat().st_mtime_ns
        return times
