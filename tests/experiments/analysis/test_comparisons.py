"""Figures of a report: which error they carry, and that they agree with themselves."""

import numpy as np
import pytest

from experiments.analysis.comparisons import Comparer, Watched
from experiments.analysis.results import Interval, MetricResult
from experiments.metrics.sums import Measurement
from experiments.statistics import proportions
from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison
from experiments.statistics.means import welch
from experiments.statistics.relative import fieller
from experiments.statistics.sequential import Look
from tests.experiments.analysis.measurements import (
    FALLBACK,
    REVENUE,
    after,
    known,
    measured,
    plan_of,
    watched,
)

USERS = (6000, 6100, 5900)
CLICKS = {"clicks": (1200, 1340, 1250)}


def _metric(
    found: Measurement, metric: Watched, *, days: float = 7, family: int = 2
) -> MetricResult:
    plan = plan_of(treatments=len(found.variants) - 1)
    return Comparer(found, plan, after(days)).metric(metric, family)


def _same(interval: Interval | None, expected: Comparison) -> None:
    estimate, lower, upper, _ = known(interval)
    assert estimate == pytest.approx(expected.estimate.item())
    assert lower == pytest.approx(expected.lower.item())
    assert upper == pytest.approx(expected.upper.item())


def test_a_share_gets_the_repeated_score_interval_of_its_look() -> None:
    result = _metric(measured(USERS, CLICKS), watched())
    look = Look((0.5,), 0.025)
    expected = proportions.relative_difference(
        1200, 6000, 1340, 6100, alpha=0.025, quantile=look
    )
    first = result.variants[1]
    _same(first.relative, expected)
    assert first.value == 1340 / 6100
    assert known(first.relative)[3] == pytest.approx(2 * float(expected.p_value))
    points = proportions.difference(1200, 6000, 1340, 6100, alpha=0.025, quantile=look)
    _same(first.absolute, points)
    plain = proportions.relative_difference(1200, 6000, 1340, 6100, alpha=0.05)
    _same(first.uncorrected, plain)


def test_the_last_look_uses_its_own_boundary() -> None:
    found = measured(USERS, CLICKS)
    last = _metric(found, watched(), days=14).variants[1].relative
    expected = proportions.relative_difference(
        1200, 6000, 1340, 6100, alpha=0.025, quantile=Look((0.5, 1.0), 0.025)
    )
    _same(last, expected)


def test_between_looks_intervals_are_wider_and_still_agree_with_their_p() -> None:
    found = measured(USERS, CLICKS)
    between = _metric(found, watched(), days=10).variants[1].relative
    look = _metric(found, watched(), days=14).variants[1].relative
    _, lower, _, p_value = known(between)
    assert lower < known(look)[1]
    assert (lower > 0) == (p_value < 0.05)


@pytest.mark.parametrize("days", [7, 10, 14])
@pytest.mark.parametrize("family", [1, 2, 6])
def test_an_interval_excludes_no_effect_exactly_when_its_p_is_below_alpha(
    days: float, family: int
) -> None:
    dice = np.random.default_rng(family)
    for clicks in range(1200, 1420, 13):
        values = [dice.exponential(20_000, 400).astype(int) for _ in range(2)]
        found = measured(
            (6000, 6000), {"clicks": (1200, clicks)}, values={"revenue": values}
        )
        revenue = watched("secondary", REVENUE, key="revenue")
        for metric in (watched(), revenue):
            result = _metric(found, metric, days=days, family=family).variants[1]
            for shown in (result.relative, result.absolute, result.uncorrected):
                _, lower, upper, p_value = known(shown)
                assert (lower > 0 or upper < 0) == (p_value < 0.05)


def test_a_mean_gets_welch_and_fieller() -> None:
    dice = np.random.default_rng(3)
    arms = [dice.exponential(scale, 500).astype(int) for scale in (30_000, 36_000)]
    found = measured((500, 500), {}, values={"revenue": arms})
    metric = watched("secondary", REVENUE, key="revenue")
    result = _metric(found, metric, days=14, family=1).variants[1]
    control, treatment = (Moments.from_units(arm / 10_000) for arm in arms)
    look = Look((0.5, 1.0), 0.05)
    lift = fieller(control, treatment, critical=look)
    points = welch(control, treatment, quantile=look)
    _same(result.relative, lift)
    _same(result.absolute, points)


