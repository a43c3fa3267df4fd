"""Vega-Lite specifications to SVG whose colours are the pages' custom properties.

The server renders once; each palette colour becomes ``var(--token, light)``, so that
one cached drawing follows light, dark and print.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import vl_convert
from django.utils.safestring import SafeString, mark_safe

Spec = Mapping[str, object]

LIGHT = {
    "ink": "#121b2c",
    "ink-2": "#465266",
    "ink-3": "#5c687c",
    "axis": "#5c687b",
    "grid": "#e4e8ee",
    "band": "#d9e0ea",
    "card": "#fffffe",
    "edge": "#7f8b9c",
    "good": "#066a5b",
    "bad": "#a83a0c",
    "warn": "#7d5200",
    "accent": "#0b55c4",
    "variant-a": "#66748a",
    "variant-b": "#0f62d6",
    "variant-c": "#a66100",
    "variant-d": "#46207a",
    "variant-e": "#0b7f73",
    "variant-f": "#b8326f",
}
_TOKEN = {colour: f"var(--{token},{colour})" for token, colour in LIGHT.items()}
_FONT = "Inter, system-ui, sans-serif"
NARROW = 324
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")


@dataclass(frozen=True)
class Chart:
    """A drawing in two cuts and the sentence that states its finding."""

    label: str
    wide: SafeString
    narrow: SafeString


def slot(letter: str) -> str:
    """The palette's slot of a variant: control A is grey, later ones share B to F."""
    index = ord(letter[0].upper()) - ord("A")
    return "abcdef"[index if index <= 0 else (index - 1) % 5 + 1]


def colour(letter: str) -> str:
    """The palette colour of a variant."""
    return LIGHT[f"variant-{slot(letter)}"]


def shape(letter: str) -> str:
    """The marker shape of a variant; it travels with the colour."""
    return SHAPES["abcdef".index(slot(letter))]


def theme() -> Spec:
    """The Vega-Lite ``config`` every chart shares."""
    return {
        "background": "transparent",
        "font": _FONT,
        "padding": 4,
        "view": {"stroke": None},
        "axis": {
            "labelFont": _FONT,
            "titleFont": _FONT,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": 500,
            "labelColor": LIGHT["axis"],
            "titleColor": LIGHT["axis"],
            "gridColor": LIGHT["grid"],
            "domain": False,
            "ticks": False,
            "labelPadding": 8,
            "titlePadding": 10,
            "labelLimit": 190,
        },
        "axisX": {
            "grid": False,
            "domain": True,
            "domainColor": LIGHT["edge"],
            "ticks": True,
            "tickColor": LIGHT["edge"],
            "tickSize": 4,
            "labelPadding": 4,
        },
        "axisY": {"grid": True},
        "text": {"font": _FONT, "fontSize": 12, "color": LIGHT["ink-2"]},
        "rule": {"color": LIGHT["edge"]},
        "line": {"strokeWidth": 2.25, "strokeJoin": "round", "strokeCap": "round"},
        "point": {"filled": True, "size": 70},
        "legend": {"disable": True},
    }


def draw(label: str, spec: Callable[[bool], Spec], wide: int) -> Chart:
    """Draw a chart at its card's width and at a phone's.

    Args:
        label: A sentence that states the finding.
        spec: Builds the specification, without width; told whether it is narrow.
        wide: Width of the wide cut, in pixels.
    """
    return Chart(
        label=label,
        wide=_drawn(spec, wide, narrow=False),
        narrow=_drawn(spec, NARROW, narrow=True),
    )


def _drawn(spec: Callable[[bool], Spec], width: int, *, narrow: bool) -> SafeString:
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "autosize": {"type": "fit", "contains": "padding"},
        "width": width,
        **spec(narrow),
        "config": theme(),
    }
    return render(json.dumps(whole, separators=(",", ":"), allow_nan=False))


@lru_cache(maxsize=256)
def render(specification: str) -> SafeString:
    """The painted SVG of a specification (JSON); cached, since reports never change."""
    svg = paint(vl_convert.vegalite_to_svg(specification))
    return mark_safe(svg)  # noqa: S308 - Vega escapes every text it draws


def paint(svg: str) -> str:
    """Swap palette colours for custom properties and drop what the wrapper says."""
    svg = re.sub(r'\s(aria-[a-z]+|role)="[^"]*"', "", svg)
    svg = re.sub(
        r'="(#[0-9a-fA-F]{6})"',
        lambda m: f'="{_TOKEN.get(m.group(1).lower(), m.group(1))}"',
        svg,
    )
    svg = re.sub(
        r'="[^"]*"', lambda m: re.sub(r"(\d+\.\d{2})\d+", r"\1", m.group(0)), svg
    )
    svg = re.sub(r' font-family="[^"]*"', "", svg)
    svg = re.sub(
        r'<g (?:class="[^"]*"\s?)?/>|<path class="(?:background|foreground)"[^>]*/>',
        "",
        svg,
    )
    return re.sub(r' class="mark-[^"]*"', "", svg)
