"""GrowthBook's sticky bucket documents (pure)."""

from collections.abc import Iterable, Mapping

import msgspec

from experiments.assignment import javascript as js
from experiments.assignment.javascript import Json
from experiments.assignment.subject import Subject


class StickyDocument(msgspec.Struct, frozen=True, rename="camel"):
    """What one value of one attribute was given.

    Attributes:
        assignments: ``<experiment>__<bucket version>`` to the variant's meta key.
    """

    attribute_name: str
    attribute_value: str
    assignments: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Under which a sticky bucket service keeps it."""
        return f"{self.attribute_name}||{self.attribute_value}"


class StickyDocuments:
    """The documents of one user; assigning adds to them.

    Attributes:
        documents: By their keys.
        changed: Those to be saved, by their keys.
    """

    def __init__(self, documents: Iterable[StickyDocument] = ()) -> None:
        self.documents = {document.key: document for document in documents}
        self.changed: dict[str, StickyDocument] = {}

    def stored(self, subject: Subject, attribute: str, fallback: str) -> dict[str, str]:
        """What is stored for a subject; the hash attribute wins over the fallback."""
        found: dict[str, str] = {}
        _, value = subject.unit(fallback or "id")
        if value != "":
            found |= self._assignments(fallback or "id", value)
        _, value = subject.unit(attribute)
        return found | self._assignments(attribute, value)

    def store(self, attribute: str, value: Json, name: str, variant: str) -> None:
        """Keep a variant, unless that is what is kept."""
        known = self._assignments(attribute, value)
        if known.get(name) == variant:
            return
        document = StickyDocument(attribute, _shown(value), {**known, name: variant})
        self.documents[document.key] = self.changed[document.key] = document

    def _assignments(self, attribute: str, value: Json) -> dict[str, str]:
        document = self.documents.get(f"{attribute}||{_shown(value)}")
        return document.assignments if document else {}


def _shown(value: Json) -> str:
    """A value as it stands in a key: text as it is, anything else as JSON."""
    if js.is_array(value) or isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return js.text(value)
