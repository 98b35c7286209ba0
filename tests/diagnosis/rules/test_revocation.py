from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from scanner.diagnosis.engine import Diagnosis
from scanner.model.evidence import Evidence, Probe, RevocationAnswer, Target
from tests.helpers import pki
from tests.helpers import revocation as made
from tests.helpers.evidence import HOST, answered, codes, diagnosed, evidence, issuing, leaf, proof, target
from tests.helpers.pki import DAY, NOW

OCSP_URL, CRL_URL = "http://ocsp.test/", "http://crl.test/ca.crl"


@cache
def demanding() -> pki.Issued:
    """A healthy leaf that demands a staple."""
    return pki.certificate(HOST, issuer=issuing(), extra=[made.MUST_STAPLE])


def stapling(staple: bytes | None, sent: pki.Issued | None = None, **changes: Any) -> Probe:
    return answered([sent or leaf(), issuing()], ocsp_response=staple, **changes)


def said(status: Any, source: Any = "ocsp", of: pki.Issued | None = None, **changes: Any) -> RevocationAnswer:
    url = OCSP_URL if source == "ocsp" else CRL_URL
    return RevocationAnswer((of or leaf()).sha256, source, url, status, **changes)


def asked(
    *answers: RevocationAnswer, probe: Probe | None = None, of: Target | None = None, **context: Any
) -> Diagnosis:
    plain = evidence(probe or answered(), of=of)
    return diagnosed(
        Evidence(plain.target, plain.started, plain.dns, plain.endpoints, revocation=tuple(answers)), **context
    )


# --- staples -----------------------------------------------------------------------------------------


def test_good_staple_gives_no_claim() -> None:
    assert codes(diagnosed(stapling(made.ocsp(leaf(), issuing())))) == []
    assert codes(diagnosed(stapling(made.ocsp(demanding(), issuing()), demanding()))) == []


def test_a_staple_that_says_revoked() -> None:
    diagnosis = diagnosed(stapling(made.ocsp(leaf(), issuing(), "revoked", reason=1)))
    assert codes(diagnosis) == ["revoked-ocsp-staple"] and diagnosis.cause == "revoked"
    facts = proof(diagnosis, "revoked-ocsp-staple")
    assert facts["certificate"] == leaf().sha256 and facts["leaf"] is True
    assert (facts["revoked_at"], facts["reason"]) == ("2026-11-13T12:00:00Z", "keyCompromise")
    assert facts["responder"] == "CN=Issuing CA" and "url" not in facts
    assert "2026-11-13 (keyCompromise)" in diagnosis.diagnoses[0]["summary"]


def test_no_reason_is_unspecified() -> None:
    diagnosis = diagnosed(stapling(made.ocsp(leaf(), issuing(), "revoked")))
    assert proof(diagnosis, "revoked-ocsp-staple")["reason"] == "unspecified"


@pytest.mark.parametrize(
    ("staple", "fault", "reason", "refused_by"),
    [
        (lambda: b"", "malformed", "not an OCSP response: empty", ["Firefox"]),
        (lambda: b"<html>", "malformed", "not an OCSP response: an HTML page", ["Firefox"]),
        (lambda: made.refusal(3), "try-later", "the responder says tryLater", ["Firefox"]),
        (lambda: made.refusal(6), "refused", "the responder says unauthorized", ["Firefox"]),
        (lambda: late(leaf()), "out-of-date", "it is out of date: it held", ["Firefox", "GnuTLS"]),
        (lambda: undated(leaf()), "without-end", "it does not say how long it holds", ["Firefox"]),
        (lambda: of_other(), "other-certificate", "it is about another certificate", ["Firefox", "GnuTLS"]),
        (lambda: forged(leaf()), "signature", "its signature does not verify", ["Firefox", "GnuTLS"]),
        (lambda: made.ocsp(leaf(), issuing(), "unknown"), "unknown", "its responder does not know", ["Firefox"]),
        (lambda: by_stranger(), "signer", "it is signed by somebody else", ["Firefox", "GnuTLS"]),
    ],
)
def test_a_staple_that_proves_nothing(staple: Any, fault: str, reason: str, refused_by: list[str]) -> None:
    diagnosis = diagnosed(stapling(staple()))
    assert codes(diagnosis) == ["staple-invalid"] and diagnosis.cause == "revoked"
    facts = proof(diagnosis, "staple-invalid")
    assert (facts["fault"], facts["refused_by"]) == (fault, refused_by) and reason in facts["reason"]
    assert reason in diagnosis.diagnoses[0]["summary"]
    said_by = {client for client, text in diagnosis.clients.items() if text != "ok"}
    assert said_by <= {"firefox", "gnutls"} and ("gnutls" in said_by) is ("GnuTLS" in refused_by)


