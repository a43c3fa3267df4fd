import random
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.events.rows import EventRow, rows_to_table
from scoring.engine.protocol import Interactions
from scoring.training.interactions import Cleaning, clean, names_read
from scoring.training.parameters import (
    RunParameters,
    RunParametersError,
    split_parameters,
)
from tests.scoring import shop

HOUR = timedelta(hours=1)


def cleaned(
    rows: list[EventRow], **parameters: object
) -> tuple[Interactions, Cleaning]:
    table = rows_to_table(rows, shop.SHARD, 1)
    return clean(table, RunParameters(**parameters))  # type: ignore[arg-type]


def test_each_event_counts_by_the_weight_of_its_name() -> None:
    rows = [
        shop.event(1, "a", shop.BEGIN, "view"),
        shop.event(1, "a", shop.BEGIN + HOUR, "add_to_cart"),
        shop.event(1, "a", shop.BEGIN + 2 * HOUR, "purchase"),
        shop.event(1, "a", shop.BEGIN + 3 * HOUR, "search"),
    ]
    interactions, cleaning = cleaned(rows)
    assert interactions.weight.tolist() == [1.0, 2.0, 4.0]
    assert (cleaning.read, cleaning.kept) == (4, 3)


def test_times_are_seconds_to_the_microsecond() -> None:
    at = shop.BEGIN + timedelta(microseconds=123456)
    interactions, _ = cleaned([shop.event(1, "a", at)])
    assert interactions.timestamp[0] == pytest.approx(at.timestamp(), abs=1e-6)


def test_a_line_repeated_in_every_field_counts_once() -> None:
    rows = [shop.event(1, "a", shop.BEGIN) for _ in range(3)]
    assert cleaned(rows)[1].duplicates == 2
    assert cleaned(rows, drop_duplicates=False)[1].kept == 3


def test_a_refunded_order_line_was_no_purchase() -> None:
    rows = [
        shop.event(1, "a", shop.BEGIN, "purchase"),
        shop.event(1, "b", shop.BEGIN, "purchase"),
        shop.event(1, "a", shop.BEGIN, "refund"),
    ]
    interactions, cleaning = cleaned(rows)
    assert interactions.item_ids == ("b",)
    assert cleaning.cancelled == 1
    assert cleaned(rows, drop_cancelled=False)[1].kept == 2


def test_lines_that_are_no_products_are_left_out_by_pattern() -> None:
    rows = [shop.event(1, item, shop.BEGIN) for item in ("POST", "POSTER", "M")]
    interactions, cleaning = cleaned(rows, non_stock="POST|M")
    assert interactions.item_ids == ("POSTER",)
    assert cleaning.non_stock == 2


def test_a_pattern_made_to_stall_does_not() -> None:
    rows = [shop.event(1, "a" * 5000, shop.BEGIN)]
    assert cleaned(rows, non_stock="(a+)+$b")[1].kept == 1


def test_only_the_last_days_are_read_where_that_is_asked() -> None:
    rows = [shop.event(1, "a", shop.BEGIN + timedelta(days=d)) for d in range(10)]
    interactions, cleaning = cleaned(rows, log_days=2)
    assert cleaning.kept == 3
    assert cleaning.too_old == 7
    assert len(interactions) == 3


def test_an_empty_log_gives_no_interactions() -> None:
    interactions, cleaning = cleaned([])
    assert len(interactions) == 0
    assert cleaning.read == 0


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32))
def test_the_order_of_the_files_changes_nothing(seed: int) -> None:
    rows = shop.visits(units=4, days=6)
    shuffled = random.Random(seed).sample(rows, len(rows))
    one, other = cleaned(rows)[0], cleaned(shuffled)[0]
    assert one.fingerprint() == other.fingerprint()
    assert one.item_ids == tuple(sorted(one.item_ids))
    assert (np.diff(one.timestamp) >= 0).all()


def test_refunds_are_read_only_where_they_matter() -> None:
    assert "refund" in names_read(RunParameters())
    assert "refund" not in names_read(RunParameters(drop_cancelled=False))


def test_parameters_go_to_the_ranker_or_to_the_run() -> None:
    ranker, run = split_parameters(
        "popularity", {"half_life_days": 3, "horizon_days": 5, "refit": False}
    )
    assert ranker.as_dict()["half_life_days"] == 3.0
    assert run.horizon_days == 5
    assert not run.refits("popularity")


def test_cheap_kinds_are_fitted_again_on_the_whole_log() -> None:
    assert RunParameters().refits("item_knn")
    assert not RunParameters().refits("transformer")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"widht": 3}, "widht is no parameter; popularity takes half_life_days"),
        ({"horizon_days": 0}, "horizon_days = 0"),
        ({"horizon_days": "long"}, "use a number"),
        ({"weights": {"view": -1}}, r"weights\.view = -1"),
        ({"weights": {}}, "at least one event name"),
        ({"drop_duplicates": 1}, "true or false"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, object], said: str) -> None:
    with pytest.raises(RunParametersError, match=said):
        split_parameters("popularity", parameters)
