"""What is seen first."""

from __future__ import annotations

from scanner.report.changes import Changes, Night
from scanner.report.sections import Cause, Expiring, ExpiryCalendar, Group
from scanner.report.summary import answers, headline, tiles
from tests.report.test_sections import counted

FAIL, OK = ("fail", "dns", "nxdomain"), ("ok", None, "")


def test_the_headline_counts_failing_targets() -> None:
    assert headline(counted(*[FAIL] * 2, *[OK] * 1200)) == "2 of 1,202 targets fail"
    assert headline(counted(FAIL, OK)) == "1 of 2 targets fails"
    assert headline(counted(OK, OK)) == "None of 2 targets fails"
    assert headline(counted(OK)) == "The target does not fail"


def test_tiles_are_compared_with_the_run_before() -> None:
    before = Changes(Night("old", None, {"fail": 3, "ok": 1}), {}, {}, [])
    found = tiles(counted(FAIL, OK, OK), before)
    assert [(one.kind, one.count, one.change) for one in found] == [
        ("fail", 1, "2 fewer than before"), ("warn", 0, "as before"), ("ok", 2, "1 more than before")
    ]  # fmt: skip
    assert [one.change for one in tiles(counted(("invalid", None, "")), None)] == [None] * 4


def cause(name: str, primary: int) -> Cause:
    return Cause(name, "", primary, primary, "", ())


def test_answers_to_the_first_questions() -> None:
    owners = [
        Group("web", 9, 4, 0, 5, 0, "", 44.4, ""),
        Group("(none)", 9, 1, 0, 8, 0, "", 11.1, ""),
        Group("x", 1, 0, 0, 1, 0, "", 0, ""),
    ]
    counts = {"new": 1, "fixed": 0, "changed": 2, "still_broken": 0, "vanished": 3}
    expiring = [Expiring("2026-11-09", 1, "a.example", "", 5, "")]
    expiry = ExpiryCalendar((), 0, ((7, 5), (14, 9)), 0, 20)
    shared = [
        {"targets": 99, "code": "revocation-unknown", "kind": "host", "key": "x.example", "error": False},
        {"targets": 12, "code": "nxdomain", "kind": "domain", "key": "a.example", "error": True},
    ]
    causes = [cause(name, 9 - place) for place, name in enumerate(("dns", "revoked", "interception", "clock-skew"))]
    found = dict(
        answers(causes, owners, Changes(Night("", None, {}), counts, {}, []), expiry, expiring, shared, "owner")
    )
    assert found == {
        "Causes": "dns 9, revoked 8, interception 7, and 1 more",
        "Whose": "web 4, nobody named 1",
        "Changes": "1 new failure, 0 fixed, 2 failing for another cause, 3 gone from the inventory",
        "Expires next": "a.example tomorrow, which 5 services use; 9 services within 14 days",
        "One repair": "would mend 12 targets: nxdomain, one domain (a.example)",
    }


def test_no_answers_where_nothing_is_wrong() -> None:
    assert list(answers([], [], None, ExpiryCalendar((), 0, (), 0, 0), [], [], None)) == []
