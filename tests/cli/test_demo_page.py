from __future__ import annotations

from typing import cast

from scanner.cli.demo_page import leading_diagnosis
from scanner.model.findings import Finding


def test_the_first_error_leads_else_the_first_diagnosis() -> None:
    def finding(*severities: str) -> Finding:
        return cast("Finding", {"diagnoses": [{"severity": severity} for severity in severities]})

    assert leading_diagnosis(finding("warning", "note", "error"))["severity"] == "error"
    assert leading_diagnosis(finding("note", "warning"))["severity"] == "note"
