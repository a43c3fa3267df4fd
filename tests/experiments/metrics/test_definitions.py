"""Definitions are data: they round-trip, and what cannot be computed is refused."""

import pytest

from experiments.metrics.definitions import (
    Conversion,
    Count,
    DefinitionError,
    Filter,
    MetricDefinition,
    Sum,
    parse,
    to_data,
)
from experiments.metrics.presets import PRESETS


@pytest.mark.parametrize(
    "definition",
    [
        *(preset.definition for preset in PRESETS.values()),
        Count(events=("click",), cap=3, window_days=7),
        Sum(events=("purchase",), field="quantity", attribution="recommended"),
        Conversion(events=("view",), filters=(Filter("source", "in", ("web", "app")),)),
        Conversion(events=("view",), filters=(Filter("item_id", "set"),)),
    ],
)
def test_a_definition_reads_back_what_it_writes(definition: MetricDefinition) -> None:
    assert parse(to_data(definition)) == definition


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "kind is None; allowed: conversion, count, sum"),
        ({"kind": "median", "events": ["x"]}, "kind is 'median'"),
        ({"kind": "conversion", "events": []}, "events is empty"),
        ({"kind": "conversion"}, "events"),
        ({"kind": "conversion", "events": ["x"], "cap": 1}, "cap is no field"),
        ({"kind": "count", "events": ["x"], "cap": 0}, "cap is 0"),
        ({"kind": "count", "events": ["x"], "distinct": "value"}, "distinct is"),
        ({"kind": "sum", "events": ["x"], "field": "colour"}, "Invalid enum value"),
        ({"kind": "sum", "events": ["x"], "window_days": -1}, "window_days is -1"),
        (
            {
                "kind": "sum",
                "events": ["x"],
                "net_of_refunds": True,
                "attribution": "recommended",
            },
            "a refund belongs to no list",
        ),
        (
            {"kind": "sum", "events": ["x"], "net_of_refunds": True, "field": "price"},
            "a refund states only its value",
        ),
    ],
)
def test_a_definition_that_cannot_be_computed_is_refused_with_the_reason(
    data: dict[str, object], message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        parse(data)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Filter("colour", "is", "red"), "'colour' is no column"),
        (Filter("source", "is", None), "needs a value"),
        (Filter("source", "set", "web"), "takes no value"),
        (Filter("source", "in", "web"), "goes with 'in'"),
        (Filter("source", "is", ("web",)), "goes with 'in'"),
        (Filter("source", "is", 3), "source is text"),
        (Filter("source", "above", "a"), "does not fit"),
        (Filter("value", "is", "ten"), "value is a number"),
        (Filter("quantity", "is", True), "quantity is a number"),
        (Filter("consent", "is", "yes"), "consent is true or false"),
        (Filter("timestamp", "above", 3), "filter text, numbers or flags"),
    ],
)
def test_a_filter_that_fits_no_column_is_refused(
    condition: Filter, message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        condition.check()


def test_money_takes_the_shops_currency() -> None:
    assert PRESETS["revenue_per_shopper"].definition_in("EUR").unit == "EUR"
    clicks = PRESETS["recommended_click_share"]
    assert clicks.definition_in("EUR") == clicks.definition
