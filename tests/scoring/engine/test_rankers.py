"""The contract, ranker by ranker."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scoring.engine.artifact import Artifact
from scoring.engine.errors import InvalidParametersError
from scoring.engine.protocol import History, Interactions, QuietContext
from scoring.engine.registry import (
    RANKERS,
    UnknownRankerError,
    load_scorer,
    make_trainer,
)
from tests.scoring.engine.contract import RankerContract
from tests.scoring.engine.data import walks

SMALL = {"width": 16, "epochs": 6, "learning_rate": 0.01, "length": 8}


class TestPopularity(RankerContract):
    kind = "popularity"
    learns_from_history = False


class TestItemKnn(RankerContract):
    kind = "item_knn"


class TestTransformer(RankerContract):
    kind = "transformer"
    parameters = SMALL


def test_every_ranker_is_under_contract() -> None:
    assert {each.kind for each in RankerContract.__subclasses__()} == set(RANKERS)


def test_an_unknown_ranker_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownRankerError, match="popularity, item_knn, transformer"):
        make_trainer("svd")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("popularity", {"half_life_days": -1.0}, "from 0 to 3650"),
        ("popularity", {"half_life_days": float("nan")}, "out of range"),
        ("popularity", {"halflife": 3.0}, "known are half_life_days"),
        ("item_knn", {"neighbours": 0}, "neighbours = 0 is out of range"),
        ("item_knn", {"neighbours": 2.5}, "is no int"),
        ("item_knn", {"neighbours": True}, "is no int"),
        ("item_knn", {"similarity": "euclid"}, "cosine, tfidf"),
        ("transformer", {"width": 30, "heads": 4}, "does not divide"),
        ("transformer", {"dropout": 1.0}, "out of range"),
        ("transformer", {"epochs": 0}, "from 1 to 10000"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(
    kind: str, values: dict[str, float | str], message: str
) -> None:
    with pytest.raises(InvalidParametersError, match=message):
        make_trainer(kind, values)


def test_every_parameter_says_what_it_means() -> None:
    for entry in RANKERS.values():
        for each in entry.parameters.described():
            assert each.meaning
            assert each.checked(each.default) == each.default


def test_serving_every_ranker_never_imports_torch(tmp_path: Path) -> None:
    for kind in RANKERS:
        parameters = SMALL if kind == "transformer" else {}
        artifact = make_trainer(kind, parameters).fit(walks(), QuietContext())
        for name, data in artifact.to_files().items():
            path = tmp_path / kind / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    script = """
import pathlib, sys
from scoring.engine.artifact import Artifact
from scoring.engine.protocol import History
from scoring.engine.registry import load_scorer
for folder in pathlib.Path(sys.argv[1]).iterdir():
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    scorer = load_scorer(Artifact.from_files(files))
    past = History(("a0", "a1"), (0.0, 1.0), 2.0)
    assert scorer.recommend([past], 3, [past.item_ids])[0].item_ids
    scorer.explain(past, "a2")
heavy = {"torch", "django", "onnx", "pandas"} & set(sys.modules)
assert not heavy, heavy
print("served")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "served\n", done.stderr


def _shop(items: int = 5000, units: int = 1500, steps: int = 20) -> Interactions:
    rng = np.random.default_rng(0)
    n = units * steps
    return Interactions(
        unit=rng.integers(units, size=n).astype(np.int32),
        item=(items * rng.random(n) ** 2).astype(np.int32),
        timestamp=np.arange(n, dtype=np.float64),
        weight=np.ones(n, dtype=np.float32),
        n_units=units,
        item_ids=tuple(f"item-{i}" for i in range(items)),
    )


@pytest.mark.parametrize("kind", RANKERS)
def test_a_list_out_of_five_thousand_items_takes_milliseconds(kind: str) -> None:
    shop = _shop()
    parameters = {"epochs": 1, "seconds": 2.0} if kind == "transformer" else {}
    scorer = load_scorer(make_trainer(kind, parameters).fit(shop, QuietContext()))
    past = History(shop.item_ids[:50], tuple(map(float, range(50))), 50.0)
    scorer.recommend([past], 20, [past.item_ids])
    spent = []
    for _ in range(30):
        start = time.perf_counter()
        scorer.recommend([past], 20, [past.item_ids])
        spent.append(time.perf_counter() - start)
    # The target is 1 ms alone on a core; the bound leaves room for a busy machine.
    assert min(spent) < 0.004


@pytest.mark.parametrize("kind", ["popularity", "item_knn"])
def test_one_unit_with_one_item_gives_a_model_that_answers(kind: str) -> None:
    lone = Interactions(
        unit=np.zeros(1, np.int32),
        item=np.zeros(1, np.int32),
        timestamp=np.zeros(1),
        weight=np.ones(1, np.float32),
        n_units=1,
        item_ids=("only",),
    )
    artifact = make_trainer(kind).fit(lone, QuietContext())
    scorer = load_scorer(Artifact.from_files(artifact.to_files()))
    (ranked,) = scorer.recommend([History((), (), 0.0)], 5, [()])
    assert ranked.item_ids == (["only"] if kind == "popularity" else [])
