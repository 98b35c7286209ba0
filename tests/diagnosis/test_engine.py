"""Merging, precedence, outcome, stage, and what happens when tlsweep itself fails."""

from __future__ import annotations

from scanner.diagnosis.case import Context, flight_of
from scanner.diagnosis.catalogue import rank
from scanner.diagnosis.engine import diagnose
from scanner.model.evidence import DnsStatus, Evidence, Failure, Stage
from tests.helpers import pki
from tests.helpers.evidence import (
    ADDRESS,
    AT,
    alerted,
    answered,
    at,
    codes,
    diagnosed,
    dns,
    evidence,
    failed,
    issuing,
    leaf,
    proof,
    target,
)

SECOND = "192.0.2.2"
EXPIRED = pki.certificate("www.example.org", issuer=issuing(), not_after=AT - pki.DAY)


def test_precedence_and_first_error() -> None:
    """Several things are true: all are listed in the order of a connection, and the first error names the cause."""
    wrong = pki.certificate("other.example.net", issuer=issuing(), not_after=AT - pki.DAY)
    seen = evidence(at(answered((wrong, issuing()), signature_valid=False), "10.0.0.1"))
    diagnosis = diagnosed(seen)
    assert codes(diagnosis) == ["private-address?", "key-mismatch", "certificate-expired", "name-not-in-san"]
    assert [rank(record["code"]) for record in diagnosis.diagnoses] == sorted(
        rank(record["code"]) for record in diagnosis.diagnoses
    )
    assert (diagnosis.outcome, diagnosis.cause, diagnosis.stage) == (
        "fail", "server-misconfiguration", Stage.CERTIFICATE,
    )  # fmt: skip


def test_the_same_on_two_addresses_is_said_once() -> None:
    seen = evidence(at(answered((EXPIRED, issuing()))), at(answered((EXPIRED, issuing())), SECOND))
    diagnosis = diagnosed(seen)
    assert codes(diagnosis) == ["certificate-expired"]
    assert diagnosis.diagnoses[0]["endpoints"] == [ADDRESS, SECOND]
    assert "also" not in proof(diagnosis, "certificate-expired")


def test_the_same_code_with_other_facts() -> None:
    """Two expired certificates on two addresses: one diagnosis, and the second certificate in its evidence."""
    older = pki.certificate("www.example.org", issuer=issuing(), not_after=AT - 9 * pki.DAY)
    seen = evidence(at(answered((EXPIRED, issuing()))), at(answered((older, issuing())), SECOND))
    diagnosis = diagnosed(seen)
    assert codes(diagnosis) == ["endpoints-disagree?", "certificate-expired"]
    also = proof(diagnosis, "certificate-expired")["also"]
    assert [(entry["address"], entry["certificate"]) for entry in also] == [(SECOND, older.sha256)]


def test_an_error_on_any_address_fails() -> None:
    """Some clients meet the expired one."""
    diagnosis = diagnosed(evidence(at(answered()), at(answered((EXPIRED, issuing())), SECOND)))
    assert codes(diagnosis) == ["endpoints-disagree?", "certificate-expired"]
    assert diagnosis.outcome == "fail"
    assert diagnosis.diagnoses[1]["endpoints"] == [SECOND]
    views = proof(diagnosis, "endpoints-disagree")["views"]
    assert [view["codes"] for view in views] == [[], ["certificate-expired"]]
    assert "in order" in diagnosis.diagnoses[0]["summary"]


def test_two_healthy_certificates_disagree() -> None:
    other = pki.certificate("www.example.org", issuer=issuing(), serial=7)
    diagnosis = diagnosed(evidence(at(answered()), at(answered((other, issuing())), SECOND)))
    assert (codes(diagnosis), diagnosis.outcome) == (["endpoints-disagree?"], "warn")


def test_our_own_fault_is_no_cause_of_theirs() -> None:
    """A bug of tlsweep's: never "ok", never a code that would accuse the target, and said plainly."""
    for seen in (
        evidence(at(failed(Failure.BUG, detail="KeyError: 'x'", stage=Stage.HELLO))),
        Evidence(target(), AT, None, (), bug="KeyError: 'x'"),
    ):
        diagnosis = diagnose(seen, [None] * len(seen.endpoints), Context(at=AT))
        assert (diagnosis.outcome, diagnosis.cause, diagnosis.diagnoses) == ("warn", None, [])
        assert (
            diagnosis.error is not None and "tlsweep itself failed" in diagnosis.error and "KeyError" in diagnosis.error
        )


def test_our_own_fault_beside_theirs() -> None:
    """One address was judged, the other not: what was seen stands, and so does the fault."""
    seen = evidence(at(answered((EXPIRED, issuing()))), at(failed(Failure.BUG, detail="oops"), SECOND))
    diagnosis = diagnosed(seen)
    assert (codes(diagnosis), diagnosis.outcome) == (["certificate-expired"], "fail")
    assert diagnosis.error is not None
    healthy = diagnosed(evidence(at(answered()), at(failed(Failure.BUG, detail="oops"), SECOND)))
    assert (healthy.outcome, healthy.diagnoses) == ("warn", [])


def test_target_without_contacted_address_is_a_warning() -> None:
    """Every address was excluded: not judged is not in order."""
    diagnosis = diagnosed(evidence(answer=dns(addresses=[ADDRESS])))
    assert (diagnosis.outcome, diagnosis.error) == (
        "warn",
        "no address of this target was contacted, so it is not judged",
    )


def test_dns_errors_keep_their_stage() -> None:
    diagnosis = diagnosed(evidence(answer=dns(DnsStatus.NXDOMAIN)))
    assert (diagnosis.stage, diagnosis.cause) == (Stage.DNS, "dns")
    assert "endpoints" not in diagnosis.diagnoses[0]


def test_flight_of_an_address_is_the_first_with_certificates() -> None:
    """The first probe's; else that of a follow-up with the same name, since another name may get another certificate."""
    reset = failed(Failure.RESET)
    assert flight_of(at(answered())) is not None
    assert flight_of(at(reset)) is None
    elsewhere = at(reset, other_sni=answered(sni="x.invalid"))
    assert flight_of(elsewhere) is None
    old = at(reset, tls10=answered((leaf(), issuing()), version=0x0301))
    found = flight_of(old)
    assert found is not None and found.negotiation.version == 0x0301


def test_what_an_old_server_sends_is_judged_too() -> None:
    """TLS 1.0 only, and expired: both are told."""
    seen = evidence(at(alerted(70), tls12=alerted(70), tls10=answered((EXPIRED, issuing()), version=0x0301)))
    assert codes(diagnosed(seen)) == ["legacy-version-only", "certificate-expired"]


def test_equal_evidence_gives_an_equal_diagnosis() -> None:
    seen = evidence(at(answered((EXPIRED, issuing()))), at(failed(Failure.RESET), SECOND))
    assert diagnosed(seen) == diagnosed(seen)
