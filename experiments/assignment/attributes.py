"""What is known of a unit, as a text that a person or a query brings (pure)."""

from collections.abc import Mapping

import msgspec

from experiments.assignment.javascript import Json
from experiments.gateway.bodies import check_depth
from models_registry.errors import InvalidError


def read_attributes(text: str) -> Mapping[str, Json]:
    """The attributes of a JSON text; empty: none.

    Raises:
        InvalidError: It is no JSON object.
        MalformedError: It is nested too deeply.
    """
    try:
        found = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InvalidError(f"attributes {text[:80]!r} is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise InvalidError(
            f'attributes {text[:80]!r} must be a JSON object, as {{"country": "nl"}}.'
        )
    check_depth(found)
    return found
