"""Random payloads and users, for holding two evaluators against each other."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

# Few names and values, so that conditions hold about as often as they do not.
PATHS = ("id", "country", "age", "tags", "plan", "deep.er.est", "tags.0", "é", "none")
WORDS = ("nl", "NL", "be", "10", "9", "1.2.3", "v2.0.0-rc.1", "", "ß", "日本", "a/b")
ASTRAL = ("\U0001f600", "\U0001f600x", "x\U0001f9e1")
PATTERNS = ("^n", "l$", "[0-9]{1,2}", "nl|be", "^.?$", r"\d+\.\d", "a/b", "(", "", "B")
GROUPS = ("staff", "empty", "young", "loop", "unknown")
SAVED_GROUPS: dict[str, Any] = {
    "staff": ["nl", 10, "u1", True],
    "empty": [],
    "young": {"type": "condition", "condition": {"age": {"$lt": 10}}},
    "loop": {"type": "condition", "condition": {"$savedGroup": {"id": "loop"}}},
    "listed": {"type": "list", "attributeKey": "country", "values": ["nl", "be"]},
}
FEATURES = ("f0", "f1", "f2")


@dataclass(frozen=True)
class Manner:
    """What is left out, since a peer is known to differ there.

    Attributes:
        coercing: Values are compared with values of other types.
        astral: Texts hold characters beyond 16 bits.
    """

    coercing: bool = True
    astral: bool = True


@st.composite
def few_of(
    draw: st.DrawFn, optional: dict[str, st.SearchStrategy[Any]], most: int = 3
) -> dict[str, Any]:
    """Some of many things, seldom all at once: else no rule would ever hold."""
    names = draw(
        st.lists(st.sampled_from(sorted(optional)), max_size=most, unique=True)
    )
    return {name: draw(optional[name]) for name in names}


def words(manner: Manner) -> st.SearchStrategy[str]:
    """Texts of a few sorts."""
    known = st.sampled_from(WORDS + (ASTRAL if manner.astral else ()))
    top = 0x10FFFF if manner.astral else 0xFFFF
    characters = st.characters(max_codepoint=top, exclude_categories=("Cs",))
    return known | st.text(characters, max_size=6)


def numbers() -> st.SearchStrategy[float | int]:
    """Numbers, few and far."""
    few = st.sampled_from([0, 1, 9, 10, -1, 0.5, 1e21, 1e-7, 2**53, 2.5e-9])
    return few | st.integers(-12, 12) | st.floats(allow_nan=False, allow_infinity=False)


def values(manner: Manner) -> st.SearchStrategy[Any]:
    """JSON."""
    leaves = st.none() | st.booleans() | numbers() | words(manner)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["er", "est", "a", "2", "1"]), inner, max_size=2
            )
        ),
        max_leaves=4,
    )


def attributes(manner: Manner) -> st.SearchStrategy[dict[str, Any]]:
    """What is known of a user."""
    some = values(manner)
    identity = words(manner) if not manner.coercing else words(manner) | numbers()
    return st.fixed_dictionaries(
        {"id": identity},
        optional={
            "country": words(manner) if not manner.coercing else some,
            "age": numbers() if not manner.coercing else some,
            "tags": st.lists(words(manner), max_size=3)
            if not manner.coercing
            else some,
            "plan": st.booleans() if not manner.coercing else some,
            "deep": st.fixed_dictionaries(
                {}, optional={"er": st.fixed_dictionaries({}, optional={"est": some})}
            ),
            "é": words(manner),
            "company": words(manner),
        },
    )


def operators(manner: Manner) -> st.SearchStrategy[dict[str, Any]]:
    """The tests of one attribute."""
    value, listed = values(manner), st.lists(values(manner), max_size=3)
    size = st.integers(0, 3)
    simple = st.one_of(
        *(st.fixed_dictionaries({name: value}) for name in ("$eq", "$ne", "$gt")),
        *(st.fixed_dictionaries({name: value}) for name in ("$gte", "$lt", "$lte")),
        *(st.fixed_dictionaries({name: listed}) for name in ("$in", "$nin", "$ini")),
        *(st.fixed_dictionaries({name: listed}) for name in ("$nini", "$all", "$alli")),
        *(
            st.fixed_dictionaries({name: words(manner)})
            for name in ("$veq", "$vne", "$vgt", "$vgte", "$vlt", "$vlte")
        ),
        *(
            st.fixed_dictionaries({name: st.sampled_from(PATTERNS)})
            for name in ("$regex", "$regexi")
        ),
        *(
            st.fixed_dictionaries({name: st.sampled_from(GROUPS)})
            for name in ("$inGroup", "$notInGroup")
        ),
        st.fixed_dictionaries({"$exists": st.booleans()}),
        st.fixed_dictionaries({"$size": size | st.fixed_dictionaries({"$gt": size})}),
        st.fixed_dictionaries(
            {"$type": st.sampled_from(["string", "number", "array", "object", "null"])}
        ),
        st.fixed_dictionaries({"$unheardOf": value}),
    )
    return st.recursive(
        simple,
        lambda inner: (
            st.fixed_dictionaries({"$not": inner})
            | st.fixed_dictionaries({"$elemMatch": inner})
            | st.tuples(inner, inner).map(lambda two: two[0] | two[1])
        ),
        max_leaves=3,
    )


def conditions(manner: Manner) -> st.SearchStrategy[dict[str, Any]]:
    """An audience."""
    tested = st.dictionaries(
        st.sampled_from(PATHS), values(manner) | operators(manner), max_size=2
    )
    grouped = st.fixed_dictionaries(
        {
            "$savedGroup": st.fixed_dictionaries(
                {"id": st.sampled_from(sorted(SAVED_GROUPS))}
            )
        }
    )
    return st.recursive(
        tested | grouped,
        lambda inner: st.one_of(
            *(
                st.fixed_dictionaries({name: st.lists(inner, max_size=2)})
                for name in ("$or", "$and", "$nor")
            ),
            st.fixed_dictionaries({"$not": inner}),
        ),
        max_leaves=3,
    )


SHARES = st.sampled_from([0, 0.1, 0.25, 0.3333, 0.5, 0.7, 0.99, 1, 1.5, -1])
EXPERIMENTS = ("e0", "e1", "é")
STORED = st.fixed_dictionaries(
    {f"{key}__0": st.sampled_from(["v0", "v1", "0", "1"]) for key in FEATURES},
    optional={
        f"{key}__{version}": st.sampled_from(["v0", "v1", "1", "gone"])
        for key in EXPERIMENTS
        for version in (0, 1)
    },
)
HASHING = {
    "seed": st.sampled_from(["s", "ß", "", "日"]),
    "hashVersion": st.sampled_from([1, 2, 2, 3]),
    "hashAttribute": st.sampled_from(["id", "id", "company", "none"]),
}


@st.composite
def ranges(draw: st.DrawFn, count: int) -> list[list[float]]:
    """Half-open ranges, overlapping ones and gaps among them."""
    bounds = [sorted((draw(SHARES), draw(SHARES))) for _ in range(count)]
    return [list(pair) for pair in bounds]


def filters() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Layers and holdouts."""
    one = st.fixed_dictionaries(
        {"seed": st.sampled_from(["layer", "lägen"]), "ranges": ranges(2)},
        optional={
            "attribute": st.sampled_from(["id", "company"]),
            "hashVersion": st.sampled_from([1, 2]),
        },
    )
    return st.lists(one, max_size=2)


