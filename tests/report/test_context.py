"""All that the template is given."""

from __future__ import annotations

import pytest

from scanner.report import svg as drawing
from scanner.report.changes import changes
from scanner.report.collect import collect
from scanner.report.context import context_of


def test_the_template_gets_all_that_it_prints(nights: list[str]) -> None:
    *earlier, last = nights
    compared = changes([last], earlier)
    context = context_of(collect([last]), compared, [last, "-"], left_out=3, csv_path="/some/where/all.csv")
    assert [anchor for anchor, _ in context["sections"]] == [
        "changes",
        "causes",
        "shared",
        "expiry",
        "estate",
        "findings",
    ]
    assert all(context["charts"].values()) and context["no_charts"] is None
    assert context["sources"] == ["night2.ndjson", "standard input"] and context["beside"] == "all.csv"
    assert context["since"] == "2026-11-03 02:00 UTC" and context["when"] == "2026-11-04 02:00 UTC"
    assert context["nights"][0]["label"] == "2026-11-02 02:00 UTC"
    assert context["change_counts"][-1][0] == "unchanged"
    assert "3 " not in context["findings_words"].split(" of ")[0]


def test_without_the_drawing_library_the_charts_are_none(nights: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "why_unavailable", lambda: "none")
    context = context_of(collect(nights[:1]), None, nights[:1], left_out=0, csv_path=None)
    assert context["no_charts"] == "none" and not any(context["charts"].values())
    assert context["since"] is None and context["nights"] == [] and context["beside"] is None
