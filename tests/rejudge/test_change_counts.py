"""Counts of what judging again has changed, and the words for them."""

from __future__ import annotations

from typing import Any

from scanner.output import Unreadable
from scanner.rejudge.change_counts import ChangeCounts, verdict_of
from scanner.rejudge.judging import Rejudged


def finding(outcome: str, cause: str | None = None, *codes: str) -> dict[str, Any]:
    diagnoses = [{"code": code, "severity": "error", "summary": "words", "evidence": {}} for code in codes]
    return {"target": {"host": "a.example"}, "outcome": outcome, "cause": cause, "diagnoses": diagnoses}


def lines(*items: Rejudged | Unreadable) -> list[str]:
    tally = ChangeCounts()
    for item in items:
        tally.add(item)
    return tally.lines()


def test_other_texts_and_evidence_are_not_a_change() -> None:
    before, now = finding("fail", "dns", "nxdomain"), finding("fail", "dns", "nxdomain")
    now["diagnoses"][0] |= {"summary": "other words", "evidence": {"days": 4}}
    assert verdict_of(before) == verdict_of(now)
    assert lines(Rejudged(before, now)) == ["1 finding judged again: 1 the same, 0 changed"]


def test_changes_are_counted_by_cause() -> None:
    fine, expired = finding("ok"), finding("fail", "expired-or-self-signed", "certificate-expired")
    odd = finding("fail", "expired-or-self-signed", "self-signed-leaf")
    assert lines(
        Rejudged(fine, expired), Rejudged(fine, expired), Rejudged(expired, finding("warn")), Rejudged(expired, odd), Rejudged(fine, fine)
    ) == [
        "5 findings judged again: 1 the same, 4 changed (2 from in order to expired-or-self-signed; 1 from "
        "expired-or-self-signed to a warning; 1 still expired-or-self-signed, with other codes)"
    ]  # fmt: skip


def test_many_kinds_of_change_are_summed_up() -> None:
    (line,) = lines(*(Rejudged(finding("ok"), finding("fail", f"cause-{number}")) for number in range(12)))
    assert line.endswith("; 4 otherwise)")


def test_unjudged_findings_and_unreadable_lines_are_counted() -> None:
    found = lines(
        Rejudged(finding("ok"), None, "port: missing"),
        Rejudged({}, None, "x"),
        Unreadable("f", 3, "not JSON"),
        Unreadable("f", 4, "not an object"),
    )
    assert found[1:] == [
        "2 findings are as they were, since they cannot be judged again (first: a.example: port: missing)",
        "2 lines left out: no finding (first: line 3: not JSON)",
    ]


def test_crafted_findings_are_harmless() -> None:
    crafted = {"outcome": "fail", "cause": "\x1b[31m", "diagnoses": [1, {"code": []}], "target": 5}
    (line,) = lines(Rejudged(crafted, finding("ok")))
    assert line.isprintable()
    assert all(text.isprintable() for text in lines(Rejudged({"target": {"host": "\x1b"}}, None, "x")))
