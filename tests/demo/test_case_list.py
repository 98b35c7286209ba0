"""The list of cases is consistent, and covers the catalogue of codes."""

from __future__ import annotations

from collections import Counter

from scanner.demo.case_list import CASES
from scanner.diagnosis.catalogue import CODES

# Codes that one row on loopback cannot show, and why.
ELSEWHERE = {
    "needs --enumerate": {"legacy-version-enabled", "modern-version-only", "weak-cipher-enabled"},
    "needs a certificate of ours": {"client-certificate-rejected"},
    "is a warning beside an error": {"certificate-differs-by-path"},
    "needs a route that fails, and loopback has none": {"network-unreachable", "host-unreachable"},
    "needs that no responder answers, and the demo has one that does": {"revocation-blocked"},
    "needs a CA whose CAA name is known": {"caa-forbids-issuer"},
    "needs DNSSEC": {"dane-mismatch"},
    "needs dozens of certificates that are made to cost": {"too-costly-to-judge"},
    "needs a second trust store": {"store-differs"},
    "is a note beside a sound finding": {"sni-required"},
}


def test_names_and_hosts_are_unique() -> None:
    for values in ([case.name for case in CASES], [case.full_host for case in CASES]):
        assert [value for value, count in Counter(values).items() if count > 1] == []


def test_codes_belong_to_their_causes() -> None:
    for case in CASES:
        assert case.codes <= set(CODES), case.name
        if case.code is not None:
            entry = CODES[case.code]
            assert case.cause in (None, entry.cause), case.name


def test_outcomes_match_cause_and_severity() -> None:
    for case in CASES:
        assert (case.outcome == "fail") is (case.cause is not None), case.name
        severity = None if case.code is None else CODES[case.code].severity
        expected: dict[str, set[str | None]] = {"ok": {None, "note"}, "warn": {"warning"}, "fail": {"error"}}
        assert severity in expected[case.outcome], case.name


def test_every_code_has_a_case_or_a_reason() -> None:
    shown = {case.code for case in CASES if case.code is not None}
    excused = set().union(*ELSEWHERE.values())
    assert set(CODES) - shown - excused == set()
    assert shown & excused == set()


def test_stories_are_sentences() -> None:
    for case in CASES:
        assert case.story[0].isupper() and case.story.endswith("."), case.name
        assert "\n" not in case.story and len(case.story) < 140, case.name
