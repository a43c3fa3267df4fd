"""The report's charts as Vega-Lite specifications: forest, over time, offline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.analysis.presentation.charts import LIGHT, Spec, colour, shape

MINUS = "\u2212"
SIGNED = (
    f"(datum.value > 0 ? '+' : datum.value < 0 ? '{MINUS}' : '') + "
    "format(abs(datum.value * 100), '~r') + '%'"
)
PERCENT = "format(datum.value * 100, '~r') + '%'"
Row = dict[str, object]


@dataclass(frozen=True)
class Effect:
    """One bar of the forest plot.

    Attributes:
        margin: The guardrail's limit as a signed relative change; None: no guardrail.
    """

    metric: str
    letter: str
    estimate: float
    lower: float
    upper: float
    margin: float | None = None


@dataclass(frozen=True)
class TimePoint:
    """One variant's cumulative effect, or its value, at the end of a day."""

    day: int
    letter: str
    label: str
    estimate: float
    lower: float | None = None
    upper: float | None = None
    is_look: bool = False


@dataclass(frozen=True)
class OfflinePoint:
    """A variant's model: its offline score beside its online change."""

    letter: str
    label: str
    score: float
    score_lower: float
    score_upper: float
    estimate: float
    lower: float
    upper: float


def reach(
    bounds: Iterable[float], *, pad: float = 0.08, most: float = 1.0
) -> tuple[float, float]:
    """A scale that holds zero and all bounds, padded, cut at ± ``most``."""
    kept = [max(-most, min(most, b)) for b in bounds]
    low, high = min([0.0, *kept]), max([0.0, *kept])
    width = (high - low) or 0.1
    return low - pad * width, high + pad * width


def letter_scales(letters: Sequence[str]) -> tuple[Row, Row]:
    """Colour and shape encodings of variants, which travel together."""
    domain = list(letters)
    hue: Row = {"domain": domain, "range": [colour(letter) for letter in domain]}
    form: Row = {"domain": domain, "range": [shape(letter) for letter in domain]}
    return (
        {"field": "letter", "type": "nominal", "scale": hue},
        {"field": "letter", "type": "nominal", "scale": form},
    )


def rows(values: object) -> Row:
    """Inline data of a layer."""
    return {"values": values}


def quantity(field: str, **more: object) -> Row:
    """A quantitative channel."""
    return {"field": field, "type": "quantitative", **more}


def markers(size: int, encoding: Row, **more: object) -> Row:
    """A layer of markers with a rim in the card's colour."""
    mark: Row = {"type": "point", "size": size, "stroke": LIGHT["card"]}
    return {
        "mark": mark | {"strokeWidth": 1.5, "opacity": 1},
        "encoding": encoding,
        **more,
    }


def bars(encoding: Row, **more: object) -> Row:
    """A layer of interval bars."""
    mark = {"type": "rule", "strokeWidth": 2.5, "strokeCap": "round"}
    return {"mark": mark, "encoding": encoding, **more}


def _zero(channel: str, scale: Row) -> Row:
    return {
        "data": rows([{"z": 0}]),
        "mark": {"type": "rule", "strokeWidth": 1.25, "color": LIGHT["ink-2"]},
        "encoding": {channel: quantity("z", scale=scale)},
    }


