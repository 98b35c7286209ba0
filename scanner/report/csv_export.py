"""The CSV file next to the page: every finding that is not ok, for a spreadsheet, where the page can show only some."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, Final

import orjson

from scanner.fleet.keys import records_in
from scanner.output.draft import Draft
from scanner.report.table_rows import MAX_NAME, MAX_SENTENCE, plain

HEADER: Final = (
    "row", "id", "host", "port", "protocol", "address", "owner", "outcome", "cause", "new", "codes", "summary", "remedy",
    "confirm", "evidence",
)  # fmt: skip
# Characters of all evidence of a finding's first diagnosis: a spreadsheet's cell takes 32,767.
MAX_EVIDENCE: Final = 8000
# Rows held back before they are written.
ROWS_HELD: Final = 500
# With these a spreadsheet takes a cell for a formula, whatever the quotes (OWASP: CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class CsvExport:
    """Writes findings to a draft as they are read; ``add`` is what ``collect`` calls."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\r\n")
        self._writer.writerow(HEADER)
        self._held = 0
        self.rows = 0

    def add(self, finding: Mapping[str, Any], owner_column: str | None, fresh: bool) -> None:
        """Write one finding."""
        self._writer.writerow(map(cell, values_of(finding, owner_column, fresh)))
        self.rows += 1
        self._held += 1
        if self._held >= ROWS_HELD:
            self.flush()

    def place(self) -> None:
        """Write what is held back and give the file its name."""
        self.flush()
        self._draft.place()

    def flush(self) -> None:
        """Write what is held back."""
        self._draft.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()
        self._held = 0


def values_of(finding: Mapping[str, Any], owner_column: str | None, fresh: bool) -> list[str]:
    """Return the cells of a finding, by ``HEADER``."""
    target = finding.get("target")
    if not isinstance(target, Mapping):
        target = {}
    tags = target.get("tags")
    first: Mapping[str, Any] = {}
    codes = []
    for one in records_in(finding.get("diagnoses")):
        codes.append(plain(one.get("code"), MAX_NAME))
        if not first or (first.get("severity") != "error" and one.get("severity") == "error"):
            first = one
    evidence = first.get("evidence")
    return [
        *(plain(target.get(name), MAX_NAME) for name in ("row", "id", "host", "port", "protocol", "address")),
        plain(tags.get(owner_column), MAX_NAME) if owner_column is not None and isinstance(tags, Mapping) else "",
        plain(finding.get("outcome"), MAX_NAME),
        plain(finding.get("cause"), MAX_NAME),
        "new" if fresh else "",
        " ".join(dict.fromkeys(codes[:100])),
        plain(first.get("summary") or finding.get("error"), MAX_SENTENCE),
        plain(first.get("remedy"), MAX_SENTENCE),
        plain(first.get("confirm"), MAX_SENTENCE),
        _json(evidence) if isinstance(evidence, Mapping) and evidence else "",
    ]


def _json(evidence: Mapping[str, Any]) -> str:
    try:
        return plain(orjson.dumps(evidence).decode(), MAX_EVIDENCE)
    except TypeError:  # nested deeper than anybody writes
        return ""


def cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(_FORMULA) else text
