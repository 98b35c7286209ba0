"""Single rules. Their places in a path are tested with the judge."""

from __future__ import annotations

from scanner.trust import certificate_rules as rules
from scanner.trust.verdicts import Problem
from scanner.x509.certificate import Certificate
from scanner.x509.name_constraints import Violation
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW

ROOT = pki.root()


def no_violation(authority: Certificate, lower: Certificate) -> Violation | None:
    return None


def test_worst_first_keeps_unknown_codes_last() -> None:
    problems = [Problem(code, None) for code in ("weak-key", "new-rule", "certificate-expired", "bad-signature")]
    assert [problem.code for problem in rules.worst_first(problems)] == [
        "certificate-expired",
        "bad-signature",
        "weak-key",
        "new-rule",
    ]


def test_evidence_of_dates_has_the_days() -> None:
    leaf = pki.certificate("a.example", issuer=ROOT, not_after=NOW - 3 * DAY).parsed
    (problem,) = rules.leaf_problems(leaf, NOW)
    assert problem.evidence == {"subject": "CN=a.example", "not_after": "2026-11-20T12:00:00Z", "days": 3.0}
    early = pki.certificate("a.example", issuer=ROOT, not_before=NOW + DAY / 2).parsed
    (problem,) = rules.leaf_problems(early, NOW)
    assert (problem.code, problem.evidence["days"]) == ("certificate-not-yet-valid", 0.5)


def test_self_issued_authorities_count_for_the_path_length_of_some_clients() -> None:
    top = pki.root("Top", path_length=0)
    rolled = pki.authority("Top", top, private=pki.key("rolled"))
    (problem,) = rules.issuer_problems((rolled.parsed, top.parsed), closed=True, violation=no_violation)
    assert (problem.code, problem.evidence["self_issued"]) == ("path-length-exceeded", 1)
    assert problem.evidence["refused_by"] == ["go", "firefox", "gnutls"]
    other = pki.authority("Other", top)
    (problem,) = rules.issuer_problems((other.parsed, top.parsed), closed=True, violation=no_violation)
    assert problem.evidence == {"subject": "CN=Top", "path_length": 0, "below": 1}


def test_key_usage_is_shown_by_the_names_of_rfc_5280() -> None:
    assert rules.usages(ROOT.parsed) == ["keyCertSign", "cRLSign"]


def test_certificates_issued_before_any_limit_may_live_long() -> None:
    old = pki.certificate("a.example", issuer=ROOT, not_before=0.0, not_after=NOW).parsed
    assert rules.lifetime_problem(old) is None


def _refused_by(*extra: bytes) -> list[str] | None:
    leaf = pki.certificate("leaf.example", issuer=pki.root(), extra=extra)
    found = {problem.code: problem.evidence for problem in rules.leaf_problems(leaf.parsed, NOW)}
    evidence = found.get("unknown-critical-extension")
    return None if evidence is None else list(evidence["refused_by"])


def test_critical_extensions_of_which_some_clients_are_ignorant_name_these_clients() -> None:
    points = pki.sequence(pki.sequence(pki.tlv(0xA0, pki.tlv(0xA0, pki.tlv(0x86, b"http://ca.example/x.crl")))))
    mappings = pki.sequence(pki.sequence(pki.oid("1.2.3.4"), pki.oid("1.2.3.5")))
    assert _refused_by(pki.extension("2.5.29.31", points, critical=True)) == ["chrome", "firefox", "java"]
    assert _refused_by(pki.extension("2.5.29.31", points)) is None
    assert _refused_by(pki.extension("2.5.29.33", mappings, critical=True)) == ["firefox", "gnutls"]
    cert_type = pki.extension("2.16.840.1.113730.1.1", pki.bit_string(b"\x40", 6), critical=True)
    assert _refused_by(cert_type) == ["chrome", "gnutls", "go", "java"]


def test_constraints_of_unusual_name_types_name_the_clients_that_refuse_them() -> None:
    directory = pki.tlv(0xA4, pki.name(O="Somebody"))
    assert _refused_by(pki.name_constraints(permitted=[directory])) == ["go"]
    assert _refused_by(pki.name_constraints(excluded=[directory])) == ["go", "firefox"]
    assert _refused_by(pki.name_constraints(permitted=[directory], critical=False)) is None
    assert _refused_by(pki.name_constraints(permitted=["example", "email:example", "URI:example"])) is None


def test_rsa_keys_are_weak_below_what_openssl_takes_for_112_bits() -> None:
    def weak(bits: int) -> bool:
        number = pki.integer((1 << bits) - 1)
        spki = pki.sequence(
            pki.sequence(pki.oid("1.2.840.113549.1.1.1"), pki.tlv(0x05)),
            pki.bit_string(pki.sequence(number, pki.integer(65537))),
        )
        leaf = pki.certificate("leaf.example", issuer=pki.root(), public_key=spki)
        return any(problem.code == "weak-key" for problem in rules.leaf_problems(leaf.parsed, NOW))

    assert [bits for bits in (1024, 1536, 1961, 1962, 2047, 2048) if weak(bits)] == [1024, 1536, 1961]