def _shorten(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def _held(number: float, scale: tuple[float, float]) -> float:
    return max(scale[0], min(scale[1], number))


def forest(effects: Sequence[Effect], *, narrow: bool) -> Spec:
    """All metrics and variants on one scale; bars cut by the frame end in an arrow."""
    ends = [b for e in effects for b in (e.lower, e.upper, e.margin or 0.0)]
    low, high = reach(ends, most=0.6)
    names = {e.metric: _shorten(e.metric, 19 if narrow else 28) for e in effects}
    letters = sorted({e.letter for e in effects})
    hue, form = letter_scales(letters)
    data = [_forest_row(e, names[e.metric], (low, high)) for e in effects]
    scale: Row = {"domain": [low, high], "nice": False}
    x = quantity("estimate", scale=scale, axis=_change_axis(narrow=narrow))
    y = _metric_axis(list(names.values()), narrow=narrow)
    place: Row = {
        "y": y,
        "yOffset": {"field": "letter", "type": "nominal", "sort": letters},
    }
    cuts = [
        {**row, "at": row[side]}
        for row, effect in zip(data, effects, strict=True)
        for side, cut in (("lower", effect.lower < low), ("upper", effect.upper > high))
        if cut
    ]
    limits = [d for d in data if d["margin"] is not None]
    tick = {"type": "tick", "thickness": 2, "size": 12 * len(letters) + 10}
    span: Row = {"x": {**x, "field": "lower"}, "x2": {"field": "upper"}}
    arrow = {"type": "point", "shape": "triangle-right", "size": 60}
    return {
        "height": max(150, (22 * len(letters) + 26) * len(names) + 50),
        # Labels are measured in another typeface, which may be narrower than Inter.
        "padding": {"left": 14, "right": 4, "top": 4, "bottom": 4},
        "data": rows(data),
        "layer": [
            _zero("x", scale),
            {
                "data": rows(limits),
                "mark": tick | {"color": LIGHT["ink"]},
                "encoding": {"x": quantity("margin"), "y": y},
            },
            bars(span | place | {"color": hue}),
            {
                "data": rows(cuts),
                "mark": arrow,
                "encoding": {"x": {**x, "field": "at"}, "color": hue} | place,
            },
            markers(85, {"x": x, "fill": hue, "shape": form} | place),
        ],
    }


def _forest_row(effect: Effect, name: str, scale: tuple[float, float]) -> Row:
    return {
        "metric": name,
        "letter": effect.letter,
        "estimate": _held(effect.estimate, scale),
        "lower": _held(effect.lower, scale),
        "upper": _held(effect.upper, scale),
        "margin": effect.margin,
    }


def _change_axis(*, narrow: bool) -> Row:
    return {
        "title": None if narrow else "change against control",
        "labelExpr": SIGNED,
        "tickCount": 3 if narrow else 6,
        "grid": True,
    }


def _metric_axis(names: list[str], *, narrow: bool) -> Row:
    return {
        "field": "metric",
        "type": "nominal",
        "sort": names,
        "scale": {"paddingInner": 0.42, "paddingOuter": 0.25},
        "axis": {
            "title": None,
            "grid": False,
            "labelFontSize": 12 if narrow else 13,
            "labelColor": LIGHT["ink"],
            "labelLimit": 150 if narrow else 240,
        },
    }


def _day_axis(last: int, *, room: float) -> Row:
    weeks = [1, *range(7, last + 1, 7)]
    return quantity(
        "day",
        scale={"domain": [1, max(2, last) + room], "nice": False},
        axis={
            "title": "days since start",
            "values": weeks if last >= 7 else list(range(1, last + 1)),
            "grid": False,
            "format": "d",
        },
    )


def cumulative(points: Sequence[TimePoint], *, narrow: bool) -> Spec:
    """Effect over all days so far; at a planned look its interval is drawn whole."""
    last = max(p.day for p in points)
    settled = [p for p in points if p.day > min(3, last - 1)]
    reached = reach(
        [b for p in settled for b in (p.estimate, p.lower, p.upper) if b is not None],
        most=0.8,
    )
    hue, form = letter_scales(sorted({p.letter for p in points}))
    data = [_time_row(p, reached) for p in points]
    looks = [row for row in data if row["look"]]
    ends = [row for row in data if row["day"] == last]
    scale: Row = {"domain": list(reached), "nice": False}
    axis: Row = {"title": None, "labelExpr": SIGNED, "tickCount": 6}
    x = _day_axis(last, room=0.3 if narrow else max(1.5, last * 0.28))
    y = quantity("estimate", scale=scale, axis=axis)
    span: Row = {
        "y": quantity("lower", scale=scale, axis=axis),
        "y2": {"field": "upper"},
    }
    across: Row = {"x": x, "color": hue}
    layers: list[Row] = [
        {"mark": {"type": "area", "opacity": 0.11}, "encoding": across | span},
        _zero("y", scale),
        {"mark": {"type": "line", "strokeWidth": 2.5}, "encoding": across | {"y": y}},
        bars(across | span, data=rows(looks)),
        markers(
            110,
            {"x": x, "y": y, "fill": hue, "shape": form},
            data=rows(looks or ends),
        ),
    ]
    if not narrow:
        label = {"type": "text", "align": "left", "dx": 12, "fontWeight": 600}
        layers.append(
            {
                "data": rows(_apart(ends, (reached[1] - reached[0]) * 0.06)),
                "mark": label | {"fontSize": 12.5, "limit": 170},
                "encoding": across | {"y": y, "text": {"field": "name"}},
            }
        )
    return {"height": 280 if narrow else 350, "data": rows(data), "layer": layers}


def _time_row(point: TimePoint, scale: tuple[float, float]) -> Row:
    lower = point.estimate if point.lower is None else point.lower
    upper = point.estimate if point.upper is None else point.upper
    return {
        "day": point.day,
        "letter": point.letter,
        "name": f"{point.letter} {_shorten(point.label, 18)}",
        "estimate": _held(point.estimate, scale),
        "lower": _held(lower, scale),
        "upper": _held(upper, scale),
        "look": point.is_look,
    }


def _apart(ends: list[Row], gap: float) -> list[Row]:
    """The end labels, moved so that no two stand on each other."""
    moved: list[Row] = []
    floor = float("-inf")
    for row in sorted(ends, key=lambda r: float(str(r["estimate"]))):
        floor = max(floor + gap, float(str(row["estimate"])))
        moved.append({**row, "estimate": floor})
    return moved


def daily(points: Sequence[TimePoint], *, narrow: bool) -> Spec:
    """The primary metric day by day, one line a variant."""
    last = max(p.day for p in points)
    hue, form = letter_scales(sorted({p.letter for p in points}))
    data: list[Row] = [
        {"day": p.day, "letter": p.letter, "estimate": p.estimate} for p in points
    ]
    axis: Row = {"title": None, "tickCount": 5}
    if max(p.estimate for p in points) <= 1:
        axis["labelExpr"] = PERCENT
    x = _day_axis(last, room=0.2)
    y = quantity("estimate", scale={"zero": True, "nice": True}, axis=axis)
    line = {"type": "line", "strokeWidth": 2}
    return {
        "height": 280 if narrow else 350,
        "data": rows(data),
        "layer": [
            {"mark": line, "encoding": {"x": x, "y": y, "color": hue}},
            markers(38, {"x": x, "y": y, "fill": hue, "shape": form}),
        ],
    }


def offline_online(points: Sequence[OfflinePoint], *, narrow: bool) -> Spec:
    """Offline score against online change; intervals on both sides."""
    low, high = reach([b for p in points for b in (p.lower, p.upper)], pad=0.12)
    left = min(p.score_lower for p in points)
    right = max(p.score_upper for p in points)
    room = 0.15 * ((right - left) or 0.01)
    hue, form = letter_scales(sorted({p.letter for p in points}))
    data: list[Row] = [
        {
            "letter": p.letter,
            "name": f"{p.letter} {_shorten(p.label, 12 if narrow else 18)}",
            "score": p.score,
            "score_lower": p.score_lower,
            "score_upper": p.score_upper,
            "estimate": p.estimate,
            "lower": _held(p.lower, (low, high)),
            "upper": _held(p.upper, (low, high)),
            "right": p.score > (left + right) / 2,
        }
        for p in points
    ]
    scale: Row = {"domain": [low, high], "nice": False}
    x = quantity(
        "score",
        scale={"domain": [left - room, right + room], "nice": False},
        axis={"title": "offline NDCG@10", "tickCount": 5, "format": ".3~f"},
    )
    y = quantity(
        "estimate",
        scale=scale,
        axis={"title": None, "labelExpr": SIGNED, "tickCount": 5},
    )
    wide: Row = {"x": {**x, "field": "score_lower"}, "x2": {"field": "score_upper"}}
    tall: Row = {"y": {**y, "field": "lower"}, "y2": {"field": "upper"}}
    return {
        "height": 290,
        "data": rows(data),
        "layer": [
            _zero("y", scale),
            bars(wide | {"y": y, "color": hue}),
            bars(tall | {"x": x, "color": hue}),
            markers(120, {"x": x, "y": y, "fill": hue, "shape": form}),
            *(
                _names({"x": x, "y": y, "color": hue}, right=side)
                for side in (False, True)
            ),
        ],
    }


def _names(encoding: Row, *, right: bool) -> Row:
    """Labels beside the markers, on the side where there is room."""
    mark = {"type": "text", "align": "right" if right else "left", "fontWeight": 600}
    return {
        "transform": [{"filter": f"datum.right === {str(right).lower()}"}],
        "mark": mark | {"dx": -8 if right else 8, "dy": -12},
        "encoding": encoding | {"text": {"field": "name"}},
    }