@pytest.mark.parametrize(
    ("fallbacks", "reading"),
    [((400, 400), "not_shown_safe"), ((6000, 6000), "holds"), ((600, 900), "harmed")],
)
def test_a_guardrail_holds_only_when_harm_is_ruled_out(
    fallbacks: tuple[int, int], reading: str
) -> None:
    found = measured((10_000, 10_000), {"fallback": fallbacks})
    metric = watched("guardrail", FALLBACK, key="fallback", margin=0.1)
    result = _metric(found, metric, family=1).variants[1]
    assert result.reading == reading
    _, lower, upper, _ = known(result.relative)
    assert (upper < 0.1) == (reading == "holds")
    assert (lower > 0.1) == (reading == "harmed")


def test_a_guardrail_without_events_in_control_is_read_in_points() -> None:
    metric = watched("guardrail", FALLBACK, key="fallback", margin=0.1)
    for count, reading in ((0, "holds"), (500, "harmed")):
        found = measured((10_000, 10_000), {"fallback": (0, count)})
        assert _metric(found, metric, family=1).variants[1].reading == reading


@pytest.mark.parametrize("margin", [0.0, 1.0, 3.0])
def test_any_margin_the_schema_allows_can_be_tested(margin: float) -> None:
    found = measured((10_000, 10_000), {"fallback": (900, 880)})
    metric = watched("guardrail", FALLBACK, key="fallback", margin=margin)
    assert _metric(found, metric, family=1).variants[1].reading != ""


def test_under_a_hundred_shoppers_no_interval_is_shown() -> None:
    found = measured((99, 6000), {"clicks": (20, 1300)})
    result = _metric(found, watched(), family=1).variants[1]
    assert result.reading == "not_enough_data"
    assert result.relative is not None
    assert result.relative.estimate is None


def test_nobody_at_all_gives_a_report_without_figures() -> None:
    found = measured((0, 0), {"clicks": (0, 0)})
    result = _metric(found, watched(), days=10, family=1)
    assert [variant.value for variant in result.variants] == [None, None]


def test_a_metric_where_less_is_better_reads_the_other_way() -> None:
    found = measured((6000, 6000), {"clicks": (1200, 1000)})
    down = watched("primary", FALLBACK)
    assert _metric(found, down, family=1).variants[1].reading == "better"
    assert _metric(found, watched(), family=1).variants[1].reading == "worse"


def test_days_carry_the_repeated_interval_at_looks_and_the_wider_one_between() -> None:
    found = measured(USERS, CLICKS)
    comparer = Comparer(found, plan_of(treatments=2), after(14))
    points = [p for p in comparer.days(watched()) if p.variant == "variant-1"]
    assert [p.day for p in points if p.is_look] == [7, 14]
    last = comparer.metric(watched(), 2).variants[1].relative
    assert last is not None
    assert (points[-1].lower, points[-1].upper) == (last.lower, last.upper)
    assert points[-1].value == 1340 / 6100
    assert sum(p.daily_value or 0 for p in points) == pytest.approx(points[-1].value)
    assert points[0].date == "2025-03-03"
    widths = [(p.upper or 0) - (p.lower or 0) for p in points]
    assert widths[12] > widths[13]


def test_pairs_compare_the_treatments_with_each_other() -> None:
    found = measured(USERS, CLICKS)
    (pair,) = Comparer(found, plan_of(treatments=2), after(14)).pairs(watched())
    assert (pair.variant, pair.other) == ("variant-1", "variant-2")
    expected = proportions.relative_difference(
        1250, 5900, 1340, 6100, alpha=0.025, quantile=Look((0.5, 1.0), 0.025)
    )
    _same(pair.effect, expected)
