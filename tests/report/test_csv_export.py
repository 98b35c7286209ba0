"""The file for a spreadsheet: every finding, and no formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from scanner.output.draft import Draft
from scanner.report.csv_export import HEADER, CsvExport, cell, values_of
from tests.helpers.hostile import hostile_finding, misshapen
from tests.report.conftest import finding


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))


def test_every_finding_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    with Draft(str(path)) as draft:
        beside = CsvExport(draft)
        for number in range(1200):
            beside.add(finding(f"h{number}.example", "fail", "dns"), "owner", number == 0)
        beside.place()
    header, *rows = rows_of(path)
    assert tuple(header) == HEADER and len(rows) == beside.rows == 1200
    first = dict(zip(header, rows[0], strict=True))
    assert (first["host"], first["owner"], first["new"], first["codes"]) == ("h0.example", "web", "new", "nxdomain")
    assert first["evidence"] == '{"name":"h0.example","resolver":"192.0.2.53"}'
    assert rows[1][HEADER.index("new")] == ""


def test_cells_that_look_like_formulas_are_quoted() -> None:
    for number in range(13):
        for text in map(cell, values_of(hostile_finding(number), "owner", False)):
            assert not text.startswith(("=", "+", "-", "@", "\t", "\r")) and "\x00" not in text and "\n" not in text


@pytest.mark.parametrize("number", range(len(misshapen())))
def test_findings_of_any_shape_have_all_cells(number: int) -> None:
    assert len(values_of(misshapen()[number], "owner", False)) == len(HEADER)