def late(of: pki.Issued) -> bytes:
    return made.ocsp(of, issuing(), next_update=NOW - DAY, this_update=NOW - 2 * DAY)


def undated(of: pki.Issued) -> bytes:
    return made.ocsp(of, issuing(), next_update=None, this_update=NOW - 2 * DAY)


def forged(of: pki.Issued) -> bytes:
    return made.ocsp(of, issuing(), "revoked", break_signature=True)


def of_other() -> bytes:
    return made.ocsp(leaf("other.example"), issuing())


def by_stranger() -> bytes:
    return made.ocsp(leaf(), issuing(), "revoked", signer=made.WORLD.ca)


def test_firefox_asks_the_responder_where_the_staple_is_of_no_use() -> None:
    own = pki.certificate(HOST, issuer=issuing(), extra=[pki.authority_info_access(ocsp=[OCSP_URL])])
    assert codes(diagnosed(stapling(late(own), own))) == ["staple-invalid?"]
    assert codes(asked(said("good", of=own), probe=stapling(late(own), own))) == ["staple-invalid?"]
    dead = asked(said("unavailable", of=own, error="refused"), probe=stapling(late(own), own))
    assert codes(dead) == ["staple-invalid", "revocation-unknown."]
    # a signature that is wrong is never forgiven
    assert codes(asked(said("good", of=own), probe=stapling(forged(own), own))) == ["staple-invalid"]


def test_a_staple_from_the_future_is_refused_by_nobody() -> None:
    staple = made.ocsp(leaf(), issuing(), this_update=NOW + DAY)
    assert codes(diagnosed(stapling(staple))) == ["staple-invalid?"]


def test_what_was_revoked_stays_so_for_some() -> None:
    diagnosis = diagnosed(
        stapling(made.ocsp(leaf(), issuing(), "revoked", next_update=NOW - DAY, this_update=NOW - 2 * DAY))
    )
    assert codes(diagnosis) == ["staple-invalid"]
    assert proof(diagnosis, "staple-invalid")["revoked_at"] == "2026-11-13T12:00:00Z"
    assert diagnosis.clients["firefox"] == "SEC_ERROR_REVOKED_CERTIFICATE"


def test_no_verdict_where_nobody_is_known_who_signed() -> None:
    diagnosis = diagnosed(answered([leaf()], ocsp_response=made.ocsp(leaf(), issuing(), "revoked")))
    assert codes(diagnosis) == ["issuer-unknown"]
    broken = pki.certificate(HOST, issuer=issuing(), break_signature=True)
    staple = made.ocsp(broken, issuing(), "revoked")
    assert codes(diagnosed(answered([broken, issuing()], ocsp_response=staple))) == ["bad-signature"]


# --- must-staple -------------------------------------------------------------------------------------


def test_missing_staple_of_must_staple_is_claimed() -> None:
    diagnosis = diagnosed(stapling(None, demanding()))
    assert codes(diagnosis) == ["must-staple-missing"]
    assert proof(diagnosis, "must-staple-missing")["stapled"] is False
    both = diagnosed(stapling(late(demanding()), demanding()))
    assert codes(both) == ["must-staple-missing", "staple-invalid"]
    assert both.clients["firefox"] == "SEC_ERROR_OCSP_OLD_RESPONSE"
    revoked = made.ocsp(demanding(), issuing(), "revoked")
    assert codes(diagnosed(stapling(revoked, demanding()))) == ["revoked-ocsp-staple"]


def test_must_staple_of_a_flight_that_broke_off() -> None:
    assert "must-staple-missing" not in codes(diagnosed(stapling(None, demanding(), complete=False)))


def test_must_staple_is_the_leafs_matter() -> None:
    ca = pki.authority("Demanding CA", made.WORLD.root, extra=[made.MUST_STAPLE])
    sent = [pki.certificate(HOST, issuer=ca), ca]
    assert "must-staple-missing" not in codes(diagnosed(answered(sent)))


# --- answers -----------------------------------------------------------------------------------------


def test_responder_that_says_revoked_is_claimed() -> None:
    diagnosis = asked(said("revoked", revoked_at=NOW - DAY, reason="superseded", this_update=NOW, responder="CN=R"))
    assert codes(diagnosis) == ["revoked-ocsp"] and diagnosis.outcome == "fail"
    facts = proof(diagnosis, "revoked-ocsp")
    assert (facts["url"], facts["urls"], facts["reason"], facts["responder"]) == (
        OCSP_URL,
        [OCSP_URL],
        "superseded",
        "CN=R",
    )
    assert "OCSP responder http://ocsp.test/" in diagnosis.diagnoses[0]["summary"]


