"""What payloads and users are made of: all of JSON, or what all SDKs agree on."""

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
ORDERS = ("$gt", "$gte", "$lt", "$lte")
VERSIONS = ("$veq", "$vne", "$vgt", "$vgte", "$vlt", "$vlte")
Some = st.SearchStrategy[Any]


def one_of_these(names: tuple[str, ...], wanted: Some) -> list[Some]:
    """An operator with what it is held against."""
    return [st.fixed_dictionaries({name: wanted}) for name in names]


class Vocabulary:
    """All of JSON, anywhere, as JavaScript would take it."""

    forced: tuple[Any, ...] = (0, 1, "a", None, False, {"a": [1]})
    weights: tuple[list[float], ...] = ([0.9, 0.1], [1, 0, 0], [0.25] * 4)
    most_of_a_bandit = 4
    malformed = True
    audience_beside_forced = True
    stored_by: tuple[str, ...] = ("id", "company")

    def words(self) -> Some:
        """Texts of a few sorts."""
        return _texts(WORDS + ASTRAL, 0x10FFFF)

    def numbers(self) -> Some:
        """Numbers, few and far."""
        few = st.sampled_from([0, 1, 9, 10, -1, 0.5, 1e21, 1e-7, 2**53, 2.5e-9])
        far = st.floats(allow_nan=False, allow_infinity=False)
        return few | st.integers(-12, 12) | far

    def values(self) -> Some:
        """JSON."""
        names = st.sampled_from(["er", "est", "a", "2", "1"])
        return st.recursive(
            st.none() | st.booleans() | self.numbers() | self.words(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2)
            ),
            max_leaves=4,
        )

    def attributes(self) -> Some:
        """What is known of a user."""
        some = self.values()
        deepest = st.fixed_dictionaries({}, optional={"est": some})
        return st.fixed_dictionaries(
            {"id": self.words() | self.numbers()},
            optional={
                **dict.fromkeys(("country", "age", "tags", "plan"), some),
                "deep": st.fixed_dictionaries({}, optional={"er": deepest}),
                "é": self.words(),
                "company": self.words(),
            },
        )

    def operators(self) -> Some:
        """The tests of one attribute."""
        value, listed = self.values(), st.lists(self.values(), max_size=3)
        size = st.integers(0, 3)
        simple = [
            *one_of_these(("$eq", "$ne", "$unheardOf", *ORDERS), value),
            *one_of_these(("$in", "$nin", "$ini", "$nini", "$all", "$alli"), listed),
            *one_of_these(VERSIONS, self.words()),
            *one_of_these(("$regex", "$regexi"), st.sampled_from(PATTERNS)),
            *one_of_these(("$inGroup", "$notInGroup"), st.sampled_from(GROUPS)),
            *one_of_these(("$exists",), st.booleans()),
            *one_of_these(("$size",), size | st.fixed_dictionaries({"$gt": size})),
            *one_of_these(("$type",), st.sampled_from(["string", "number", "null"])),
        ]
        return st.recursive(
            st.one_of(simple),
            lambda inner: (
                st.fixed_dictionaries({"$not": inner})
                | st.fixed_dictionaries({"$elemMatch": inner})
                | st.tuples(inner, inner).map(lambda two: two[0] | two[1])
            ),
            max_leaves=3,
        )

    def answers(self) -> Some:
        """What a prerequisite must answer."""
        return st.sampled_from([0, 1, "a", None, True]) | self.operators()

    def tests(self) -> Some:
        """Attributes and what they must be."""
        wanted = self.values() | self.operators()
        return st.dictionaries(st.sampled_from(PATHS), wanted, max_size=2)

    def conditions(self) -> Some:
        """An audience."""
        group = st.fixed_dictionaries({"id": st.sampled_from(sorted(SAVED_GROUPS))})
        return st.recursive(
            self.tests() | st.fixed_dictionaries({"$savedGroup": group}),
            lambda inner: st.one_of(
                *one_of_these(("$or", "$and", "$nor"), st.lists(inner, max_size=2)),
                st.fixed_dictionaries({"$not": inner}),
            ),
            max_leaves=3,
        )


