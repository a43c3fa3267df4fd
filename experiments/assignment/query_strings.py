"""A variant forced by the page's address: ``?experiment-key=1`` (pure)."""

import re

# ECMA-262, 19.2.5, parseInt: what follows the digits is not looked at.
_INTEGER = re.compile(r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|([0-9]+))")


def forced_variant(key: str, url: str, count: int) -> int | None:
    """The variant index that a query string names for an experiment; None: none.

    The first mention counts; an index outside ``count`` variants does not.
    References: GrowthBook SDK specification 0.8.0, ``getQueryStringOverride``.
    """
    parts = url.split("?")
    if len(parts) < 2:
        return None
    query = re.sub(r"#.*", "", parts[1], count=1)
    for pair in query.split("&"):
        name, *values = pair.split("=")
        if name == key:
            index = _integer(values[0]) if values else None
            return index if index is not None and 0 <= index < count else None
    return None


def _integer(text: str) -> int | None:
    found = _INTEGER.match(text)
    if found is None:
        return None
    sign, hexadecimal, decimal = found.groups()
    value = int(hexadecimal, 16) if hexadecimal else int(decimal)
    return -value if sign == "-" else value
