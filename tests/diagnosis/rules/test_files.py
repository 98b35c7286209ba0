"""Faults of certificate files, as findings."""

from __future__ import annotations

from msgspec.structs import replace

from scanner.diagnosis.case import FILE_OFFER
from tests.helpers.evidence import answered, codes, diagnosed, evidence, proof


def test_a_broken_file_fails_though_its_certificates_are_good() -> None:
    probe = replace(answered(offer=FILE_OFFER), detail="line 9: x; line 12: y")
    diagnosis = diagnosed(evidence(probe))
    assert (codes(diagnosis), diagnosis.outcome) == (["malformed-certificate"], "fail")
    assert proof(diagnosis, "malformed-certificate") == {
        "file_fault": "line 9: x",
        "faults": ["line 9: x", "line 12: y"],
    }
    said = diagnosis.diagnoses[0]
    assert "is broken: line 9: x. Servers" in said["summary"] and said["remedy"].startswith("Mend the file (line 9: x)")
    assert diagnosis.clients == {}


def test_only_files_are_judged_as_files() -> None:
    assert codes(diagnosed(evidence(replace(answered(), detail="line 9: x")))) == []
