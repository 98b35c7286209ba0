"""The charts as Vega-Lite specifications. Each is drawn twice: for a wide page, and for a telephone.

Text from outside comes here through ``plain`` and is data only, never a field's name or an expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from scanner.report.svg import draw

# Width of the plot in pixels of CSS, without the labels next to it.
WIDE: Final = 500
NARROW: Final = 318
# Height of one bar with the space around it.
BAR: Final = 26
HEIGHT: Final = 190
FONT_SIZE: Final = 12
# Pixels that the name of a run takes on the axis.
TICK: Final = 70

Values = Sequence[Mapping[str, Any]]


class Series(Struct, frozen=True):
    """A part of a bar, or a line: the field that it is in, its name in the legend, its colour in the stylesheet."""

    field: str
    name: str
    colour: str


OUTCOMES: Final = (
    Series("fail", "failing", "c-fail"),
    Series("warn", "with a warning", "c-warn"),
    Series("ok", "in order", "c-ok"),
)


class Drawn(Struct, frozen=True):
    """A chart for both widths, ready for the page; ``legend`` is empty if there is only one series."""

    wide: str
    narrow: str
    legend: tuple[Series, ...]


def _both(make: Callable[[int], dict[str, Any]], series: Sequence[Series]) -> Drawn:
    return Drawn(draw(make(WIDE)), draw(make(NARROW)), tuple(series) if len(series) > 1 else ())


def bars(values: Values, series: Sequence[Series], *, labels: float = 0.36) -> Drawn:
    """Draw horizontal bars, one for each of ``values`` (``label`` and a number for each series); ``labels`` is their words' share."""
    return _both(lambda width: _bars(values, series, width, labels), series)


def weeks(values: Values, series: Sequence[Series]) -> Drawn:
    """Draw upright bars by ``week`` (a date), of which each has ``services`` and the ``kind`` that is a series' field."""
    return _both(lambda width: _weeks(values, series, width), series)


def lines(values: Values, series: Sequence[Series], *, dated: bool) -> Drawn:
    """Draw a line for each series over ``run`` (a moment where ``dated``, else a name)."""
    return _both(lambda width: _lines(values, series, width, dated=dated), series)


def _bars(values: Values, series: Sequence[Series], width: int, labels: float) -> dict[str, Any]:
    order = [one["label"] for one in values]
    parts = [
        {"label": one["label"], "part": part.name, "n": one[part.field], "order": place}
        for one in values
        for place, part in enumerate(series)
        if one[part.field]
    ]
    room = int(width * labels)
    totals = [{"label": one["label"], "n": sum(one[part.field] for part in series)} for one in values]
    y = {
        "field": "label",
        "type": "nominal",
        "sort": order,
        "axis": {"labelLimit": room, "ticks": False, "domain": False, "title": None, "labelPadding": 8},
    }
    most = max((one["n"] for one in totals), default=1)
    # room for the number behind the longest bar
    scale = {"domain": [0, most * 1.2]}
    x = {"field": "n", "type": "quantitative", "axis": None, "stack": "zero", "scale": scale}
    return _specification(
        width,
        {
            "height": {"step": BAR},
            "layer": [
                {
                    "data": {"values": parts},
                    "mark": {"type": "bar", "height": {"band": 0.62}},
                    "encoding": {"y": y, "x": x, "color": _colour(series), "order": {"field": "order"}},
                },
                {
                    "data": {"values": totals},
                    "mark": {"type": "text", "align": "left", "dx": 6, "color": "var(--text)", "fontSize": FONT_SIZE},
                    "encoding": {"y": y, "x": {**x, "stack": None}, "text": {"field": "n", "format": ",d"}},
                },
            ],
        },
    )


def _colour(series: Sequence[Series]) -> dict[str, Any]:
    return {
        "field": "part",
        "type": "nominal",
        "scale": {
            "domain": [part.name for part in series],
            "range": [f"var(--{part.colour})" for part in series],
        },
        "legend": None,  # in the page's own words above the chart
    }


def _weeks(values: Values, series: Sequence[Series], width: int) -> dict[str, Any]:
    names = {part.field: part.name for part in series}
    data = [
        {"week": f"{one['week']}T00:00:00Z", "services": one["services"], "part": names[one["kind"]]} for one in values
    ]
    return _specification(
        width,
        {
            "height": HEIGHT,
            "data": {"values": data},
            "mark": {"type": "bar", "width": max(int((width - 60) / (len(values) + 1)) - 3, 3)},
            "encoding": {
                "x": {
                    "field": "week",
                    "type": "temporal",
                    "scale": {"type": "utc"},
                    "axis": {
                        "title": None,
                        "format": "%b",
                        "tickCount": {"interval": "month", "step": 1},
                        "grid": False,
                    },
                },
                "y": _count("services"),
                "color": _colour(series),
            },
        },
    )


def _lines(values: Values, series: Sequence[Series], width: int, *, dated: bool) -> dict[str, Any]:
    data = [
        {"run": one["run"], "part": part.name, "n": one[part.field], "place": place}
        for place, one in enumerate(values)
        for part in series
    ]
    x: dict[str, Any] = {"field": "run", "type": "nominal", "sort": {"field": "place"}, "axis": {"title": None}}
    if dated:
        x = {
            "field": "run",
            "type": "temporal",
            "scale": {"type": "utc"},
            "axis": {
                "title": None,
                "format": "%-d %b",
                "values": [one["run"] for one in values[:: -(-len(values) * TICK // width)]],
                "grid": False,
                "labelFlush": False,
            },
        }
    return _specification(
        width,
        {
            "height": HEIGHT,
            "data": {"values": data},
            "mark": {"type": "line", "strokeWidth": 2.5, "point": {"size": 45, "filled": True}},
            "encoding": {"x": x, "y": _count("n"), "color": _colour(series)},
        },
    )


def _count(field: str) -> dict[str, Any]:
    axis = {"title": None, "format": ",d", "tickCount": 4, "tickMinStep": 1, "domain": False, "ticks": False}
    return {"field": field, "type": "quantitative", "axis": axis}


def _specification(width: int, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": None,
        "padding": 2,
        **body,
        "config": {
            "font": "sans-serif",
            "view": {"stroke": None},
            "axis": {
                "labelColor": "var(--text)",
                "labelFontSize": FONT_SIZE,
                "domainColor": "var(--line)",
                "tickColor": "var(--line)",
                "gridColor": "var(--line)",
            },
        },
    }
