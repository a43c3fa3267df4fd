"""How numbers are written."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.presentation import numbers

MINUS = "\u2212"


@pytest.mark.parametrize(
    ("relative", "text"),
    [
        (0.028, "+2.8%"),
        (-0.003, f"{MINUS}0.3%"),
        (0.0, "0.0%"),
        (-0.0002, f"{MINUS}0.02%"),
        (0.00049, "+0.05%"),
        (12.345, "+1,234.5%"),
        (None, "–"),
    ],
)
def test_a_change_shows_its_sign_and_as_many_digits_as_its_side_needs(
    relative: float | None, text: str
) -> None:
    assert numbers.change(relative) == text


def test_an_interval_is_from_bound_to_bound_and_never_plus_minus() -> None:
    assert numbers.interval(0.012, 0.044) == "+1.2% to +4.4%"
    assert numbers.interval(None, 0.044) == "below +4.4%"
    assert numbers.interval(0.012, None) == "above +1.2%"
    assert numbers.interval(None, None) == "no bounds yet"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "< 0.001"),
        (0.0009, "< 0.001"),
        (0.0012, "0.0012"),
        (0.0304, "0.030"),
        (0.0999, "0.10"),
        (0.114, "0.11"),
        (0.994, "0.99"),
        (0.999, "1"),
        (None, ""),
    ],
)
def test_a_p_value_has_two_digits_and_is_never_zero(p: float | None, text: str) -> None:
    assert numbers.p_value(p) == text


def test_a_p_value_in_a_sentence_stays_on_one_line() -> None:
    assert numbers.p_equals(0.0301) == "p\u00a0=\u00a00.030"
    assert numbers.p_equals(0.0001) == "p\u00a0<\u00a00.001"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "share", "1.23%"),
        (0.2194, "share", "21.9%"),
        (5.77, "GBP", "£5.77"),
        (-5.77, "GBP", f"{MINUS}£5.77"),
        (5.77, "CHF", "CHF\u00a05.77"),
        (0.0837, "count", "0.0837"),
        (42.06, "ms", "42.1\u00a0ms"),
        (None, "share", "–"),
    ],
)
def test_a_value_is_written_in_its_unit(
    value: float | None, unit: str, text: str
) -> None:
    assert numbers.value(value, unit) == text


def test_shares_change_by_points_and_money_by_its_currency() -> None:
    assert numbers.absolute(0.0042, "share") == "+0.42 points"
    assert numbers.absolute(-0.2, "GBP") == f"{MINUS}£0.20"
    assert numbers.absolute_interval(0.0016, 0.0067, "share") == "+0.16 to +0.67 points"
    assert numbers.money_thousands(152_345, "EUR") == "+€152,000"


def test_counts_are_in_full_and_sizes_in_their_unit() -> None:
    assert numbers.count(140531) == "140,531"
    assert numbers.size(3_600_000) == "3.6\u00a0MB"
    assert numbers.plural(1, "day") == "1 day"
    assert numbers.plural(2, "entry", "entries") == "2 entries"


def test_dates_are_unmistakable_and_relative_time_ends_after_an_hour() -> None:
    when = datetime(2026, 11, 16, 6, 10, tzinfo=UTC)
    assert numbers.moment(when) == "16 Nov 2026, 06:10"
    assert numbers.moment("2026-11-16T06:10:00Z") == "16 Nov 2026, 06:10"
    assert numbers.span("2026-10-26", "2026-11-15") == "26 Oct to 15 Nov 2026"
    assert numbers.span("2025-12-26", "2026-01-15") == "26 Dec 2025 to 15 Jan 2026"
    assert numbers.ago(when, when.replace(minute=40)) == "30 min ago"
    assert numbers.ago(when, when.replace(hour=8)) == "16 Nov 2026, 06:10"
    assert [numbers.duration(s) for s in (0.2, 40, 300, 7300, 200_000)] == [
        "1 second",
        "40 seconds",
        "5 min",
        "2 hours",
        "2 days",
    ]


@given(st.floats(-5, 5))
def test_the_sign_of_a_change_is_never_lost_or_turned(relative: float) -> None:
    text = numbers.change(relative)
    if abs(relative) > 1e-6:
        assert text[0] == ("+" if relative > 0 else MINUS)
    assert "-" not in text
