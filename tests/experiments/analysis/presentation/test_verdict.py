"""What the banner says, in every case the rule knows."""

from dataclasses import replace

import msgspec
import pytest

from experiments.analysis.presentation import plots, wording
from experiments.analysis.presentation.banner import Banner, Facts, Reader
from experiments.analysis.presentation.report import ReportPage, present
from experiments.analysis.presentation.verdict import banner
from experiments.analysis.results import (
    Interval,
    MetricResult,
    PairResult,
    ReportContent,
)
from tests.page_content import content

MINUS = "\u2212"
READER = Reader(may_ship=True, may_keep=True)


def _banner(what: ReportContent, reader: Reader = READER) -> Banner:
    return banner(Facts.of(what), None, reader)


def _page(what: ReportContent) -> ReportPage:
    return present(what, offline=(), decided=None, reader=READER)


def _primary(name: str) -> MetricResult:
    return msgspec.structs.replace(content().metrics[0], name=name)


@pytest.mark.parametrize(
    ("name", "estimate", "clause"),
    [
        (
            "Shoppers who clicked a recommendation",
            0.131,
            "13% more shoppers click a recommendation",
        ),
        ("Share of shoppers who buy", -0.0281, "2.8% fewer shoppers buy"),
        ("Revenue per shopper", 0.045, "revenue per shopper up 4.5%"),
        ("NPS of shoppers", -0.0004, "NPS of shoppers down 0.04%"),
        ("Revenue per shopper", None, "revenue per shopper cannot be compared yet"),
    ],
)
def test_an_effect_is_a_clause_a_reader_understands(
    name: str, estimate: float | None, clause: str
) -> None:
    assert wording.clause(_primary(name), estimate) == clause


def test_ship_gives_the_interval_the_guardrails_and_the_other_variant() -> None:
    said = " ".join(_banner(content("ship")).reasons)
    assert "between +9.3% and +16.9%" in said
    assert "Not shown safe: Shoppers who got an empty or fallback list." in said
    assert "B, item-knn v1, also beats control, but by less." in said
    assert len(_banner(content("ship")).facts) <= 3


def test_a_viewer_is_offered_no_decision() -> None:
    for decision in ("ship", "not_distinguishable", "keep_control", "keep_running"):
        assert _banner(content(decision), Reader()).buttons == ()


def test_before_seven_days_the_reason_is_the_calendar() -> None:
    said = _banner(content("keep_running", days=5))
    assert said.sentence == "Too early to tell: at most 9 more days"
    assert "no verdict before 7 full days" in " ".join(said.reasons)


def test_when_every_variant_does_worse_the_sentence_says_so() -> None:
    what = content("keep_control")
    primary = what.metrics[0]
    worse = tuple(
        msgspec.structs.replace(r, reading="worse") if r.relative else r
        for r in primary.variants
    )
    primary = msgspec.structs.replace(primary, variants=worse)
    what = msgspec.structs.replace(what, metrics=(primary, *what.metrics[1:]))
    assert _banner(what).sentence == "Keep popularity v1: B and C do worse"


def test_a_broken_split_shows_no_effect_anywhere() -> None:
    page = _page(content("no_verdict"))
    assert page.broken
    assert page.groups == ()
    assert page.against == ()
    assert (page.forest, page.over_time, page.offline) == (None, None, None)
    assert {line.tag.word for line in page.criteria[1:]} == {"Not evaluated"}


def test_a_report_without_variants_or_metrics_still_reads() -> None:
    what = msgspec.structs.replace(
        content("keep_running"), variants=(), metrics=(), days=(), checks=()
    )
    page = _page(what)
    assert page.banner.sentence.startswith("Too early")
    assert page.forest is None


def test_a_failed_check_is_named_by_what_is_wrong_not_by_what_should_hold() -> None:
    for code, trouble in wording.TROUBLES.items():
        what = content("no_verdict")
        check = msgspec.structs.replace(what.checks[0], code=code)
        page = _page(msgspec.structs.replace(what, checks=(check, *what.checks[1:])))
        assert page.banner.sentence == f"Do not read these results: {trouble}"
        assert page.health[0].title == wording.upper_first(trouble)
    what = content("no_verdict")
    check = msgspec.structs.replace(what.checks[0], code="new", title="All is well")
    page = _page(msgspec.structs.replace(what, checks=(check,)))
    assert page.banner.sentence.endswith("a check failed (all is well)")


