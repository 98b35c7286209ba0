"""Codes of Certificate Transparency: who is held to it, what is said of what, and how sure we are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from scanner.diagnosis.engine import Diagnosis
from scanner.model.evidence import ServerFlight
from scanner.trust.ct_logs import log_list_untrusted
from scanner.trust.transparency import Transparency
from tests.helpers import pki
from tests.helpers.evidence import HOST, answered, codes, diagnosed, evidence, issuing, proof, target, verifier
from tests.helpers.pki import DAY, NOW, Issued
from tests.helpers.scts import (
    ARGON,
    STAPLED,
    STRANGER,
    TILES,
    XENON,
    YETI,
    Log,
    extension,
    log_list,
    rfc3339,
    sct_list,
    with_scts,
    x509_entry,
)
from tests.x509.test_sct import staple

OLD = Log("Old", "Operator B", state="retired", since=NOW - 100 * DAY)
TEST = Log("Test", "Operator B", state=None)


def by(*logs: Log, **changes: Any) -> Transparency:
    given = logs or (ARGON, XENON, YETI, TILES, OLD, TEST)
    return Transparency(log_list_untrusted(json.dumps(log_list(*given, **changes)).encode(), "list.json"))


def leaf(*logs: Log, **changes: Any) -> Issued:
    return with_scts(logs, HOST, issuer=issuing(), **changes)


def said(
    certificate: Issued,
    *,
    protocol: str = "https",
    public: bool = True,
    list_: Transparency | None = None,
    **flight: Any,
) -> Diagnosis:
    seen = evidence(answered([certificate, issuing()], **flight), of=target(protocol=protocol))
    return diagnosed(seen, verifier(public=public), transparency=list_ or by())


def test_enough_valid_scts_give_no_claim() -> None:
    for logs in ([ARGON, YETI], [ARGON, TILES], [ARGON, XENON, YETI]):
        diagnosis = said(leaf(*logs))
        assert codes(diagnosis) == [] and diagnosis.outcome == "ok"


def test_only_public_cas_are_held_to_it() -> None:
    bare = pki.certificate(HOST, issuer=issuing())
    assert codes(said(bare)) == ["no-scts"]
    assert codes(said(bare, public=False)) == []
    seen = evidence(answered([bare, issuing()]))
    assert codes(diagnosed(seen, verifier(public=True), transparency=by(), public=False)) == []
    assert codes(diagnosed(seen, verifier(public=True))) == []  # no log list, no word


@pytest.mark.parametrize(("protocol", "mark"), [("tls", ""), ("https", ""), ("smtp", "."), ("imaps", ".")])
def test_only_browsers_ask(protocol: str, mark: str) -> None:
    diagnosis = said(pki.certificate(HOST, issuer=issuing()), protocol=protocol)
    assert codes(diagnosis) == [f"no-scts{mark}"]
    assert diagnosis.cause == ("certificate-transparency" if not mark else None)


def test_too_few_scts_are_claimed_with_who_refuses() -> None:
    diagnosis = said(leaf(ARGON))
    assert codes(diagnosis) == ["too-few-scts"]
    facts = proof(diagnosis, "too-few-scts")
    assert facts["refused_by"] == ["Chrome", "Firefox", "Safari"] and (facts["count"], facts["needed"]) == (1, 2)
    assert facts["chrome"]["complies"] is False and facts["apple"]["reason"] == facts["reason"]
    assert [sct["log"] for sct in facts["scts"]] == ["Argon"] and facts["lifetime_days"] == 90
    assert facts["log_list"] == rfc3339(NOW - 10 * DAY)
    summary = diagnosis.diagnoses[0]["summary"]
    assert summary.endswith("not enough for Chrome, Firefox and Safari: they come from 1 of the 2 logs that it needs.")
    assert {client for client, text in diagnosis.clients.items() if text != "ok"} == {"chrome", "firefox"}
    assert json.loads(json.dumps(facts)) == facts


def test_long_lived_ones_need_three() -> None:
    ends = NOW + 151 * DAY
    assert codes(said(leaf(ARGON, YETI, not_after=ends))) == ["too-few-scts"]
    assert codes(said(leaf(ARGON, XENON, YETI, not_after=ends))) == []


def test_one_operator_is_not_enough() -> None:
    diagnosis = said(leaf(ARGON, XENON))
    assert codes(diagnosis) == ["too-few-scts"]
    assert "they all come from logs of Operator A" in diagnosis.diagnoses[0]["summary"]


def test_static_logs_alone_are_not_enough_for_apple() -> None:
    other = Log("Other tiles", tiled=True)
    diagnosis = said(leaf(TILES, other), list_=by(TILES, other))
    assert codes(diagnosis) == ["too-few-scts"]
    assert proof(diagnosis, "too-few-scts")["refused_by"] == ["Safari"]
    assert diagnosis.clients.get("chrome", "ok") == "ok"


def test_unknown_log_is_claimed() -> None:
    diagnosis = said(leaf(ARGON, YETI, STRANGER))
    assert codes(diagnosis) == ["unknown-log?"] and diagnosis.outcome == "warn"
    assert proof(diagnosis, "unknown-log")["logs"] == [proof(diagnosis, "unknown-log")["log_id"]]
    assert codes(said(leaf(ARGON, STRANGER))) == ["too-few-scts", "unknown-log?"]


def test_a_log_whose_key_is_broken_is_told() -> None:
    broken = Log("Broken", "Operator B", changes={"key": "AAAA"})
    diagnosis = said(leaf(ARGON, YETI, broken), list_=by(ARGON, YETI, broken))
    assert codes(diagnosis) == ["unknown-log?"]
    assert "the log list has a damaged entry: its key cannot be read" in diagnosis.diagnoses[0]["summary"]


@pytest.mark.parametrize("changes", [{"key": "AAAA"}, {"log_id": "A" * 43 + "="}], ids=["key", "id"])
def test_a_damaged_list_refuses_nobody(changes: dict[str, Any]) -> None:
    """Browsers, whose lists are whole, count the SCT that cannot be verified here."""
    broken = Log("Broken", "Operator B", changes=changes)
    diagnosis = said(leaf(ARGON, broken), list_=by(ARGON, YETI, broken))
    assert codes(diagnosis) == ["too-few-scts?", "unknown-log?"]
    assert proof(diagnosis, "too-few-scts")["log_list_damaged"] is True


def test_retired_log_is_claimed_unless_the_sct_counts() -> None:
    diagnosis = said(leaf(ARGON, YETI, OLD))
    assert codes(diagnosis) == ["log-retired?"]
    assert proof(diagnosis, "log-retired")["log"] == "Old"
    assert codes(said(leaf(ARGON, OLD))) == ["too-few-scts", "log-retired?"]
    # it was in use when it signed, and counts
    long_ago: dict[str, Any] = {"at": NOW - 120 * DAY, "not_before": NOW - 121 * DAY, "not_after": NOW + 50 * DAY}
    assert codes(said(leaf(ARGON, OLD, **long_ago))) == []


def test_logs_that_nobody_has_accepted_yet_do_no_harm() -> None:
    diagnosis = said(leaf(ARGON, YETI, TEST))
    assert codes(diagnosis) == ["log-retired."] and diagnosis.outcome == "ok"
    assert codes(said(leaf(ARGON, TEST))) == ["too-few-scts", "log-retired?"]


def test_sct_that_does_not_verify_is_claimed() -> None:
    assert codes(said(leaf(ARGON, YETI, spoil=[YETI]))) == ["too-few-scts", "sct-invalid"]
    # browsers pass over it where the others are enough
    diagnosis = said(leaf(ARGON, YETI, XENON, spoil=[XENON]))
    assert codes(diagnosis) == ["sct-invalid?"]
    assert "does not verify" in diagnosis.diagnoses[0]["summary"]


def test_sct_that_cannot_be_read_is_claimed() -> None:
    broken = pki.certificate(HOST, issuer=issuing(), extra=[extension(b"\0\1")])
    assert codes(said(broken)) == ["too-few-scts", "sct-invalid"]


def test_sct_of_the_future_does_not_count() -> None:
    assert codes(said(leaf(ARGON, YETI, times={YETI: NOW + 60}))) == ["too-few-scts", "sct-invalid"]


def test_scts_of_handshake_and_staple_count() -> None:
    bare = pki.certificate(HOST, issuer=issuing(), serial=0x77)
    scts = tuple(log.sct(x509_entry(bare.der), NOW - DAY) for log in (ARGON, YETI))
    assert codes(said(bare, scts=scts)) == []
    only_stapled = said(bare, ocsp_response=staple(0x77, extension(sct_list(scts), STAPLED)))
    assert "too-few-scts" in codes(only_stapled)
    assert proof(only_stapled, "too-few-scts")["refused_by"] == ["Chrome"]
    # those of another certificate
    assert codes(said(leaf(XENON), scts=scts)) == ["too-few-scts", "sct-invalid"]


@pytest.mark.parametrize("age", [70 * DAY, None])
def test_an_old_list_only_warns(age: float | None) -> None:
    old = by(ARGON, YETI, timestamp=None if age is None else NOW - age)
    for certificate, expected in (
        (pki.certificate(HOST, issuer=issuing()), ["no-scts?"]),
        (leaf(ARGON), ["too-few-scts?"]),
        (leaf(ARGON, YETI, spoil=[YETI]), ["too-few-scts?", "sct-invalid?"]),
        (leaf(ARGON, YETI), []),
    ):
        diagnosis = said(certificate, list_=old)
        assert codes(diagnosis) == expected
        assert all(record["evidence"]["log_list_too_old"] for record in diagnosis.diagnoses)


def test_an_expired_certificate_is_not_held_to_logs_that_have_closed() -> None:
    dates: dict[str, Any] = {"not_before": NOW - 100 * DAY, "not_after": NOW - DAY}
    closed = Log("Closed", state="rejected", since=NOW - DAY / 2)
    assert codes(said(leaf(closed, **dates), list_=by(closed))) == ["certificate-expired"]
    assert codes(said(pki.certificate(HOST, issuer=issuing(), **dates))) == ["certificate-expired", "no-scts"]
    assert codes(said(leaf(ARGON, spoil=[ARGON], **dates))) == ["certificate-expired", "sct-invalid"]


def test_a_certificate_that_nobody_signed_is_not_judged() -> None:
    forged = with_scts([ARGON, YETI], HOST, issuer=issuing(), break_signature=True)
    assert codes(said(forged)) == ["bad-signature"]


def test_flights_without_certificates() -> None:
    assert codes(diagnosed(evidence(answered([])), verifier(public=True), transparency=by())) != []
    assert ServerFlight().scts == ()


def dropped(name: str, operator: str) -> Log:
    """A log that left use on a day that the list does not give."""
    return Log(name, operator, changes={"state": {"rejected": {}}})


def test_a_moment_before_the_list_was_made_is_not_held_to_what_happened_since() -> None:
    gone = dropped("Gone A", "Operator A"), dropped("Gone B", "Operator B")
    certificate = leaf(*gone)
    for made in (DAY, 300 * DAY):
        assert codes(said(certificate, list_=by(*gone, ARGON, timestamp=NOW + made))) == []
    # today the same list says that neither counts
    today = said(certificate, list_=by(*gone, ARGON, timestamp=NOW - DAY))
    assert codes(today) == ["too-few-scts", "log-retired?"]


def test_logs_that_later_lists_do_not_have_are_neither_unknown_nor_too_few() -> None:
    certificate = leaf(ARGON, STRANGER)
    assert codes(said(certificate, list_=by(ARGON, YETI, timestamp=NOW + 71 * DAY))) == []
    assert codes(said(certificate, list_=by(ARGON, YETI, timestamp=NOW + 69 * DAY))) == ["too-few-scts", "unknown-log?"]
    spoilt = leaf(ARGON, STRANGER, spoil=[ARGON])
    assert codes(said(spoilt, list_=by(ARGON, YETI, timestamp=NOW + 71 * DAY))) == ["sct-invalid?"]


def test_logs_that_never_counted_are_too_few_at_any_moment() -> None:
    certificate = leaf(ARGON, TEST)
    later = said(certificate, list_=by(timestamp=NOW + 300 * DAY))
    assert codes(later) == ["too-few-scts", "log-retired?"]
    bare = pki.certificate(HOST, issuer=issuing())
    assert codes(said(bare, list_=by(timestamp=NOW + 300 * DAY))) == ["no-scts"]


def test_certificates_older_than_the_policies_need_no_scts() -> None:
    spring = datetime(2018, 4, 1, tzinfo=UTC).timestamp()
    for begins, expected in ((spring, []), (spring + 100 * DAY, ["no-scts"])):
        bare = pki.certificate(HOST, issuer=issuing(), not_before=begins)
        assert [code for code in codes(said(bare)) if "scts" in code] == expected
