from __future__ import annotations

from typing import cast

from scanner.cli.demo_page import leading_diagnosis
from scanner.model.findings import Finding


def test_an_error_names_a_finding_else_what_comesleading_diagnosis() -> None:
    def finding(*severities: str) -> Finding:
        return cast("Finding", {"diagnoses": [{"severity": severity} for severity in severities]})

    assert leading_diagnosis(finding("warning", "note", "error"))["severity"] == "error"
    assert leading_diagnosis(finding("note", "warning"))["severity"] == "note"