def parents(manner: Manner) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Prerequisites, which may be circular or unknown."""
    wanted = st.sampled_from([0, 1, "a", None, True]) | operators(manner)
    one = st.fixed_dictionaries(
        {
            "id": st.sampled_from([*FEATURES, "nowhere"]),
            "condition": st.fixed_dictionaries({"value": wanted}),
        },
        optional={"gate": st.booleans()},
    )
    return st.lists(one, max_size=2)


def forced_rules(manner: Manner) -> st.SearchStrategy[dict[str, Any]]:
    """Values by force."""
    force = st.sampled_from([0, 1, "a", None, False, {"a": [1]}])
    more = few_of(
        {
            **HASHING,
            "id": st.just("r1"),
            "condition": conditions(manner),
            "coverage": SHARES,
            "range": ranges(1).map(lambda found: found[0]),
            "filters": filters(),
            "parentConditions": parents(manner),
            "fallbackAttribute": st.just("company"),
        }
    )
    return st.builds(lambda value, rest: {"force": value} | rest, force, more)


@st.composite
def experiment_rules(draw: st.DrawFn, manner: Manner) -> dict[str, Any]:
    """Experiments of one to four variations, some of contextual bandits."""
    count = draw(st.integers(1, 4))
    field = draw(st.sampled_from(["variations", "variations", "contextualVariations"]))
    meta = [
        {"key": draw(st.sampled_from([f"v{n}", str(n)]))}
        | draw(st.sampled_from([{}, {}, {"passthrough": True}, {"name": "N"}]))
        for n in range(count)
    ]
    rule: dict[str, Any] = {field: list(range(count)), "meta": meta} | draw(
        few_of(
            {
                **HASHING,
                "id": st.just("r2"),
                "key": st.sampled_from(EXPERIMENTS),
                "condition": conditions(manner),
                "coverage": SHARES,
                "weights": st.sampled_from(
                    [[1 / count] * count, [1] + [0] * (count - 1), [0.2] * count]
                ),
                "ranges": ranges(count),
                "namespace": st.tuples(st.just("ns"), SHARES, SHARES).map(list),
                "filters": filters(),
                "parentConditions": parents(manner),
                "fallbackAttribute": st.just("company"),
                "bucketVersion": st.sampled_from([0, 0, 1, 2]),
                "minBucketVersion": st.sampled_from([0, 0, 0, 1, 2]),
                "disableStickyBucketing": st.booleans(),
                "phase": st.just("1"),
                "name": st.just("Name"),
            },
            most=4,
        )
    )
    if draw(st.booleans()):
        del rule["meta"]
    if field == "contextualVariations":
        rule["contextualBanditRef"] = draw(st.sampled_from(["bandit", "unknown"]))
    return rule


def bandits(manner: Manner) -> st.SearchStrategy[dict[str, Any]]:
    """A contextual bandit of few leaves."""
    leaf = st.fixed_dictionaries(
        {
            "leafId": st.integers(0, 9),
            "condition": conditions(manner),
            "weights": st.sampled_from([[0.9, 0.1], [1, 0, 0], [0.25] * 4]),
        }
    )
    return st.fixed_dictionaries(
        {
            "bandit": st.fixed_dictionaries(
                {
                    "banditVersion": st.integers(0, 3),
                    "contexts": st.lists(leaf, max_size=2),
                }
            )
        }
    )


def payloads(manner: Manner) -> st.SearchStrategy[dict[str, Any]]:
    """What an SDK downloads."""
    gate = st.fixed_dictionaries({"parentConditions": parents(manner)})
    rule = st.one_of(forced_rules(manner), experiment_rules(manner), gate)
    feature = st.fixed_dictionaries(
        {"rules": st.lists(rule, max_size=3)},
        optional={"defaultValue": st.sampled_from([0, 1, "a", None])},
    )
    return st.fixed_dictionaries(
        {
            "features": st.fixed_dictionaries(dict.fromkeys(FEATURES, feature)),
            "savedGroups": st.just(SAVED_GROUPS),
            "contextualBandits": bandits(manner),
        }
    )


@st.composite
def users(draw: st.DrawFn, manner: Manner) -> dict[str, Any]:
    """One who is evaluated, with what was stored for them, or without a store."""
    known = draw(attributes(manner))
    sticky: dict[str, Any] | None = None
    if draw(st.booleans()):
        names = [name for name in ("id", "company") if isinstance(known.get(name), str)]
        sticky = {
            f"{name}||{known[name]}": {
                "attributeName": name,
                "attributeValue": known[name],
                "assignments": draw(STORED),
            }
            for name in names
            if draw(st.booleans())
        }
    return {
        "attributes": known,
        "url": draw(st.sampled_from(["", "", "", "https://shop.example/?e0=1&e1=9#x"])),
        "forcedVariations": draw(
            st.just({})
            | st.dictionaries(
                st.sampled_from(EXPERIMENTS), st.integers(0, 4), max_size=1
            )
        ),
        "qaMode": draw(st.sampled_from([False] * 9 + [True])),
        "sticky": sticky,
    }
