"""Single rules. Their places in a path are tested with the judge."""

from __future__ import annotations

from scanner.pki import rules
from scanner.pki.verdicts import Problem
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW

ROOT = pki.root()


def test_worst_first_keeps_unknown_codes_last() -> None:
    problems = [Problem(code, None) for code in ("weak-key", "new-rule", "certificate-expired", "bad-signature")]
    assert [problem.code for problem in rules.worst_first(problems)] == [
        "certificate-expired",
        "bad-signature",
        "weak-key",
        "new-rule",
    ]


def test_evidence_says_what_and_by_how_much() -> None:
    leaf = pki.certificate("a.example", issuer=ROOT, not_after=NOW - 3 * DAY).parsed
    (problem,) = rules.leaf_problems(leaf, NOW)
    assert problem.evidence == {"subject": "CN=a.example", "not_after": "2026-11-20T12:00:00Z", "days": 3.0}
    early = pki.certificate("a.example", issuer=ROOT, not_before=NOW + DAY / 2).parsed
    (problem,) = rules.leaf_problems(early, NOW)
    assert (problem.code, problem.evidence["days"]) == ("certificate-not-yet-valid", 0.5)


def test_self_issued_authorities_do_not_count_for_path_length() -> None:
    top = pki.root("Top", path_length=0)
    rolled = pki.authority("Top", top, private=pki.key("rolled"))
    assert rules.issuer_problems((rolled.parsed, top.parsed), closed=True) == []
    other = pki.authority("Other", top)
    (problem,) = rules.issuer_problems((other.parsed, top.parsed), closed=True)
    assert problem.evidence == {"subject": "CN=Top", "path_length": 0, "below": 1}


def test_usages_are_named() -> None:
    assert rules.usages(ROOT.parsed) == ["keyCertSign", "cRLSign"]


def test_lifetimes_before_there_were_limits() -> None:
    old = pki.certificate("a.example", issuer=ROOT, not_before=0.0, not_after=NOW).parsed
    assert rules.lifetime_problem(old) is None
