"""Certificates and what came beside them, judged by log lists of our own and by the shipped one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scanner.trust.ct_logs import LogList, load_log_list, log_list_untrusted
from scanner.trust.ct_policies import standing
from scanner.trust.transparency import Transparency, TransparencyVerdict, unjudged
from scanner.x509 import sct
from tests.helpers import pki
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
from tests.x509.test_sct import real, staple

CA = pki.authority("SCT CA", pki.root("SCT Root"))
OLD = Log("Old", "Operator B", state="retired", since=NOW - 100 * DAY)


def listed(*logs: Log, **changes: Any) -> LogList:
    return log_list_untrusted(json.dumps(log_list(*logs, **changes)).encode(), "list.json")


def judged(leaf: Issued, by: LogList | None = None, at: float = NOW, **beside: Any) -> TransparencyVerdict:
    transparency = Transparency(by or listed(ARGON, XENON, YETI, TILES, OLD))
    return transparency.evaluate(leaf.parsed, CA.parsed, at=at, **beside)


def statuses(verdict: TransparencyVerdict) -> list[str]:
    return [item.status for item in verdict.scts]


def test_a_certificate_with_enough_scts_complies() -> None:
    leaf = with_scts([ARGON, YETI], issuer=CA)
    verdict = judged(leaf)
    assert verdict.satisfied and verdict.certain and verdict.list_made == NOW - 10 * DAY
    assert (verdict.chrome.complies, verdict.apple.complies) == (True, True)
    made = leaf.parsed.not_before + 3600
    assert verdict.times == (("Operator A", made), ("Operator B", made))
    first, second = verdict.records
    assert first["log"] == "Argon" and first["source"] == "certificate" and first["status"] == "valid"
    assert first["timestamp"] == rfc3339(made).replace("Z", ".000Z") and first["state"] == "usable"
    assert "raw" not in first and "why" not in first
    assert second["operator"] == "Operator B"


def test_a_real_certificate_by_the_shipped_list() -> None:
    leaf, issuer = real()
    verdict = Transparency(load_log_list(None)).evaluate(leaf, issuer, at=NOW)
    assert statuses(verdict) == ["valid"] * 3
    assert verdict.chrome.complies and verdict.apple.complies is not False and verdict.certain
    assert [operator for operator, _ in verdict.times] == ["Sectigo", "Cloudflare", "Let's Encrypt"]


@pytest.mark.parametrize(
    ("logs", "expected", "why"),
    [
        ([ARGON, STRANGER], ["valid", "unknown-log"], "not in the list"),
        ([ARGON, OLD], ["valid", "retired"], "retired on 2026-08-15"),
    ],
)
def test_scts_of_unusable_logs_do_not_count(logs: list[Log], expected: list[str], why: str) -> None:
    verdict = judged(with_scts(logs, issuer=CA))
    assert statuses(verdict) == expected and why in str(verdict.records[1]["why"])
    assert not verdict.satisfied and verdict.chrome.count == 1


def test_a_retired_log_counts_for_what_it_signed_before() -> None:
    leaf = with_scts([ARGON, OLD], issuer=CA, at=NOW - 120 * DAY, not_before=NOW - 121 * DAY, not_after=NOW + DAY)
    verdict = judged(leaf)
    assert statuses(verdict) == ["valid", "retired"] and verdict.satisfied


def test_scts_of_test_logs_and_rejected_logs_do_not_count() -> None:
    test_log = Log("Test", "Operator B", state=None)
    rejected = Log("Rejected", "Operator B", state="rejected", since=NOW - 100 * DAY)
    verdict = judged(with_scts([ARGON, test_log, rejected], issuer=CA), listed(ARGON, test_log, rejected))
    assert statuses(verdict) == ["valid", "not-accepted", "not-accepted"] and not verdict.satisfied
    assert "rejected" in str(verdict.records[2]["why"])


def test_certificates_outside_of_a_log_s_interval_do_not_count() -> None:
    ends = with_scts([ARGON, YETI], issuer=CA).parsed.not_after
    interval = {"start_inclusive": rfc3339(ends - DAY), "end_exclusive": rfc3339(ends)}
    yeti = Log("Yeti", "Operator B", changes={"temporal_interval": interval})
    assert statuses(judged(with_scts([ARGON, YETI], issuer=CA), listed(ARGON, yeti))) == ["valid", "outside"]
    earlier = with_scts([ARGON, YETI], issuer=CA, not_after=ends - 1)
    assert statuses(judged(earlier, listed(ARGON, yeti))) == ["valid", "valid"]


def test_scts_whose_signature_does_not_verify_are_invalid() -> None:
    verdict = judged(with_scts([ARGON, YETI], issuer=CA, spoil=[YETI]))
    assert statuses(verdict) == ["valid", "invalid"] and "does not verify" in str(verdict.records[1]["why"])
    assert len(verdict.times) == 1
    # those of another certificate
    other = with_scts([ARGON, YETI], "other.example", issuer=CA)
    moved = pki.certificate("leaf.example", issuer=CA, extra=[extension(sct_list([]))])
    data = other.parsed.extension(sct.SCT_LIST)
    assert data is not None
    moved = pki.certificate("leaf.example", issuer=CA, extra=[pki.extension("1.3.6.1.4.1.11129.2.4.2", data)])
    assert statuses(judged(moved)) == ["invalid", "invalid"]


def test_scts_from_the_future_are_invalid_and_still_witnesses_of_the_time() -> None:
    leaf = with_scts([ARGON, YETI], issuer=CA, times={YETI: NOW + 60})
    verdict = judged(leaf)
    assert statuses(verdict) == ["valid", "invalid"] and "ahead" in str(verdict.records[1]["why"])
    # its signature is good all the same: a witness
    assert verdict.times[1] == ("Operator B", NOW + 60)
    assert statuses(judged(leaf, at=NOW + 60)) == ["valid", "valid"]


def test_unreadable_scts_are_reported() -> None:
    broken = pki.certificate("leaf.example", issuer=CA, extra=[extension(b"\0\5abc")])
    verdict = judged(broken)
    assert statuses(verdict) == ["unreadable"] and verdict.records[0]["log_id"] is None
    mixed = pki.certificate("leaf.example", issuer=CA, extra=[extension(sct_list([b"\x01", b"\0short"]))])
    assert statuses(judged(mixed)) == ["unreadable", "unreadable"]
    assert statuses(judged(with_scts([ARGON], issuer=CA), tls=(b"?",), staple=b"?")) == ["valid", "unreadable"]


def test_without_an_issuer_nothing_is_verified() -> None:
    leaf = with_scts([ARGON, YETI], issuer=CA).parsed
    verdict = Transparency(listed(ARGON, YETI)).evaluate(leaf, None, at=NOW)
    assert statuses(verdict) == ["unverified", "unverified"] and not verdict.chrome.complies


def test_scts_of_a_log_with_a_broken_key_are_of_an_unknown_log() -> None:
    broken = Log("Broken", "Operator B", changes={"key": "AAAA"})
    verdict = judged(with_scts([ARGON, broken], issuer=CA), listed(ARGON, broken))
    assert statuses(verdict) == ["valid", "unknown-log"]
    assert verdict.records[1]["log"] == "Broken" and "cannot be read" in str(verdict.records[1]["why"])


def test_scts_of_staples_and_the_tls_extension_are_verified() -> None:
    leaf = pki.certificate("leaf.example", issuer=CA, serial=0x1234)
    made = tuple(log.sct(x509_entry(leaf.der), NOW - DAY) for log in (ARGON, YETI))
    sent = judged(leaf, tls=made)
    assert statuses(sent) == ["valid", "valid"] and sent.satisfied
    assert [item["source"] for item in sent.records] == ["tls", "tls"] and all(item["raw"] for item in sent.records)
    stapled = judged(leaf, staple=staple(0x1234, extension(sct_list(made), STAPLED)))
    assert [item.source for item in stapled.scts] == ["staple", "staple"]
    assert (stapled.chrome.complies, stapled.apple.complies) == (False, True)
    assert judged(leaf).scts == ()


def test_an_old_list_is_not_certain() -> None:
    leaf = with_scts([ARGON, YETI], issuer=CA)
    assert not judged(leaf, listed(ARGON, YETI, timestamp=NOW - 70 * DAY)).certain
    assert judged(leaf, listed(ARGON, YETI, timestamp=NOW - 70 * DAY + 1)).certain
    unknown = judged(leaf, listed(ARGON, YETI, timestamp=None))
    assert not unknown.certain and unknown.list_made is None


def test_verdicts_of_one_instance_change_at_the_right_moments() -> None:
    """One judge, asked again as time goes on, says what a fresh one says."""
    soon = Log("Soon", "Operator B", state="retired", since=NOW + 5 * DAY)
    logs = listed(ARGON, soon, timestamp=NOW - 60 * DAY)
    leaf = with_scts([ARGON, soon], issuer=CA, times={soon: NOW + DAY})
    keeping = Transparency(logs)
    for days in (0, 0.5, 1, 2, 5, 6, 10, 12, 0, 6):
        at = NOW + days * DAY
        assert keeping.evaluate(leaf.parsed, CA.parsed, at=at) == judged(leaf, logs, at=at), days


def test_signatures_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[sct.Sct] = []
    verify = sct.signature_flaw

    def counted(read: sct.Sct, entry: bytes, key: Any) -> str | None:
        asked.append(read)
        return verify(read, entry, key)

    monkeypatch.setattr(sct, "signature_flaw", counted)
    transparency = Transparency(listed(ARGON, YETI))
    leaf = with_scts([ARGON, YETI], issuer=CA).parsed
    first = transparency.evaluate(leaf, CA.parsed, at=NOW)
    assert len(asked) == 2
    for hour in range(1, 4):
        assert transparency.evaluate(leaf, CA.parsed, at=NOW + hour * 3600) is first
    assert len(asked) == 2
    others = [with_scts([ARGON], f"h{number}.example", issuer=CA).parsed for number in range(40)]
    for other in (*others, leaf, *others, leaf, leaf):
        transparency.evaluate(other, CA.parsed, at=NOW)
    # evicted once, by the first 40; met for the second time it is kept, however many come between
    assert asked.count(asked[0]) == 2


def test_a_thousand_scts_cost_no_more_than_sixteen() -> None:
    leaf = pki.certificate("leaf.example", issuer=CA, extra=[extension(sct_list([ARGON.sct(b"", NOW)] * 500))])
    assert len(judged(leaf, tls=(b"x",) * 500).scts) == 2 * sct.MAX_SCTS


def test_scts_without_a_public_ca_are_shown_unverified() -> None:
    (read, unreadable) = unjudged([ARGON.sct(b"", NOW), b"?"])
    assert read["status"] == "unverified" and read["timestamp"] == rfc3339(NOW).replace("Z", ".000Z")
    assert unreadable["log_id"] is None and unreadable["raw"] == "Pw=="
    far = unjudged([ARGON.sct(b"", 1e15)])
    assert far[0]["timestamp"] == "9999-12-31T23:59:59Z"


def test_logs_of_last_year_are_in_doubt_at_a_moment_of_last_year() -> None:
    """The shipped list has them as rejected, without a day."""
    logs = load_log_list(None)
    undated = [log for log in logs.logs.values() if log.state == "rejected" and log.since is None]
    assert undated and logs.timestamp is not None
    made = logs.timestamp
    assert {standing(log.state, log.since, made - 300 * DAY, made) for log in undated} == {"unknown"}
    assert {standing(log.state, log.since, made, made) for log in undated} == {"never"}


def test_an_sct_of_a_log_in_doubt_is_valid_and_says_why() -> None:
    gone = Log("Gone", "Operator B", changes={"state": {"retired": {}}})
    verdict = judged(with_scts([ARGON, gone], issuer=CA), listed(ARGON, gone, timestamp=NOW + DAY))
    assert statuses(verdict) == ["valid", "valid"] and verdict.satisfied
    assert "does not say when" in (verdict.scts[1].why or "")
    assert verdict.chrome.complies is None and not verdict.earlier
