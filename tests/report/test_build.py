"""A report from its files to its page."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from scanner.output import NotFindings, OutputExists
from scanner.report import collect
from scanner.report import html_page as page
from scanner.report import svg as drawing
from scanner.report.build import build, csv_name
from tests.helpers.hostile import hostile_finding, misshapen
from tests.report.conftest import finding, write
from tests.report.reading import check_page


def test_the_report_of_one_run(nights: list[str], tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    made = build(nights[2:], str(output))
    found = check_page(output.read_text("utf-8"))
    failing = found.one("h1").text
    assert failing.endswith(" of 500 targets fail") and found.one("title").text.startswith(failing)
    rows = [row for row in found.elements if row.name == "th" and row.attributes["scope"] == "row"]
    assert made.offered == made.shown < len(rows) and made.csv is None and made.size == output.stat().st_size
    assert len(found.all("svg")) > 8 and made.no_charts is None
    assert not found.all("section", id="changes")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".ndjson") == ["report.html"]


def test_a_report_compares_with_earlier_runs(nights: list[str], tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    build(nights[2:], str(output), since=nights[:2])
    found = check_page(output.read_text("utf-8"))
    changes = found.one("section", id="changes").text
    assert "Since 2026-11-03 02:00 UTC" in changes and "New failures" in changes and "2026-11-02 02:00 UTC" in changes
    assert "new" in {tag.text for tag in found.all("span", **{"class": "tag new"})}


def test_the_same_findings_give_the_same_page(nights: list[str], tmp_path: Path) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        build(nights[2:], str(tmp_path / name), since=nights[:2])
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def test_findings_beyond_the_page_go_into_the_csv_file(
    nights: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect.Picker.__init__, "__defaults__", (10,))
    output = tmp_path / "my report.html"
    made = build(nights[2:], str(output))
    assert made.shown == 10 < made.offered and made.csv == str(tmp_path / "my report-findings.csv")
    found = check_page(output.read_text("utf-8"))
    (link,) = [one for one in found.all("a") if one.attributes["href"].endswith(".csv")]
    assert link.attributes["href"] == "my%20report-findings.csv" and link.text == "my report-findings.csv"
    with open(made.csv, encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == made.offered + 1
    assert f"10 of {made.offered}" in made.summary_line() and "my report-findings.csv" in made.summary_line()


def test_a_report_of_healthy_targets(tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    build([write(tmp_path / "f.ndjson", [finding(f"h{number}.example", tags={}) for number in range(3)])], str(output))
    found = check_page(output.read_text("utf-8"))
    assert found.one("h1").text == "None of 3 targets fails"
    assert "Nothing is wrong with any of the 3 targets." in found.one("section", id="findings").text


def test_hostile_findings_are_escaped(tmp_path: Path) -> None:
    given = [*misshapen(), *(hostile_finding(number) for number in range(40))]
    path = write(tmp_path / "f.ndjson", given, b"\x00\x00\n{}\n")
    old = write(tmp_path / "old.ndjson", [hostile_finding(number) for number in range(20)])
    output = tmp_path / "report.html"
    build([path], str(output), since=[old])
    found = check_page(output.read_text("utf-8"))
    assert "2 lines could not be read and are not counted" in " ".join(found.one("footer").text.split())
    assert "alert(" in found.one("main").text


def test_without_the_drawing_library_there_are_no_charts(
    nights: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "why_unavailable", lambda: drawing.MISSING)
    output = tmp_path / "report.html"
    assert build(nights[2:], str(output), since=nights[:1]).no_charts == drawing.MISSING
    found = check_page(output.read_text("utf-8"))
    assert "pip install vl-convert-python" in found.one("footer").text
    assert {one.attributes.get("class") for one in found.all("svg")} <= {"meter"}


def test_a_page_of_large_findings_stays_within_its_bytes(tmp_path: Path) -> None:
    big = finding("a.example", "fail", "dns")
    big["diagnoses"] = [
        {
            **big["diagnoses"][0],
            "summary": "x" * 9000,
            "remedy": "<" * 9000,
            "evidence": {f"k{place}" * 40: "&" * 9000 for place in range(9)},
        }
        for _ in range(20)
    ]
    output = tmp_path / "report.html"
    path = write(
        tmp_path / "f.ndjson", [{**big, "target": {**big["target"], "host": f"h{n}.example"}} for n in range(30)]
    )
    made = build([path], str(output))
    assert made.offered == 30 and made.size < 3_000_000
    assert page.MAX_ROW_BYTES < 3_000_000 - 500_000


def test_existing_files_are_not_overwritten_without_force(nights: list[str], tmp_path: Path) -> None:
    output, beside = tmp_path / "report.html", tmp_path / "report-findings.csv"
    beside.write_text("mine")
    with pytest.raises(OutputExists, match="report-findings"):
        build(nights[:1], str(output))
    output.write_text("mine")
    with pytest.raises(OutputExists, match=r"report\.html"):
        build(nights[:1], str(output))
    assert output.read_text() == beside.read_text() == "mine"
    build(nights[:1], str(output), force=True)
    assert output.stat().st_size > 10_000


def test_no_file_is_left_where_there_are_no_findings(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").touch()
    with pytest.raises(NotFindings):
        build([str(tmp_path / "empty.ndjson")], str(tmp_path / "report.html"))
    assert [path.name for path in tmp_path.iterdir()] == ["empty.ndjson"]


@pytest.mark.parametrize(
    ("output", "beside"),
    [("a/report.html", "a/report-findings.csv"), ("x.HTM", "x-findings.csv"), ("x.y", "x.y-findings.csv")],
)
def test_the_name_of_the_csv_file(output: str, beside: str) -> None:
    assert csv_name(output) == beside
