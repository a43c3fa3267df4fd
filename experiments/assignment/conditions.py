"""Audiences: GrowthBook's conditions over attributes, compiled to closures (pure).

References: GrowthBook SDK specification 0.8.0, section ``evalCondition``. Regular
expressions run in RE2, so that none takes exponential time.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec
import re2

from experiments.assignment import javascript as js
from experiments.assignment.javascript import Json

Test = Callable[[Json], bool]
Groups = Mapping[str, Json]
"""Saved groups by name: lists of values, or objects that say their ``type``."""

_QUIET = re2.Options()
_QUIET.log_errors = False
_FOLDED = re2.Options()
_FOLDED.log_errors = False
_FOLDED.case_sensitive = False


class ConditionError(ValueError):
    """A condition is not one: the message says what is wrong and what to do."""


def matches(
    condition: Json, attributes: Mapping[str, Json], groups: Groups | None = None
) -> bool:
    """Whether attributes satisfy a condition; an unknown operator never does."""
    return compile_condition(condition, groups)(attributes)


@lru_cache(maxsize=10_000)
def compile_text(text: str) -> Test:
    """The compiled condition of a JSON text; empty text or ``{}`` admits everybody.

    Raises:
        ConditionError: The text is not a JSON object.
    """
    try:
        condition = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError as error:
        raise ConditionError(
            f"The audience {text[:80]!r} is no JSON: {error}."
        ) from None
    if not isinstance(condition, dict):
        raise ConditionError(f"The audience {text[:80]!r} must be a JSON object.")
    return compile_condition(condition)


def compile_condition(condition: Json, groups: Groups | None = None) -> Test:
    """A closure that tests attributes; compiled once, testing is cheap."""
    if not isinstance(condition, Mapping):
        return _never
    return _all_of([_clause(k, v, groups or {}) for k, v in condition.items()])


def _clause(key: str, wanted: Json, groups: Groups) -> Test:
    if key in {"$or", "$nor", "$and"}:
        parts = wanted if isinstance(wanted, Sequence) else ()
        inner = [compile_condition(part, groups) for part in parts]
        if key == "$and":
            return _all_of(inner)
        either = _any_of(inner)
        return either if key == "$or" else _negated(either)
    if key == "$not":
        return _negated(compile_condition(wanted, groups))
    if key == "$savedGroup":
        return _saved_group(wanted, groups)
    return _at_path(key, _value_test(wanted, groups))


def _at_path(path: str, test: Test) -> Test:
    names = path.split(".")
    if len(names) == 1:
        return lambda attributes: test(js.member(attributes, path))

    def at_path(attributes: Json) -> bool:
        for name in names:
            attributes = js.member(attributes, name)
        return test(attributes)

    return at_path


def _saved_group(reference: Json, groups: Groups) -> Test:
    """Membership of a group by its own rule; what is not understood holds nobody."""
    if not isinstance(reference, Mapping):
        return _never
    name = reference.get("id")
    entry = groups.get(name) if isinstance(name, str) else None
    if not isinstance(entry, Mapping):
        return _never
    if entry.get("type") == "list":
        path = reference.get("attributeKey", entry.get("attributeKey"))
        return (
            _at_path(path, _in(entry.get("values")))
            if isinstance(path, str)
            else _never
        )
    if entry.get("type") == "condition":  # in which the group itself is nobody
        return compile_condition(entry.get("condition"), {**groups, str(name): None})
    return _never


def _in_group(wanted: Json, groups: Groups, *, within: bool) -> Test:
    """An unknown group is empty; one without values holds nobody, in or out."""
    entry = groups.get(js.text(wanted), ())
    if isinstance(entry, Mapping) and entry.get("type") == "list":
        entry = entry.get("values")
    return (_in if within else _not_in)(entry)


def _value_test(  # noqa: PLR0911 # a return for each type
    wanted: Json, groups: Groups, *, fold: bool = False
) -> Test:
    """The test of one attribute against a value or an object of operators."""
    if isinstance(wanted, str):
        if fold:
            folded = wanted.lower()
            return lambda actual: js.text(actual).lower() == folded
        return lambda actual: js.text(actual) == wanted
    if isinstance(wanted, bool):
        return lambda actual: actual is not None and js.truth(actual) is wanted
    if isinstance(wanted, int | float):
        return lambda actual: js.number(actual) == wanted
    if wanted is None:
        return lambda actual: actual is None
    if not _is_operators(wanted):
        return lambda actual: js.same_json(actual, wanted)
    assert isinstance(wanted, Mapping)  # noqa: S101 # narrowed by _is_operators
    return _all_of([_operator(k, v, groups) for k, v in wanted.items()])


def _is_operators(wanted: Json) -> bool:
    return (
        isinstance(wanted, Mapping)
        and bool(wanted)
        and all(k.startswith("$") for k in wanted)
    )


def _operator(name: str, wanted: Json, groups: Groups) -> Test:
    if name in _COMPARISONS:
        compare = _COMPARISONS[name]
        return lambda actual: compare(js.order(actual, wanted))
    if name in _VERSIONS:
        compare, version = _VERSIONS[name], padded_version(wanted)
        return lambda actual: compare(js.order(padded_version(actual), version))
    if name in {"$inGroup", "$notInGroup"}:
        return _in_group(wanted, groups, within=name == "$inGroup")
    if name in _SIMPLE:
        return _SIMPLE[name](wanted)
    if name in _NESTED:
        return _NESTED[name](wanted, groups)
    return _never


def _in(wanted: Json, *, fold: bool = False) -> Test:
    """Whether the attribute, or one of its elements, is in a list."""
    if not js.is_array(wanted):
        return _never
    listed = [_folded(v) if fold else v for v in wanted]  # type: ignore[union-attr] # an array

    def is_in(actual: Json) -> bool:
        one = _folded(actual) if fold else actual
        return any(js.strictly_equal(one, other) for other in listed)

    def intersects(actual: Json) -> bool:
        if isinstance(actual, Sequence) and not isinstance(actual, str):
            return any(is_in(element) for element in actual)
        return is_in(actual)

    return intersects


def _not_in(wanted: Json, *, fold: bool = False) -> Test:
    return _negated(_in(wanted, fold=fold)) if js.is_array(wanted) else _never


def _folded(value: Json) -> Json:
    return value.lower() if isinstance(value, str) else value


def _has_all(wanted: Json, groups: Groups, *, fold: bool = False) -> Test:
    if not isinstance(wanted, Sequence) or isinstance(wanted, str):
        return _never
    tests = [_value_test(value, groups, fold=fold) for value in wanted]

    def has_all(actual: Json) -> bool:
        if not isinstance(actual, Sequence) or isinstance(actual, str):
            return False
        return all(any(test(element) for element in actual) for test in tests)

    return has_all


def _some_element(wanted: Json, groups: Groups) -> Test:
    test = (_value_test if _is_operators(wanted) else compile_condition)(wanted, groups)

    def some(actual: Json) -> bool:
        if not isinstance(actual, Sequence) or isinstance(actual, str):
            return False
        return any(element is not None and test(element) for element in actual)

    return some


def _size(wanted: Json, groups: Groups) -> Test:
    test = _value_test(wanted, groups)

    def has_size(actual: Json) -> bool:
        if not isinstance(actual, Sequence) or isinstance(actual, str):
            return False
        return test(len(actual))

    return has_size


def _pattern(wanted: Json, options: re2.Options) -> Test:
    if not isinstance(wanted, str):
        return _never
    try:
        pattern = re2.compile(wanted, options)
    except (re2.error, UnicodeError):
        return _never

    def found(actual: Json) -> bool:
        try:
            return pattern.search(js.text(actual)) is not None
        except UnicodeError:  # a lone surrogate
            return False

    return found


def _type_is(wanted: Json) -> Test:
    return lambda actual: _type(actual) == wanted


def _type(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def padded_version(value: Json) -> str:
    """A version as text whose alphabetical order is that of versions."""
    version = js.text(value) if isinstance(value, int | float) else value
    if not version or not isinstance(version, str):
        version = "0"
    parts = re.split(r"[-.]", re.sub(r"^v|\+[^\n\r\u2028\u2029]*\Z", "", version))
    if len(parts) == 3:  # no pre-release: after all of them
        parts.append("~")
    return "-".join(p.rjust(5) if re.fullmatch("[0-9]+", p) else p for p in parts)


def _never(_: Json) -> bool:
    return False


def _negated(test: Test) -> Test:
    return lambda actual: not test(actual)


def _all_of(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        one, other = tests
        return lambda actual: one(actual) and other(actual)
    return lambda actual: all(test(actual) for test in tests)


def _any_of(tests: Sequence[Test]) -> Test:
    """One of them; none to choose from counts as true, as in the SDKs."""
    return lambda actual: not tests or any(test(actual) for test in tests)


_COMPARISONS: dict[str, Callable[[int | None], bool]] = {
    "$lt": lambda order: order == -1,
    "$lte": lambda order: order in {-1, 0},
    "$gt": lambda order: order == 1,
    "$gte": lambda order: order in {0, 1},
}
_VERSIONS: dict[str, Callable[[int | None], bool]] = {
    "$veq": lambda order: order == 0,
    "$vne": lambda order: order != 0,
    "$vlt": _COMPARISONS["$lt"],
    "$vlte": _COMPARISONS["$lte"],
    "$vgt": _COMPARISONS["$gt"],
    "$vgte": _COMPARISONS["$gte"],
}
_SIMPLE: dict[str, Callable[[Json], Test]] = {
    "$eq": lambda wanted: lambda actual: js.strictly_equal(actual, wanted),
    "$ne": lambda wanted: lambda actual: not js.strictly_equal(actual, wanted),
    "$exists": lambda wanted: lambda actual: (actual is not None) is js.truth(wanted),
    "$in": _in,
    "$nin": _not_in,
    "$ini": lambda wanted: _in(wanted, fold=True),
    "$nini": lambda wanted: _not_in(wanted, fold=True),
    "$type": _type_is,
    "$regex": lambda wanted: _pattern(wanted, _QUIET),
    "$regexi": lambda wanted: _pattern(wanted, _FOLDED),
}
_NESTED: dict[str, Callable[[Json, Groups], Test]] = {
    "$not": lambda wanted, groups: _negated(_value_test(wanted, groups)),
    "$size": _size,
    "$elemMatch": _some_element,
    "$all": _has_all,
    "$alli": lambda wanted, groups: _has_all(wanted, groups, fold=True),
}


_OPERATORS = frozenset(
    {*_COMPARISONS, *_VERSIONS, *_SIMPLE, *_NESTED, "$inGroup", "$notInGroup"}
)
_LISTS = frozenset({"$in", "$nin", "$ini", "$nini", "$all", "$alli"})


def problem_with(condition: object) -> str | None:
    """What is wrong with an audience, where, and the remedy; None: nothing.

    At run time an unknown operator is merely false; when an audience is saved it is
    a mistake worth naming.
    """
    return _problem(condition, "audience")


def _problem(condition: object, place: str) -> str | None:
    if not isinstance(condition, Mapping):
        return f"{place} is {condition!r}; use an object of attributes"
    for key, value in condition.items():
        here = f"{place}.{key}"
        if key == "$savedGroup":
            found = None
        elif key in {"$or", "$and", "$nor"}:
            if not isinstance(value, list):
                return f"{here} is {value!r}; use a list of conditions"
            problems = [_problem(part, f"{here}[{n}]") for n, part in enumerate(value)]
            found = next((problem for problem in problems if problem), None)
        elif key == "$not":
            found = _problem(value, here)
        elif str(key).startswith("$") and key != "$groups":
            found = f"{here}: {key} stands where an attribute's name should"
        else:
            found = _value_problem(value, here)
        if found:
            return found
    return None


def _value_problem(value: object, place: str) -> str | None:
    if not isinstance(value, Mapping) or not any(str(k)[:1] == "$" for k in value):
        return None
    for operator, wanted in value.items():
        here = f"{place}.{operator}"
        if operator not in _OPERATORS:
            return (
                f"{here}: unknown operator; use one of {', '.join(sorted(_OPERATORS))}"
            )
        if operator in _LISTS and not isinstance(wanted, list):
            return f"{here} is {wanted!r}; use a list"
        if operator in {"$regex", "$regexi"}:
            try:
                re2.compile(str(wanted), _QUIET)
            except re2.error as error:
                return f"{here}: {wanted!r} is no pattern RE2 reads ({error})"
        if operator == "$not" and (found := _value_problem(wanted, here)):
            return found
    return None
