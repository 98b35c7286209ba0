"""Sections in words and numbers."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from scanner.diagnosis.catalogue import CODES
from scanner.fleet.stats.counts import GroupCounts
from scanner.fleet.stats.expiry import Expiry
from scanner.report.changes import Changes, Night
from scanner.report.collect import Collected
from scanner.report.sections import (
    MAX_VERDICTS,
    WEEKS,
    causes,
    day_of,
    expiring,
    expiry,
    groups,
    moment_text,
    nights,
    shared,
    verdicts,
)
from tests.report.conftest import finding


def counted(*given: tuple[str, str | None, str]) -> GroupCounts:
    made = GroupCounts()
    for outcome, cause, code in given:
        made.add(outcome, cause if outcome == "fail" else None, [(cause, code)] if cause is not None else [])
    return made


def test_causes_that_make_targets_fail_come_first() -> None:
    total = counted(
        ("warn", "dns", "private-address"),
        ("warn", "dns", "private-address"),
        ("fail", "revoked", "revoked-crl"),
        ("ok", None, ""),
    )
    first, second = causes(total)
    assert (first.name, first.primary, first.targets, first.share) == ("revoked", 1, 1, "25.0 %")
    assert first.codes == (("revoked-crl", CODES["revoked-crl"].title, 1),)
    assert (second.name, second.title, second.primary, second.targets) == ("dns", "The name leads nowhere", 0, 2)


def test_groups_are_ordered_by_size_or_by_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "large": counted(*[("ok", None, "")] * 5),
        "bad": counted(("fail", "dns", "nxdomain")),
        "": counted(("warn", None, "")),
    }
    assert [one.value for one in groups(found)[0]] == ["large", "(none)", "bad"]
    monkeypatch.setattr("scanner.report.sections.MAX_GROUPS", 1)
    (worst,), left_out = groups(found, worst_first=True)
    assert (worst.value, worst.fail, worst.part, worst.causes, left_out) == ("bad", 1, 100.0, "dns 1", 2)


def test_services_by_week_of_expiry() -> None:
    by_day = {"2026-10-01": 2, "2026-11-08": 1, "2026-11-09": 3, "2026-12-25": 4, "2031-01-01": 5, "never": 6}
    counted = Expiry()
    for day, services in by_day.items():
        counted.add([(day, "ab")] * services)
    found = expiry(counted, "2026-11-08T02:00:00Z")
    assert found.expired == 2 and found.total == 21 and len(found.weeks) == WEEKS
    assert found.weeks[0] == (date(2026, 11, 2), 1, "urgent") and found.weeks[1] == (date(2026, 11, 9), 3, "urgent")
    assert found.within == ((7, 4), (14, 4), (30, 4), (90, 8)) and found.later == 11
    assert expiry(counted, None).weeks == ()


def test_the_next_certificate_to_expire_with_examples() -> None:
    collected = Collected(None)
    collected.add([finding(f"h{number}.example") for number in range(5)])
    (one,) = expiring(collected)
    assert (one.day, one.days, one.subject, one.services) == ("2026-12-20", 42, "h0.example", 5)
    assert one.examples == "h0.example:443, h1.example:443, h2.example:443 and 2 more"


def verdict(targets: int = 0, **given: Any) -> dict[str, Any]:
    return {"targets": targets, "said": 0, "reclassified": {}, "otherwise": {}, **given}


def correlation(**given: Any) -> dict[str, Any]:
    clock = verdict(state="right", witnesses=[])
    return {"clock": clock, "interceptors": [], "portals": [], "revocation_blocked": None, **given}


def test_verdicts_on_the_fleet_in_words() -> None:
    assert list(verdicts(correlation())) == []
    told = correlation(
        clocks={"one": verdict(3, state="wrong", offset_seconds=86_400.0), "two": verdict(state="wrong")},
        interceptors=[
            verdict(
                9 - number,
                issuer=f"CN=Box {number}",
                certain=number == 0,
                reclassified={"untrusted-ca": 4},
                otherwise={"revoked": 1},
            )
            for number in range(MAX_VERDICTS + 2)
        ],
        portals=[verdict(1, to="portal.example")],
        revocation_blocked=verdict(1200),
    )
    found = list(verdicts(told))
    assert found[0] == ("The clock of the scanning machine is wrong", "24 hours behind, one", "3 targets")
    assert found[1][1:] == ("two", "")
    assert found[2][1:] == (
        "CN=Box 0", "9 targets, 4 by interception instead of untrusted-ca, 1 written down as revoked before that was known"
    )  # fmt: skip
    assert "your own" not in found[2][0] and "your own" in found[3][0]
    assert ("and 2 more such issuers", "", "") in found
    assert found[-2] == ("A captive portal or block page answers for others", "portal.example", "1 target")
    assert found[-1][2] == "1,200 targets"


def test_shared_causes_are_cut_to_what_a_page_shows() -> None:
    one = {"code": "nxdomain", "kind": "domain", "key": "a.example", "targets": 9, "examples": ["a", "b", "c", "d"]}
    shown, left_out = shared([one] * 20)
    assert (len(shown), left_out) == (12, 8)
    assert (shown[0]["title"], shown[0]["examples"]) == ("The name does not exist", "a, b, c")


def test_the_trend_ends_with_this_run() -> None:
    collected = Collected(None)
    collected.add([finding()])
    assert nights(collected, None) == []
    before = Night("old.ndjson", None, {"ok": 1, "fail": 2})
    changes = Changes(before, {}, {}, [before, Night("copy", None, {})])
    assert [(night.name, night.findings) for night in nights(collected, changes)] == [
        ("old.ndjson", 3),
        ("this run", 1),
    ]


def test_moments_for_a_person() -> None:
    assert day_of("2026-11-08T02:00:00Z") == date(2026, 11, 8)
    assert day_of(None) is None and day_of("\u202e") is None and day_of("2026-13-01") is None
    assert moment_text("2026-11-08T02:03:04Z") == "2026-11-08 02:03 UTC"
    assert moment_text("2026-11-08") == "2026-11-08"
    assert moment_text(None) == moment_text("<b>") == "at an unknown time"
