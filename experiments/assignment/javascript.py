"""How JavaScript turns JSON values into text, numbers and truth (pure).

GrowthBook's conditions are defined by what its JavaScript SDK does, down to ``1``
equalling ``"1"``. References: ECMA-262, 7.1 (type conversion), 7.2 (comparison).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = (
    "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
)

_DECIMAL = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?)"
)
_EXACT = 2**53  # below it every whole number is a double
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
# White space and line ends of ECMA-262, 12.2 and 12.3; Python strips others.
_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_RADIX = re.compile(r"0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")


def is_array(value: Json) -> bool:
    """Whether it is an array, which a string is not."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def text(value: Json) -> str:
    """``String(value)``."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number_text(value)
    if isinstance(value, Mapping):
        return "[object Object]"
    return ",".join("" if part is None else text(part) for part in value)


def _number_text(value: float) -> str:  # noqa: PLR0911 # a return for each form
    """The shortest digits that give the number back, written out below 1e21."""
    if isinstance(value, int) and abs(value) < _EXACT:
        return str(value)
    value = number(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < _EXACT:
        return str(int(value))
    shown = repr(value)
    if "e" not in shown:
        return shown.removesuffix(".0")
    mantissa, exponent = shown.split("e")
    sign, digits = "-" if value < 0 else "", mantissa.replace(".", "").lstrip("-")
    power = int(exponent)
    if 0 < power < 21:
        return sign + digits.removesuffix("0" if mantissa.endswith(".0") else "").ljust(
            power + 1, "0"
        )
    if -7 < power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    return f"{mantissa}e{power:+d}"


def number(value: Json) -> float:  # noqa: PLR0911 # a return for each type
    """``Number(value)``; NaN when it is none."""
    if value is None:
        return 0.0
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, Mapping):
        return math.nan
    shown = text(value).strip(_SPACE)
    if not shown:
        return 0.0
    if _RADIX.fullmatch(shown):
        return float(int(shown, 0))
    if _DECIMAL.fullmatch(shown):
        return float(shown)
    infinite = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
    return infinite.get(shown, math.nan)


def truth(value: Json) -> bool:
    """``!!value``: empty arrays and objects are true, NaN is not."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return True if is_array(value) or isinstance(value, Mapping) else bool(value)


def strictly_equal(one: Json, other: Json) -> bool:
    """``one === other``; two arrays or objects out of JSON are never the same."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return number(one) == number(other)
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return one is None and other is None


def same_json(one: Json, other: Json) -> bool:
    """``JSON.stringify(one) === JSON.stringify(other)``: key order counts."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return keys(one) == keys(other) and all(
            same_json(one[name], other[name]) for name in one
        )
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        if isinstance(one, str) or isinstance(other, str):
            return one == other
        return len(one) == len(other) and all(map(same_json, one, other))
    return strictly_equal(one, other)


def keys(value: Mapping[str, Json]) -> list[str]:
    """``Object.keys(value)``: whole numbers first, ascending."""
    numbers = sorted((k for k in value if _INDEX.fullmatch(k)), key=int)
    return [*numbers, *(k for k in value if not _INDEX.fullmatch(k))]


def member(value: Json, name: str) -> Json:
    """``value[name]`` of an object or array; null when there is none."""
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if name == "length":
            return len(value)
        if _INDEX.fullmatch(name) and int(name) < len(value):
            return value[int(name)]
    return None


def order(one: Json, other: Json) -> int | None:
    """-1, 0 or 1 as ``one`` is below, beside or above ``other``; None: neither."""
    left, right = _primitive(one), _primitive(other)
    if isinstance(left, str) and isinstance(right, str):
        a = left.encode("utf-16-be", "surrogatepass")
        b = right.encode("utf-16-be", "surrogatepass")
        return (a > b) - (a < b)
    x, y = number(left), number(right)
    return None if math.isnan(x) or math.isnan(y) else (x > y) - (x < y)


def _primitive(value: Json) -> Json:
    return text(value) if is_array(value) or isinstance(value, Mapping) else value
