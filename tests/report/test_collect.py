"""What the one pass brings, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.fleet.stats.run_counts import UnknownColumn
from scanner.output import read_findings
from scanner.report import collect as collecting
from scanner.report.collect import NextToExpire, Picker, collect
from tests.helpers.hostile import hostile_finding, misshapen
from tests.report.conftest import finding, write


def test_the_counts_are_those_of_the_statistics(nights: list[str]) -> None:
    found = collect(nights)
    assert found.statistics.counts.total.findings == 1500
    assert found.picker.offered == 1500 - found.statistics.counts.total.outcomes["ok"]
    assert found.owner == "owner" and found.statistics.counts.by["owner"]
    assert (found.first or "") < (found.last or "") and (found.last or "").startswith("2026-11-04")


@pytest.mark.parametrize(
    ("tags", "column"),
    [
        ({"site": "x"}, None),
        ({"Team": "x", "OWNER": "y"}, "OWNER"),
        ({}, None),
    ],
)
def test_the_owners_column(tags: dict[str, str], column: str | None, tmp_path: Path) -> None:
    assert collect([write(tmp_path / "f.ndjson", [finding(tags={}), finding(tags=tags)])]).owner == column


def test_the_owner_column_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "f.ndjson", [finding(tags={"site": "north"})])
    assert set(collect([path], by="site").statistics.counts.by["site"]) == {"north"}
    with pytest.raises(UnknownColumn, match="there are: site"):
        collect([path], by="owner")


def test_rare_faults_are_not_lost_behind_common_ones() -> None:
    picker = Picker(limit=6)
    for number in range(50):
        picker.add(finding(f"common{number}.example", "fail", "dns"), None, fresh=False)
        picker.add(finding(f"warned{number}.example", "warn", "dns"), None, fresh=False)
    picker.add(finding("rare.example", "fail", "revoked", "revoked-crl"), None, fresh=False)
    picker.add(finding("new.example", "fail", "dns"), None, fresh=True)
    names = [row.target.partition(".")[0] for row in picker.by_importance()]
    assert names == ["new", "common0", "rare", "common1", "common2", "common3"]
    assert picker.offered == 102


def test_codes_counted_while_picking_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MAX_CODES", 5)
    picker = Picker(limit=3)
    for number in range(100):
        picker.add(finding(f"a{number}.example", "fail", "dns", f"code{number}"), None, fresh=False)
    assert len(picker._met) <= 6 and len(picker.by_importance()) == 3


def expiring(day: int, leaf: str, host: str = "a.example") -> dict[str, object]:
    made = finding(host, leaf=leaf)
    made["certificates"][0]["not_after"] = f"2026-12-{day:02}T00:00:00Z"
    return made


def test_the_certificates_that_expire_next() -> None:
    next_to_expire = NextToExpire()
    next_to_expire.add([expiring(3, "cc", "c.example"), expiring(1, "aa", "a.example"), expiring(1, "aa", "b.example")])
    next_to_expire.add([{**expiring(2, "dd"), "started": "2026-12-02T00:00:01Z"}])  # expired already
    (_, first), (_, second) = next_to_expire.listed()
    assert (first.subject, first.services, first.examples) == ("a.example", 2, ["a.example:443", "b.example:443"])
    assert second.services == 1


def test_the_next_to_expire_are_exact_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MAX_UPCOMING", 3)
    monkeypatch.setattr(collecting, "KEPT_UPCOMING", 6)
    next_to_expire = NextToExpire()
    for turn in range(2):
        for day in range(28, 0, -1):
            next_to_expire.add([expiring(day, f"{day:064x}", f"h{turn}.example")])
    listed = next_to_expire.listed()
    assert [when[8:10] for when, _ in listed] == ["01", "02", "03"]
    assert [one.services for _, one in listed] == [2, 2, 2]
    assert len(next_to_expire._kept) <= 6


def test_odd_findings_are_collected(tmp_path: Path) -> None:
    given = [*misshapen(), *(hostile_finding(number) for number in range(13))]
    path = write(tmp_path / "f.ndjson", given, b'{"torn":')
    found = collect([path], by=None)
    readable = sum(isinstance(one, dict) for one in read_findings([path]))
    assert found.picker.offered == readable == len(given)
    assert found.statistics.counts.unreadable_lines == 1
