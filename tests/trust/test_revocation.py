from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from scanner.trust.revocation import (
    TOLERANCE,
    WITHOUT_NEXT_UPDATE,
    RevocationSources,
    issuer_of_leaf,
    judge_crl,
    judge_ocsp_untrusted,
    judge_staple_untrusted,
    none_needed,
    sources_of,
)
from scanner.x509 import ocsp
from scanner.x509.crl import load_crl_untrusted
from tests.helpers import evidence as seen
from tests.helpers import revocation as made
from tests.helpers.pki import DAY, NOW, Issued, authority, authority_info_access, certificate, extension, key, tlv
from tests.helpers.revocation import URL, WORLD, crl, entry, points

LEAF, CA = WORLD.leaf, WORLD.ca
BEFORE = NOW - DAY
AFTER = NOW + 6 * DAY


def at(*text: int) -> float:
    return datetime(*text, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


# --- where to ask ------------------------------------------------------------------------------------


def test_sources_are_http_urls_without_duplicates() -> None:
    urls = ["http://ocsp.test", "ldap://ocsp.test", "http://ocsp.test"]
    lists = points(URL, "HTTPS://crl.test/2", "ldap:///cn=x")
    leaf = certificate("leaf.example", issuer=CA, extra=[authority_info_access(ocsp=urls), lists])
    assert sources_of(leaf.parsed, CA.parsed) == RevocationSources(
        ("http://ocsp.test",), (URL, "HTTPS://crl.test/2"), None, ("ldap://ocsp.test", "ldap:///cn=x")
    )
    assert sources_of(WORLD.other_leaf.parsed, CA.parsed) == RevocationSources()


def short(begins: float, seconds: float, *, ca: bool = False, extra: Sequence[bytes] = ()) -> str | None:
    # both ends count, so that this many seconds are one less between them
    leaf = certificate("x.example", issuer=CA, ca=ca, not_before=begins, not_after=begins + seconds - 1, extra=extra)
    return none_needed(leaf.parsed, CA.parsed)


def test_short_lived_certificates_need_none() -> None:
    assert short(at(2026, 3, 15), 7 * DAY) == "it is short-lived: valid for 7 days"
    assert short(at(2026, 3, 15), 7 * DAY + 1) is None
    assert short(at(2026, 3, 14, 23, 59, 59), 10 * DAY) == "it is short-lived: valid for 10 days"
    assert short(at(2026, 3, 14), 10 * DAY + 1) is None
    assert short(at(2024, 3, 15), 10 * DAY) is not None
    assert short(at(2024, 3, 14), DAY) is None
    assert short(at(2026, 11, 1), DAY, ca=True) is None


@pytest.mark.parametrize("dotted", ["2.5.29.56", "0.4.0.194121.2.1"])
def test_certificates_without_revocation_information_need_none(dotted: str) -> None:
    words = short(at(2026, 11, 1), 90 * DAY, extra=[extension(dotted, tlv(0x05))])
    assert words == "it says that no revocation information is made for it"


def test_anchors_are_not_asked_about() -> None:
    assert none_needed(WORLD.root.parsed, WORLD.root.parsed) == "it is its own issuer"


def test_the_issuer_of_a_leaf_is_the_one_that_signed_it() -> None:
    [verdict] = seen.verdicts(seen.evidence(seen.answered()))
    assert verdict is not None and issuer_of_leaf(verdict) == seen.issuing().parsed
    [alone] = seen.verdicts(seen.evidence(seen.answered([seen.leaf()])))
    assert alone is not None and issuer_of_leaf(alone) is None
    forged = certificate(seen.HOST, issuer=seen.issuing(), break_signature=True)
    [broken] = seen.verdicts(seen.evidence(seen.answered([forged, seen.issuing()])))
    assert broken is not None and issuer_of_leaf(broken) is None


# --- OCSP at a moment --------------------------------------------------------------------------------


def answer(data: bytes, moment: float = NOW, leaf: Issued = LEAF) -> tuple[str, str | None]:
    said = judge_ocsp_untrusted(data, leaf.parsed, CA.parsed, moment, "http://ocsp.test")
    assert (said.certificate, said.source, said.url) == (leaf.sha256, "ocsp", "http://ocsp.test")
    return said.status, said.error


def test_an_answer_is_good_while_it_is_current() -> None:
    data = made.ocsp(LEAF, CA)
    for moment in (BEFORE - TOLERANCE, BEFORE, NOW, AFTER, AFTER + TOLERANCE):
        assert answer(data, moment) == ("good", None)
    early, late = answer(data, BEFORE - TOLERANCE - 1), answer(data, AFTER + TOLERANCE + 1)
    assert early == ("invalid", "it is from the future: made for 2026-11-22T12:00:00Z and later")
    assert late == ("invalid", "it is out of date: it held until 2026-11-29T12:00:00Z")


def test_an_answer_without_next_update_is_current_for_a_day() -> None:
    data = made.ocsp(LEAF, CA, next_update=None)
    assert answer(data, BEFORE + WITHOUT_NEXT_UPDATE) == ("good", None)
    status, words = answer(data, BEFORE + WITHOUT_NEXT_UPDATE + 1)
    assert status == "invalid" and words is not None and "does not say how long it holds" in words


def test_an_answer_that_ends_before_it_begins_is_invalid() -> None:
    assert answer(made.ocsp(LEAF, CA, next_update=NOW - 2 * DAY)) == ("invalid", "it ends before it begins")


def test_revoked_and_unknown_are_reported_with_reason_and_time() -> None:
    said = judge_ocsp_untrusted(made.ocsp(LEAF, CA, "revoked", reason=1), *WORLD.parsed(), NOW, "u")
    assert (said.status, said.reason, said.revoked_at) == ("revoked", "keyCompromise", NOW - 10 * DAY)
    assert (said.this_update, said.next_update, said.produced_at) == (BEFORE, AFTER, BEFORE)
    assert said.responder == "CN=Revocation CA"
    assert answer(made.ocsp(LEAF, CA, "unknown")) == ("unknown", None)


def test_an_answer_that_does_not_verify_is_invalid() -> None:
    said = judge_ocsp_untrusted(made.ocsp(LEAF, CA, "revoked", break_signature=True), *WORLD.parsed(), NOW, "u")
    assert said.status == "invalid" and said.error is not None
    assert (said.revoked_at, said.reason, said.this_update, said.next_update, said.produced_at) == (None,) * 5


def test_an_outdated_answer_does_not_revoke() -> None:
    status, words = answer(made.ocsp(LEAF, CA, "revoked"), AFTER + DAY)
    assert status == "invalid" and words is not None and "out of date" in words


def test_an_answer_of_an_expired_responder_is_invalid() -> None:
    signer = made.responder(CA, not_after=NOW - 1)
    data = made.ocsp(LEAF, CA, signer=signer, certificates=[signer])
    assert answer(data, NOW - 2) == ("good", None)
    status, words = answer(data)
    assert status == "invalid" and words == "the certificate of its signer CN=Responder is not valid at this time"


def test_refusals_of_the_responder_are_unavailable() -> None:
    assert answer(made.refusal(3)) == ("unavailable", "the responder says tryLater")
    assert answer(b"<html>") == ("invalid", "not an OCSP response: an HTML page")
    assert answer(made.ocsp(WORLD.other_leaf, CA))[0] == "invalid"


def test_times_at_the_ends_of_the_calendar() -> None:
    far = tlv(0x18, b"99991231235959Z")
    data = made.ocsp(LEAF, CA).replace(made.generalized(BEFORE), far)
    status, words = answer(data)
    assert status == "invalid" and words is not None


def test_a_staple_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    real = ocsp.verify_untrusted

    def counting(data: bytes, *others: object) -> ocsp.Verified:
        asked.append(data)
        return real(data, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(ocsp, "verify_untrusted", counting)
    data = made.ocsp(LEAF, CA, produced_at=NOW - 7)
    for moment, status in ((NOW, "good"), (NOW + 1, "good"), (AFTER + DAY, "invalid"), (NOW, "good")):
        said = judge_staple_untrusted(bytes(bytearray(data)), *WORLD.parsed(), moment)
        assert (said.status, said.url) == (status, "")
    assert len(asked) == 1


# --- lists at a moment -------------------------------------------------------------------------------


def listed(data: bytes, moment: float = NOW) -> tuple[str, str | None]:
    said = judge_crl(load_crl_untrusted(data), *WORLD.parsed(), moment, URL)
    assert (said.certificate, said.source, said.url) == (LEAF.sha256, "crl", URL)
    return said.status, said.error


def test_lists_give_status_reason_and_times() -> None:
    serial = int(LEAF.parsed.serial, 16)
    assert listed(crl(CA)) == ("good", None)
    said = judge_crl(load_crl_untrusted(crl(CA, entry(serial, reason=6))), *WORLD.parsed(), NOW, URL)
    assert (said.status, said.reason, said.revoked_at) == ("revoked", "certificateHold", NOW - 10 * DAY)
    assert (said.this_update, said.next_update, said.produced_at) == (BEFORE, AFTER, None)
    assert listed(crl(CA, entry(serial, reason=8))) == ("good", None)


def test_lists_that_are_not_current_or_do_not_verify_are_invalid() -> None:
    assert listed(crl(CA), AFTER + TOLERANCE) == ("good", None)
    assert listed(crl(CA), AFTER + TOLERANCE + 1)[0] == "invalid"
    assert listed(crl(CA), BEFORE - TOLERANCE - 1)[0] == "invalid"
    said = judge_crl(load_crl_untrusted(crl(WORLD.other_key)), *WORLD.parsed(), NOW, URL)
    assert said.status == "invalid" and said.this_update is None
    said = judge_crl(load_crl_untrusted(crl(CA, this_update=NOW + DAY)), *WORLD.parsed(), NOW, URL)
    assert said.status == "invalid" and said.this_update == NOW + DAY  # signed, so a witness of the time


def test_a_list_answers_only_for_its_own_issuer() -> None:
    loaded = load_crl_untrusted(crl(CA))
    assert judge_crl(loaded, *WORLD.parsed(), NOW, "").status == "good"
    ca = authority("Another CA", WORLD.root, private=key("another ca"))
    leaf = certificate("leaf.example", issuer=ca)
    assert judge_crl(loaded, leaf.parsed, ca.parsed, NOW, URL).status == "invalid"
