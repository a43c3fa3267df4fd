"""The picture of the grid: every cell as a point against the band it must lie in."""

from collections.abc import Sequence

import vl_convert

from benchmarks.validation.bars import Bar, band
from benchmarks.validation.grid import ALPHA, Cell

_MOST = 0.10
_SAID = ("inside", "flagged by the engine", "option", "missed")
_COLOURS = ("#066a5b", "#b07d00", "#8a94a5", "#b3261e")


def picture(cells: Sequence[Cell]) -> str:
    """Return an SVG: a panel a kind of data, a row a method."""
    laws = list(dict.fromkeys(cell.data.law.name for cell in cells))
    methods = list(dict.fromkeys(cell.method.name for cell in cells))
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": "Intervals that leave the truth out (promised: 5 %)",
            "subtitle": (
                "Each point is one split and one true lift. Grey: 99.99 % band of "
                "10,000 simulations. Beyond 10 % shown at the edge."
            ),
            "anchor": "start",
        },
        "data": {"values": [_point(cell) for cell in cells]},
        "facet": {
            "field": "law",
            "type": "nominal",
            "sort": laws,
            "title": None,
            "header": {"labelFontSize": 11},
        },
        "columns": 3,
        "resolve": {"scale": {"y": "independent"}, "axis": {"x": "independent"}},
        "spec": {
            "width": 190,
            "height": {"step": 20},
            "layer": [_band(), _points(methods)],
        },
        "config": {
            "font": "sans-serif",
            "background": "#ffffff",
            "legend": {"orient": "bottom"},
            "view": {"stroke": "#d0d6e0"},
        },
    }
    return str(vl_convert.vegalite_to_svg(spec))


_X: dict[str, object] = {
    "type": "quantitative",
    "title": None,
    "scale": {"domain": [0, _MOST], "clamp": True},
    "axis": {"format": ".0%", "tickCount": 5, "grid": False},
}


def _band() -> dict[str, object]:
    low, high = band(10_000, ALPHA)
    return {
        "data": {"values": [{"low": low, "high": high}]},
        "mark": {"type": "rect", "color": "#e6ebf2"},
        "encoding": {"x": _X | {"field": "low"}, "x2": {"field": "high"}},
    }


def _points(methods: Sequence[str]) -> dict[str, object]:
    return {
        "mark": {"type": "point", "filled": True, "opacity": 0.8, "size": 34},
        "encoding": {
            "x": _X | {"field": "wrong"},
            "y": {
                "field": "method",
                "type": "nominal",
                "sort": list(methods),
                "title": None,
                "axis": {"labelLimit": 260, "ticks": False},
            },
            "color": {
                "field": "said",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(_SAID), "range": list(_COLOURS)},
            },
            "shape": {
                "field": "split",
                "type": "nominal",
                "title": "split",
                "scale": {"range": ["circle", "triangle-up"]},
            },
        },
    }


def _point(cell: Cell) -> dict[str, object]:
    said = "inside"
    if cell.misses:
        said = "missed"
    elif cell.method.bar is Bar.LABELLED:
        said = "option"
    elif cell.tally.flagged:
        said = "flagged by the engine"
    return {
        "method": cell.method.name,
        "law": cell.data.law.name,
        "split": cell.data.split,
        "wrong": round(cell.tally.missed, 5),
        "said": said,
    }
