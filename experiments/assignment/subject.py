"""The one who is evaluated, while they are (pure)."""

from collections.abc import Callable, Mapping

from experiments.assignment import javascript as js
from experiments.assignment.javascript import Json

Evaluate = Callable[[str, "Subject"], "Json | Cyclic"]
"""What another placement or feature answers the subject."""


class Cyclic:
    """In place of a value: the question leads back to itself."""


CYCLIC = Cyclic()


def no_stored(_: str, __: str) -> Mapping[str, str]:
    """Nothing was stored for anybody."""
    return {}


class Subject:
    """A unit with its attributes; lives for one call.

    Attributes:
        now: Unix seconds.
        forced: Experiment key to variant index, ahead of everything.
        stored: From hash attribute and fallback attribute to what is stored:
            ``<experiment>__<bucket version>`` to variant key; None: not asked for.
        url: The page; its query string may force a variant.
        enabled: Whether experiments run at all.
        qa_mode: Only forced variants count.
        groups: Old-style groups that the subject is in.
        path: The keys whose evaluation led here, outermost first.
        evaluate: Evaluates a prerequisite.
    """

    __slots__ = (
        "_numbers",
        "attributes",
        "enabled",
        "evaluate",
        "forced",
        "groups",
        "now",
        "path",
        "qa_mode",
        "stored",
        "url",
    )

    def __init__(
        self,
        attributes: Mapping[str, Json],
        evaluate: Evaluate,
        *,
        now: float = 0.0,
        stored: Callable[[str, str], Mapping[str, str]] | None = None,
    ) -> None:
        self.attributes = attributes
        self.evaluate = evaluate
        self.now = now
        self.stored = stored
        self.forced: Mapping[str, int] = {}
        self.url = ""
        self.enabled = True
        self.qa_mode = False
        self.groups: Mapping[str, bool] = {}
        self.path: list[str] = []
        self._numbers: dict[tuple[str, int, str], int] = {}

    def unit(self, attribute: str, fallback: str = "") -> tuple[str, Json]:
        """The attribute to split by and its value; the value is falsy if missing."""
        value = self.attributes.get(attribute)
        if not js.truth(value) and fallback:
            other = self.attributes.get(fallback)
            if js.truth(other):
                return fallback, other
        return attribute, value if js.truth(value) else ""

    def bucket(
        self, seed: str, version: int, unit: str, number_of: Callable[[str], int]
    ) -> int:
        """The bucket number, hashed once however many rules share the seed."""
        asked = (seed, version, unit)
        number = self._numbers.get(asked)
        if number is None:
            number = self._numbers[asked] = number_of(unit)
        return number