def test_revoked_answer_wins_over_good_ones() -> None:
    good_staple = stapling(made.ocsp(leaf(), issuing()))
    both = asked(said("good"), said("revoked", "crl", revoked_at=NOW - DAY), probe=good_staple)
    assert codes(both) == ["revoked-crl"]
    all_three = asked(said("revoked"), said("revoked", "crl"), probe=stapling(made.ocsp(leaf(), issuing(), "revoked")))
    assert codes(all_three) == ["revoked-ocsp", "revoked-ocsp-staple", "revoked-crl"]


def test_a_revoked_intermediate_is_named() -> None:
    diagnosis = asked(said("revoked", "crl", of=issuing()), said("good"))
    facts = proof(diagnosis, "revoked-crl")
    assert codes(diagnosis) == ["revoked-crl"]
    assert (facts["subject"], facts["leaf"], facts["serial"]) == ("CN=Issuing CA", False, issuing().parsed.serial)
    assert "CN=Issuing CA" in diagnosis.diagnoses[0]["summary"]


def test_answers_about_others_do_not_count() -> None:
    assert codes(asked(said("revoked", of=leaf("other.example")))) == []


def test_certificate_without_any_answer_is_unknown() -> None:
    diagnosis = asked(
        said("unavailable", error="connection refused", blocked=True),
        said("invalid", "crl", error="its signature does not verify with the issuer's key"),
    )
    assert codes(diagnosis) == ["revocation-unknown."] and diagnosis.outcome == "ok"
    assert proof(diagnosis, "revocation-unknown")["sources"] == [
        {"source": "ocsp", "url": OCSP_URL, "status": "unavailable", "error": "connection refused"},
        {
            "source": "crl",
            "url": CRL_URL,
            "status": "invalid",
            "error": "its signature does not verify with the issuer's key",
        },
    ]
    assert "http://ocsp.test/: connection refused; http://crl.test/ca.crl: its sig" in diagnosis.diagnoses[0]["summary"]
    assert codes(asked(said("unknown"))) == ["revocation-unknown."]


def test_one_good_answer_is_enough() -> None:
    failed = said("unavailable", error="timed out")
    assert codes(asked(failed, said("good", "crl"))) == []
    assert codes(asked(failed, probe=stapling(made.ocsp(leaf(), issuing())))) == []


def test_an_expired_certificate_is_not_revoked() -> None:
    old = pki.certificate(HOST, issuer=issuing(), not_before=NOW - 90 * DAY, not_after=NOW - DAY)
    sent = answered([old, issuing()])
    assert codes(asked(said("unknown", of=old), said("good", "crl", of=old), probe=sent)) == ["certificate-expired"]
    assert codes(asked(said("unknown", of=old), probe=sent)) == ["certificate-expired"]
    # but one that was revoked while it lived, and is still listed, is
    listed = asked(said("revoked", "crl", of=old, revoked_at=NOW - 5 * DAY), probe=sent)
    assert codes(listed) == ["certificate-expired", "revoked-crl"]


# --- what may be asked, and who refuses --------------------------------------------------------------


def test_option_decides_what_is_looked_at() -> None:
    probe = stapling(made.ocsp(leaf(), issuing(), "revoked"))
    answers = said("revoked", "crl")
    assert codes(asked(answers, probe=probe, revocation="off")) == []
    assert codes(asked(answers, probe=probe, revocation="staple")) == ["revoked-ocsp-staple"]
    assert codes(asked(answers, probe=probe, revocation="online")) == ["revoked-ocsp-staple", "revoked-crl"]
    assert codes(diagnosed(stapling(None, demanding()), revocation="off")) == []
    assert codes(asked(said("unavailable", error="x"), revocation="staple")) == []


def test_other_protocols_only_get_warnings() -> None:
    mail = target(protocol="smtp", port=25)
    staple = stapling(made.ocsp(demanding(), issuing(), "revoked"), demanding())
    diagnosis = asked(said("revoked", "crl", of=demanding()), probe=staple, of=mail)
    assert codes(diagnosis) == ["revoked-ocsp-staple?", "revoked-crl?"] and diagnosis.outcome == "warn"
    assert codes(asked(probe=stapling(forged(leaf())), of=mail)) == ["staple-invalid?"]
    assert codes(asked(probe=stapling(None, demanding()), of=mail)) == ["must-staple-missing?"]