class Agreed(Vocabulary):
    """What the Python SDK 3.2.2 takes as JavaScript does. It is known to differ:

    - it hashes code points, not UTF-16 code units: no text beyond 16 bits;
    - it compares without JavaScript's conversions: attributes are there, and are
      compared with values of their own type;
    - a rule that forces null is none;
    - a filter on a missing attribute lets everybody through: ids are never empty;
    - weights of a bandit's leaf that are no weights are passed over, and so are all
      its leaves where the rule states ranges;
    - the audience comes before what is forced or stored, and JavaScript's comes after:
      no experiment has both;
    - an empty list of filters does not put the namespace out of force;
    - where a rule names no fallback attribute, JavaScript looks for what is stored
      under ``id`` all the same: nothing is stored under it.
    """

    forced = (0, 1, "a", False)
    weights = ([0.9, 0.1], [1, 0])
    most_of_a_bandit = 2
    malformed = False
    audience_beside_forced = False
    stored_by = ("company",)

    def words(self) -> Some:
        """Texts of 16-bit characters."""
        return _texts(WORDS, 0xFFFF)

    def attributes(self) -> Some:
        """Of one type each, and all there."""
        name = self.words().filter(bool)
        return st.fixed_dictionaries(
            {
                **dict.fromkeys(("id", "company"), name),
                **dict.fromkeys(("country", "é"), self.words()),
                "age": self.numbers(),
                "tags": st.lists(self.words(), max_size=3),
                "plan": st.booleans(),
                "deep": st.fixed_dictionaries(
                    {"er": st.fixed_dictionaries({"est": self.numbers()})}
                ),
            }
        )

    def operators(self) -> Some:
        """The tests of a text."""
        word, listed = self.words(), st.lists(self.words(), max_size=3)
        return st.one_of(
            *one_of_these(("$eq", "$ne", "$unheardOf", *ORDERS), word),
            *one_of_these(("$in", "$nin", "$ini", "$nini"), listed),
            *one_of_these(VERSIONS, st.sampled_from(["1.2.3", "v2.0.0-rc.1", "10"])),
            *one_of_these(("$regex", "$regexi"), st.sampled_from(PATTERNS)),
            *one_of_these(("$inGroup", "$notInGroup"), st.sampled_from(GROUPS)),
            *one_of_these(("$exists",), st.booleans()),
            *one_of_these(("$type",), st.sampled_from(["string", "number", "null"])),
            st.fixed_dictionaries({"$not": st.fixed_dictionaries({"$eq": word})}),
        )

    def answers(self) -> Some:
        """What is compared with texts alone."""
        listed = one_of_these(("$in", "$nin"), st.just(["a"]))
        plain = one_of_these(("$eq", "$ne"), st.just("a"))
        return st.one_of(*listed, *plain, *one_of_these(("$exists",), st.booleans()))

    def tests(self) -> Some:
        """Each attribute held against its own type."""
        numeric = self.numbers() | st.one_of(
            *one_of_these(("$eq", "$ne", *ORDERS), self.numbers()),
            *one_of_these(("$in", "$nin"), st.lists(self.numbers(), max_size=3)),
        )
        textual = self.words() | self.operators()
        listed = st.lists(self.words(), max_size=2)
        several = st.one_of(
            *one_of_these(("$all", "$alli", "$in", "$nin"), listed),
            *one_of_these(("$size",), st.integers(0, 3)),
            *one_of_these(("$elemMatch",), self.operators()),
        )
        chosen = {
            **dict.fromkeys(("id", "country", "é", "company"), textual),
            **dict.fromkeys(("age", "deep.er.est"), numeric),
            "plan": st.booleans(),
            "tags": several,
            "none": st.fixed_dictionaries({"$exists": st.booleans()}),
        }
        pairs = [st.tuples(st.just(path), wanted) for path, wanted in chosen.items()]
        return st.lists(st.one_of(pairs), max_size=2).map(dict)


def _texts(known: tuple[str, ...], top: int) -> Some:
    characters = st.characters(max_codepoint=top, exclude_categories=("Cs",))
    return st.sampled_from(known) | st.text(characters, max_size=6)
