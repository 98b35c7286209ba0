from __future__ import annotations

from pathlib import Path
from typing import cast

from scanner.cli.run_demo import _command_line, _first
from scanner.demo.fleet import Fleet
from scanner.model.findings import Finding


def test_the_scan_is_what_a_person_would_type() -> None:
    fleet = Fleet(Path("fleet"), "127.0.0.1:5353", (), ())

    words = _command_line(fleet, Path("fleet"))

    assert words[:4] == ["fleet/inventory.csv", "-o", "fleet/findings.ndjson", "--force"]
    assert words[words.index("--resolver") + 1] == "127.0.0.1:5353"
    assert "--all-addresses" in words
    assert words[words.index("--retries") + 1] == "0"


def test_an_error_names_a_finding_else_what_comes_first() -> None:
    def finding(*severities: str) -> Finding:
        return cast("Finding", {"diagnoses": [{"severity": severity} for severity in severities]})

    assert _first(finding("warning", "note", "error"))["severity"] == "error"
    assert _first(finding("note", "warning"))["severity"] == "note"
