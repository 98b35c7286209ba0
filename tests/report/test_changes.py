"""What changed since the latest of the earlier runs, whatever their order, and the trend over all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanner.fleet.diff.comparison import DiffError
from scanner.fleet.keys import identity
from scanner.report.changes import MAX_LISTED, changes, in_order
from tests.report.conftest import B, finding, write


def night(path: Path, day: int, *findings: dict[str, Any]) -> str:
    return write(path, [{**one, "started": f"2026-11-{day:02}T02:00:00.000Z"} for one in findings])


@pytest.fixture
def three(tmp_path: Path) -> tuple[str, str, str]:
    fails, fine = finding("a.example", "fail", "dns"), finding("a.example")
    other = finding("b.example")
    return (
        night(tmp_path / "1", 1, fails, other, finding("gone.example")),
        night(tmp_path / "2", 2, fine, other),
        night(
            tmp_path / "3",
            3,
            fails,
            {**other, **{key: finding("b.example", leaf=B)[key] for key in ("endpoints", "certificates")}},
        ),
    )


def test_changes_are_those_since_the_latest_earlier_run(three: tuple[str, str, str]) -> None:
    first, second, third = three
    for earlier in ([first, second], [second, first]):
        found = changes([third], earlier)
        assert found.since.started == "2026-11-02T02:00:00.000Z"
        assert {name: count for name, count in found.counts.items() if count} == {
            "new": 1,
            "flapping": 1,
            "replaced": 1,
        }
        assert [(one.target, one.was, one.now) for one in found.listed["new"]] == [("a.example:443", "ok", "fail: dns")]
        assert found.listed["flapping"][0].codes == "fail ok fail"
        assert found.listed["replaced"][0].codes == "same issuer, until 2026-12-20"
        assert [night.outcomes.get("fail", 0) for night in found.nights] == [1, 0, 1]
        assert found.fresh == {identity(finding("a.example"))}


def test_files_of_one_run_are_compared_together(three: tuple[str, str, str], tmp_path: Path) -> None:
    part = night(tmp_path / "part", 3, finding("new.example", "fail", "dns"))
    found = changes([three[2], part], [three[1]])
    assert found.counts["new"] == 2 and found.nights[-1].findings == 3


def test_long_lists_are_cut(tmp_path: Path) -> None:
    many = [finding(f"h{number}.example") for number in range(MAX_LISTED + 5)]
    old = night(tmp_path / "1", 1, *many)
    new = night(tmp_path / "2", 2, *({**one, "outcome": "fail"} for one in many))
    found = changes([new], [old])
    assert found.counts["new"] == len(found.fresh) == MAX_LISTED + 5 and len(found.listed["new"]) == MAX_LISTED


def test_earlier_runs_are_ordered_by_when_they_began(tmp_path: Path) -> None:
    one, two = night(tmp_path / "1", 1, finding()), night(tmp_path / "2", 2, finding())
    undated = write(tmp_path / "3", [{**finding(), "started": None}])
    assert in_order([two, one]) == [one, two]
    assert in_order([two, undated, one]) == [two, undated, one]
    assert in_order([two, "-"]) == [two, "-"]


def test_too_many_earlier_runs_are_refused(three: tuple[str, str, str]) -> None:
    with pytest.raises(DiffError, match="--since"):
        changes([three[0]], [three[1]] * 100)
