"""Random payloads and users, for holding two evaluators against each other."""

from typing import Any

from hypothesis import strategies as st

from tests.experiments.assignment.growthbook.vocabularies import (
    SAVED_GROUPS,
    Vocabulary,
)

FEATURES = ("f0", "f1", "f2")


@st.composite
def few_of(
    draw: st.DrawFn, optional: dict[str, st.SearchStrategy[Any]], most: int = 3
) -> dict[str, Any]:
    """Some of many things, seldom all at once: else no rule would ever hold."""
    names = draw(
        st.lists(st.sampled_from(sorted(optional)), max_size=most, unique=True)
    )
    return {name: draw(optional[name]) for name in names}


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


def filters(vocabulary: Vocabulary) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Layers and holdouts."""
    one = st.fixed_dictionaries(
        {"seed": st.sampled_from(["layer", "lägen"]), "ranges": ranges(2)},
        optional={
            "attribute": st.sampled_from(["id", "company"]),
            "hashVersion": st.sampled_from([1, 2]),
        },
    )
    return st.lists(one, min_size=0 if vocabulary.malformed else 1, max_size=2)


def parents(vocabulary: Vocabulary) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Prerequisites, which may be circular or unknown."""
    one = st.fixed_dictionaries(
        {
            "id": st.sampled_from([*FEATURES, "nowhere"]),
            "condition": st.fixed_dictionaries({"value": vocabulary.answers()}),
        },
        optional={"gate": st.booleans()},
    )
    return st.lists(one, max_size=2)


def forced_rules(vocabulary: Vocabulary) -> st.SearchStrategy[dict[str, Any]]:
    """Values by force."""
    force = st.sampled_from(vocabulary.forced)
    more = few_of(
        {
            **HASHING,
            "id": st.just("r1"),
            "condition": vocabulary.conditions(),
            "coverage": SHARES,
            "range": ranges(1).map(lambda found: found[0]),
            "filters": filters(vocabulary),
            "parentConditions": parents(vocabulary),
            "fallbackAttribute": st.just("company"),
        }
    )
    return st.builds(lambda value, rest: {"force": value} | rest, force, more)


@st.composite
def experiment_rules(draw: st.DrawFn, vocabulary: Vocabulary) -> dict[str, Any]:
    """Experiments of one to four variations, some of contextual bandits."""
    field = draw(st.sampled_from(["variations", "variations", "contextualVariations"]))
    of_a_bandit = field == "contextualVariations"
    count = draw(st.integers(1, vocabulary.most_of_a_bandit if of_a_bandit else 4))
    weights = [[1 / count] * count, [1] + [0] * (count - 1)]
    if vocabulary.malformed:
        weights.append([0.2] * count)
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
                "condition": vocabulary.conditions(),
                "coverage": SHARES,
                "weights": st.sampled_from(weights),
                "ranges": ranges(count),
                "namespace": st.tuples(st.just("ns"), SHARES, SHARES).map(list),
                "filters": filters(vocabulary),
                "parentConditions": parents(vocabulary),
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
    if of_a_bandit and not vocabulary.malformed:
        rule.pop("ranges", None)
    if "condition" in rule and not vocabulary.audience_beside_forced:
        rule.pop("key", None)  # only named experiments are forced
        rule["disableStickyBucketing"] = True
    if of_a_bandit:
        rule["contextualBanditRef"] = draw(st.sampled_from(["bandit", "unknown"]))
    return rule


def bandits(vocabulary: Vocabulary) -> st.SearchStrategy[dict[str, Any]]:
    """A contextual bandit of few leaves."""
    leaf = st.fixed_dictionaries(
        {
            "leafId": st.integers(0, 9),
            "condition": vocabulary.conditions(),
            "weights": st.sampled_from(vocabulary.weights),
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


def payloads(vocabulary: Vocabulary) -> st.SearchStrategy[dict[str, Any]]:
    """What an SDK downloads."""
    gate = st.fixed_dictionaries({"parentConditions": parents(vocabulary)})
    rule = st.one_of(forced_rules(vocabulary), experiment_rules(vocabulary), gate)
    feature = st.fixed_dictionaries(
        {"rules": st.lists(rule, max_size=3)},
        optional={"defaultValue": st.sampled_from([0, 1, "a", None])},
    )
    return st.fixed_dictionaries(
        {
            "features": st.fixed_dictionaries(dict.fromkeys(FEATURES, feature)),
            "savedGroups": st.just(SAVED_GROUPS),
            "contextualBandits": bandits(vocabulary),
        }
    )


@st.composite
def users(draw: st.DrawFn, vocabulary: Vocabulary) -> dict[str, Any]:
    """One who is evaluated, with what was stored for them, or without a store."""
    known = draw(vocabulary.attributes())
    sticky: dict[str, Any] | None = None
    if draw(st.booleans()):
        names = [
            name for name in vocabulary.stored_by if isinstance(known.get(name), str)
        ]
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