def test_the_calendar_does_not_speak_against_shipping() -> None:
    what = content("ship")
    look = next(r for r in what.verdict.reasons if r.code == "planned_looks")
    verdict = msgspec.structs.replace(
        what.verdict, against=(look.sentence, "Lists take longer.")
    )
    page = _page(msgspec.structs.replace(what, verdict=verdict))
    assert page.against == ("Lists take longer.",)


def test_two_that_qualify_are_shown_against_each_other() -> None:
    pair = PairResult("c", "b", Interval(0.01, -0.02, 0.04, 0.3, "ok", "score"))
    what = msgspec.structs.replace(content("not_distinguishable"), pairs=(pair,))
    assert f"C against B: {MINUS}2.0% to +4.0%." in _banner(what).reasons


def test_too_few_shoppers_draw_no_interval() -> None:
    what = content("keep_running")
    few = tuple(
        msgspec.structs.replace(
            r,
            reading="not_enough_data",
            relative=msgspec.structs.replace(r.relative, status="not_enough_data"),
        )
        if r.relative
        else r
        for r in what.metrics[0].variants
    )
    metric = msgspec.structs.replace(what.metrics[0], variants=few)
    page = _page(msgspec.structs.replace(what, metrics=(metric,)))
    rows = page.groups[0].metrics[0].rows
    assert [row.bar for row in rows] == [None, None]
    assert {row.bounds for row in rows} == {"too few shoppers"}
    assert page.forest is None


def test_guardrails_show_no_p_value_and_their_limit_points_to_harm() -> None:
    page = _page(content("ship"))
    guardrail = page.groups[-1].metrics[0]
    assert {row.p for row in guardrail.rows} == {""}
    assert "limit +10.0%" in guardrail.control
    harm = replace_direction(content("ship").metrics[2])
    assert wording.limit(harm) == -0.1


def replace_direction(metric: MetricResult) -> MetricResult:
    return msgspec.structs.replace(metric, direction="increase")


def test_a_guardrail_with_a_margin_in_points_is_shown_in_points() -> None:
    what = content("ship")
    guardrail = msgspec.structs.replace(
        what.metrics[2], margin=0.002, margin_scale="absolute"
    )
    page = _page(msgspec.structs.replace(what, metrics=(what.metrics[0], guardrail)))
    rows = page.groups[-1].metrics[0]
    assert rows.control == "Control 1.23%, limit +0.20 points"
    assert rows.rows[0].change == f"{MINUS}0.03 points"
    assert rows.rows[0].bounds == f"{MINUS}0.11 to +0.04 points"


def test_charts_carry_the_pages_colours_and_nothing_a_strict_policy_forbids() -> None:
    page = _page(content("ship", long=True))
    assert page.forest is not None
    assert page.over_time is not None
    for chart in (page.forest, page.over_time.cumulative, page.over_time.daily):
        assert chart is not None
        for cut in (chart.wide, chart.narrow):
            assert "var(--variant-b,#0f62d6)" in cut
            assert "style=" not in cut
            assert "<script" not in cut


def test_a_name_cannot_break_out_of_a_chart() -> None:
    what = content("ship")
    named = msgspec.structs.replace(what.metrics[1], name="<script>alert(1)</script>")
    page = _page(msgspec.structs.replace(what, metrics=(what.metrics[0], named)))
    assert page.forest is not None
    assert "<script" not in page.forest.wide


def test_a_bar_cut_by_the_frame_says_so() -> None:
    effect = plots.Effect("Revenue", "B", 0.2, -3.0, 4.0)
    spec = plots.forest([effect], narrow=False)
    layers = spec["layer"]
    assert isinstance(layers, list)
    assert len(layers[3]["data"]["values"]) == 2
    wide = replace(effect, lower=0.1, upper=0.3)
    layers = plots.forest([wide], narrow=False)["layer"]
    assert isinstance(layers, list)
    assert layers[3]["data"]["values"] == []
