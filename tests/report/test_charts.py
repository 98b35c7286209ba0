"""Every chart is drawn in both widths, with its words and colours, whatever the numbers are."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from scanner.report.charts import OUTCOMES, WIDE, Drawn, Series, bars, lines, weeks
from scanner.report.html_page import STYLE, asset


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def check(drawn: Drawn, *expected: str) -> None:
    for svg in (drawn.wide, drawn.narrow):
        assert set(expected) <= set(words(svg))
        left, _, width, _ = (float(number) for number in (ElementTree.fromstring(svg).get("viewBox") or "").split())
        assert left == 0 and width <= WIDE + 2
    assert len(drawn.wide) < 30_000


def counts(label: str, *numbers: int) -> dict[str, Any]:
    return {"label": label, **dict(zip(("fail", "warn", "ok"), numbers, strict=True))}


def test_bars_have_a_number_and_a_label_each() -> None:
    drawn = bars([counts("TLSv1.3", 5, 7, 1200), counts("SSLv3", 1, 0, 0), counts("none", 0, 0, 0)], OUTCOMES)
    check(drawn, "TLSv1.3", "SSLv3", "none", "1,212", "1", "0")
    assert [part.name for part in drawn.legend] == ["failing", "with a warning", "in order"]
    assert {"var(--c-fail)", "var(--c-warn)", "var(--c-ok)"} <= set(drawn.wide.split('"'))


def test_one_series_needs_no_legend() -> None:
    drawn = bars([{"label": "dns", "primary": 3}], [Series("primary", "fail by it", "c-fail")])
    check(drawn, "dns", "3")
    assert drawn.legend == ()


@pytest.mark.parametrize("most", [1, 3, 1_000_000])
def test_weeks_are_coloured_by_urgency(most: int) -> None:
    kinds = [Series("urgent", "soon", "c-fail"), Series("later", "later", "c-later")]
    values = [{"week": f"2026-11-{day:02}", "services": most, "kind": "urgent"} for day in (2, 9, 16, 23, 30)]
    check(weeks(values, kinds), "0")
    assert weeks(values, kinds).wide.count('fill="var(--c-fail)"') == 5


def test_a_line_for_each_outcome() -> None:
    values = [{"run": f"2026-11-{day:02}T02:00:00.000Z", "fail": day, "warn": 1} for day in range(1, 31)]
    check(lines(values, OUTCOMES[:2], dated=True), "1 Nov")
    check(lines(values[:1], OUTCOMES[:2], dated=True), "1 Nov")
    named = [{"run": name, "fail": 1, "warn": 0} for name in ("z.ndjson", "a.ndjson")]
    svg = lines(named, OUTCOMES[:2], dated=False).wide
    assert words(svg).index("z.ndjson") < words(svg).index("a.ndjson")


def test_the_stylesheet_knows_every_colour() -> None:
    style = asset(STYLE)
    for part in OUTCOMES:
        assert f"--{part.colour}:" in style and f".legend .{part.colour} " in style
