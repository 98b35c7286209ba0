"""A finding is made whatever of our own fails, and keeps what does not depend on that."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.diagnosis.case import Context
from scanner.diagnosis.finding import finding_of
from scanner.model.findings import Finding
from tests.helpers import pki
from tests.helpers.evidence import AT, HOST, answered, evidence, issuing, verdicts
from tests.helpers.scanning import check_whole, codes

OTHER = "else.example"
LEAF = pki.certificate(OTHER, issuer=issuing(), not_after=AT - pki.DAY)


def made(**changes: Any) -> Finding:
    """Of an expired certificate for another name."""
    seen = evidence(answered([LEAF, issuing()]))
    found = finding_of(seen, verdicts(seen), Context(at=AT), "run", **changes)
    check_whole(found)
    return found


def broken(*_: object, **__: object) -> None:
    raise OverflowError("injected")


def test_without_a_fault_it_has_no_error() -> None:
    assert "error" not in made()
    assert codes(made()) == ["certificate-expired", "name-not-in-san"]


def test_what_failed_before_is_in_the_error() -> None:
    found = made(failed=["fleet: KeyError: x"])
    assert codes(found) == codes(made())
    assert str(found.get("error")).endswith("please report this: judging: fleet: KeyError: x")


def test_without_the_rules_the_judges_words_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.diagnosis.finding.diagnose_cases", broken)
    found = made()
    assert (found["outcome"], found["cause"]) == ("fail", "expired-or-self-signed")
    assert codes(found) == ["certificate-expired", "name-not-in-san"]
    assert found["diagnoses"][0]["endpoints"] == [found["endpoints"][0]["address"]]
    assert "diagnosis: OverflowError: injected" in found["error"]


def test_what_cannot_be_put_together_is_diagnosed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made()
    monkeypatch.setattr("scanner.diagnosis.assembly.finding_record.seen", broken)
    found = made()
    assert found["diagnoses"] == whole["diagnoses"] and found["clients"] == whole["clients"]
    assert found["endpoints"] == [] and "finding: OverflowError: injected" in found["error"]


@pytest.mark.parametrize("part", ["_add_revocation", "_add_scts"])
def test_a_part_that_cannot_be_made_is_left_out(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"scanner.diagnosis.assembly.finding_record.{part}", broken)
    seen = evidence(answered([LEAF, issuing()], ocsp_response=b"", scts=(b"x",)))
    found = finding_of(seen, verdicts(seen), Context(at=AT), "run")
    check_whole(found)
    assert found["endpoints"][0]["version"] == "TLSv1.3" and len(found["certificates"]) == 2
    assert "judging: record of" in found["error"] and "OverflowError: injected" in found["error"]
    assert codes(found)[0] == "certificate-expired"


def test_a_healthy_target_that_was_not_fully_judged_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = evidence(answered(sni=HOST))
    monkeypatch.setattr("scanner.diagnosis.engine.dns_claims", broken)
    found = finding_of(seen, verdicts(seen), Context(at=AT), "run")
    assert (found["outcome"], found["cause"], found["diagnoses"]) == ("warn", None, [])
    assert "OverflowError: injected" in found["error"]
