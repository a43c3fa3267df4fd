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


def _marker(size: int) -> Row:
    return {
        "type": "point",
        "size": size,
        "stroke": LIGHT["card"],
        "strokeWidth": 1.5,
        "opacity": 1,
    }


def _zero(channel: str, scale: Row) -> Row:
    return {
        "data": rows([{"z": 0}]),
        "mark": {"type": "rule", "strokeWidth": 1.25, "color": LIGHT["ink-2"]},
        "encoding": {channel: quantity("z", scale=scale)},
    }


def _shorten(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def forest(effects: Sequence[Effect], *, narrow: bool) -> Spec:
    """All metrics and variants on one scale; bars cut by the frame end in an arrow."""
    low, high = reach(
        [b for e in effects for b in (e.lower, e.upper, e.margin or 0.0)], most=0.6
    )
    names = {e.metric: _shorten(e.metric, 20 if narrow else 30) for e in effects}
    letters = sorted({e.letter for e in effects})
    hue, form = letter_scales(letters)
    data = [
        {
            "metric": names[e.metric],
            "letter": e.letter,
            "estimate": min(high, max(low, e.estimate)),
            "lower": max(low, e.lower),
            "upper": min(high, e.upper),
            "margin": e.margin,
        }
        for e in effects
    ]
    scale: Row = {"domain": [low, high], "nice": False}
    axis: Row = {
        "title": None if narrow else "change against control",
        "labelExpr": SIGNED,
        "tickCount": 3 if narrow else 6,
        "grid": True,
    }
    x = quantity("estimate", scale=scale, axis=axis)
    y: Row = {
        "field": "metric",
        "type": "nominal",
        "sort": list(names.values()),
        "scale": {"paddingInner": 0.42, "paddingOuter": 0.25},
        "axis": {
            "title": None,
            "grid": False,
            "labelFontSize": 13,
            "labelColor": LIGHT["ink"],
            "labelLimit": 130 if narrow else 230,
        },
    }
    offset: Row = {"field": "letter", "type": "nominal", "sort": letters}
    cuts = [
        {**row, "at": row[side]}
        for row, effect in zip(data, effects, strict=True)
        for side, cut in (("lower", effect.lower < low), ("upper", effect.upper > high))
        if cut
    ]
    limits = [d for d in data if d["margin"] is not None]
    per_metric = 22 * len(letters) + 26
    return {
        "height": max(150, per_metric * len(names) + 50),
        "data": rows(data),
        "layer": [
            _zero("x", scale),
            {
                "data": rows(limits),
                "mark": {"type": "tick", "thickness": 2, "size": 12 * len(letters) + 10}
                | {"color": LIGHT["ink"]},
                "encoding": {"x": quantity("margin"), "y": y},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2.5, "strokeCap": "round"},
                "encoding": {
                    "x": {**x, "field": "lower"},
                    "x2": {"field": "upper"},
                    "y": y,
                    "yOffset": offset,
                    "color": hue,
                },
            },
            {
                "data": rows(cuts),
                "mark": {"type": "point", "shape": "triangle-right", "size": 60},
                "encoding": {
                    "x": {**x, "field": "at"},
                    "y": y,
                    "yOffset": offset,
                    "color": hue,
                },
            },
            {
                "mark": _marker(85),
                "encoding": {
                    "x": x,
                    "y": y,
                    "yOffset": offset,
                    "fill": hue,
                    "shape": form,
                },
            },
        ],
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
    low, high = reach(
        [b for p in settled for b in (p.estimate, p.lower, p.upper) if b is not None],
        most=0.8,
    )
    letters = sorted({p.letter for p in points})
    hue, form = letter_scales(letters)
    data = [_time_row(p, low, high) for p in points]
    looks = [row for row in data if row["look"]]
    ends = [row for row in data if row["day"] == last]
    scale: Row = {"domain": [low, high], "nice": False}
    axis: Row = {"title": None, "labelExpr": SIGNED, "tickCount": 6}
    x = _day_axis(last, room=0.3 if narrow else max(1.5, last * 0.28))
    y = quantity("estimate", scale=scale, axis=axis)
    layers: list[Row] = [
        {
            "mark": {"type": "area", "opacity": 0.13},
            "encoding": {
                "x": x,
                "y": quantity("lower", scale=scale, axis=axis),
                "y2": {"field": "upper"},
                "color": hue,
            },
        },
        _zero("y", scale),
        {
            "mark": {"type": "line", "strokeWidth": 2.5},
            "encoding": {"x": x, "y": y, "color": hue},
        },
        {
            "data": rows(looks),
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {
                "x": x,
                "y": quantity("lower", scale=scale),
                "y2": {"field": "upper"},
                "color": hue,
            },
        },
        {
            "data": rows(looks or ends),
            "mark": {**_marker(110), "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "fill": hue, "shape": form},
        },
    ]
    if not narrow:
        layers.append(
            {
                "data": rows(_apart(ends, (high - low) * 0.06)),
                "mark": {"type": "text", "align": "left", "dx": 12, "fontWeight": 600}
                | {"fontSize": 12.5, "limit": 170},
                "encoding": {
                    "x": x,
                    "y": y,
                    "text": {"field": "name"},
                    "color": hue,
                },
            }
        )
    return {"height": 280 if narrow else 350, "data": rows(data), "layer": layers}


def _time_row(point: TimePoint, low: float, high: float) -> Row:
    def held(bound: float | None) -> float:
        bound = point.estimate if bound is None else bound
        return max(low, min(high, bound))

    return {
        "day": point.day,
        "letter": point.letter,
        "name": f"{point.letter} {_shorten(point.label, 22)}",
        "estimate": held(point.estimate),
        "lower": held(point.lower),
        "upper": held(point.upper),
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
    letters = sorted({p.letter for p in points})
    hue, form = letter_scales(letters)
    shares = max(p.estimate for p in points) <= 1
    data: list[Row] = [
        {"day": p.day, "letter": p.letter, "estimate": p.estimate} for p in points
    ]
    axis: Row = {"title": None, "tickCount": 5}
    if shares:
        axis["labelExpr"] = PERCENT
    x = _day_axis(last, room=0.2)
    y = quantity("estimate", scale={"zero": True, "nice": True}, axis=axis)
    return {
        "height": 280 if narrow else 350,
        "data": rows(data),
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {"x": x, "y": y, "color": hue},
            },
            {
                "mark": {**_marker(38), "strokeWidth": 1},
                "encoding": {"x": x, "y": y, "fill": hue, "shape": form},
            },
        ],
    }


def offline_online(points: Sequence[OfflinePoint], *, narrow: bool) -> Spec:
    """Offline score against online change; intervals on both sides."""
    low, high = reach([b for p in points for b in (p.lower, p.upper)], pad=0.12)
    left = min(p.score_lower for p in points)
    right = max(p.score_upper for p in points)
    room = (right - left) or 0.01
    hue, form = letter_scales(sorted({p.letter for p in points}))
    data: list[Row] = [
        {
            "letter": p.letter,
            "name": f"{p.letter} {_shorten(p.label, 12 if narrow else 18)}",
            "score": p.score,
            "score_lower": p.score_lower,
            "score_upper": p.score_upper,
            "estimate": p.estimate,
            "lower": max(low, p.lower),
            "upper": min(high, p.upper),
            "align": p.score > (left + right) / 2,
        }
        for p in points
    ]
    x_scale: Row = {"domain": [left - 0.15 * room, right + 0.15 * room], "nice": False}
    x = quantity(
        "score",
        scale=x_scale,
        axis={"title": "offline NDCG@10", "tickCount": 5, "format": ".3~f"},
    )
    scale: Row = {"domain": [low, high], "nice": False}
    y = quantity(
        "estimate",
        scale=scale,
        axis={"title": None, "labelExpr": SIGNED, "tickCount": 5},
    )
    rule: Row = {"type": "rule", "strokeWidth": 2}
    layers: list[Row] = [
        _zero("y", scale),
        {
            "mark": rule,
            "encoding": {
                "x": {**x, "field": "score_lower"},
                "x2": {"field": "score_upper"},
                "y": y,
                "color": hue,
            },
        },
        {
            "mark": rule,
            "encoding": {
                "x": x,
                "y": {**y, "field": "lower"},
                "y2": {"field": "upper"},
                "color": hue,
            },
        },
        {
            "mark": _marker(120),
            "encoding": {"x": x, "y": y, "fill": hue, "shape": form},
        },
    ]
    for right_side in (False, True):
        layers.append(
            {
                "transform": [{"filter": f"datum.align === {str(right_side).lower()}"}],
                "mark": {
                    "type": "text",
                    "align": "right" if right_side else "left",
                    "dx": -8 if right_side else 8,
                    "dy": -12,
                    "fontWeight": 600,
                },
                "encoding": {"x": x, "y": y, "text": {"field": "name"}, "color": hue},
            }
        )
    return {"height": 290, "data": rows(data), "layer": layers}
