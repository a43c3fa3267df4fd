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

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?)")
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


def _number_text(value: float) -> str:
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    shown = repr(value)
    if "e" not in shown:
        return shown
    mantissa, exponent = shown.split("e")
    if -7 < int(exponent) < 0:
        digits = mantissa.replace(".", "").lstrip("-")
        sign = "-" if value < 0 else ""
        return f"{sign}0.{'0' * (-int(exponent) - 1)}{digits}"
    return f"{mantissa}e{int(exponent):+d}"


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
    shown = text(value).strip()
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
        return one == other
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return one is None and other is None


def same_json(one: Json, other: Json) -> bool:
    """``JSON.stringify(one) === JSON.stringify(other)``: key order counts."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(
            same_json(one[name], other[name]) for name in one
        )
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        if isinstance(one, str) or isinstance(other, str):
            return one == other
        return len(one) == len(other) and all(map(same_json, one, other))
    return strictly_equal(one, other)


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
