"""Which route a path belongs to (pure)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from experiments.gateway.handlers import Route


class Match(NamedTuple):
    """The routes of a path by method, and what the pattern captured."""

    by_method: Mapping[str, Route]
    parameters: Mapping[str, str]


class Router:
    """Finds routes: exact paths, and patterns that end in a name, by one look-up.

    Other patterns are tried segment by segment.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Match] = {}
        self._tails: dict[str, tuple[str, dict[str, Route]]] = {}
        self._patterns: dict[tuple[str, ...], dict[str, Route]] = {}
        by_pattern: dict[str, dict[str, Route]] = {}
        for route in routes:
            methods = by_pattern.setdefault(route.pattern, {})
            if route.method in methods:
                raise ValueError(f"Two routes for {route.method} {route.pattern}")
            methods[route.method] = route
        for pattern, methods in by_pattern.items():
            head, _, tail = pattern.rpartition("/")
            if tail.startswith("{") and "{" not in head:
                self._tails[head] = (tail[1:-1], methods)
            elif "{" in pattern:
                self._patterns[tuple(pattern.split("/"))] = methods
            else:
                self._exact[pattern] = Match(methods, {})

    def find(self, path: str) -> Match | None:
        """The match of a path; None: the path is not ours."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        head, _, tail = path.rpartition("/")
        found = self._tails.get(head) if tail else None
        if found is not None:
            return Match(found[1], {found[0]: tail})
        segments = path.split("/")
        for pattern, methods in self._patterns.items():
            parameters = _captured(pattern, segments)
            if parameters is not None:
                return Match(methods, parameters)
        return None


def _captured(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    parameters = {}
    for wanted, segment in zip(pattern, segments, strict=True):
        if wanted.startswith("{"):
            if not segment:
                return None
            parameters[wanted[1:-1]] = segment
        elif wanted != segment:
            return None
    return parameters
