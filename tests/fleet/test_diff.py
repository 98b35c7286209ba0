"""What became of a target between runs: by category, whatever the order and the number of files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from scanner.fleet.diff import CATEGORIES, MAX_FILES, Diff, DiffError

A, B = "aa" * 32, "bb" * 32


def seen(host: str, outcome: str = "ok", cause: str | None = None, **changes: Any) -> dict[str, Any]:
    """A finding as a run writes it, as far as a comparison looks."""
    leaf, issuer = changes.pop("leaf", A), changes.pop("issuer", "CN=One")
    target = {"row": 1, "id": None, "host": host, "port": 443, "protocol": "tls", "sni": host, "address": None}
    severity = {"ok": "note", "warn": "warning", "fail": "error", "invalid": "error"}[outcome]
    return {
        "schema": "tlsweep/1",
        "run": changes.pop("run", "r"),
        "target": {**target, **changes},
        "outcome": outcome,
        "cause": cause,
        "diagnoses": [{"code": f"code-of-{cause}", "severity": severity}] if cause else [],
        "endpoints": [{"chain": [leaf]}],
        "certificates": [{"sha256": leaf, "issuer": issuer, "not_after": "2027-01-01T00:00:00Z"}],
    }


def write(path: Path, findings: Sequence[dict[str, Any]], tail: bytes = b"") -> str:
    path.write_bytes(b"".join(orjson.dumps(item) + b"\n" for item in findings) + tail)
    return str(path)


def told(tmp_path: Path, *files: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
    """Host -> categories."""
    paths = [write(tmp_path / f"{number}.ndjson", findings) for number, findings in enumerate(files)]
    with Diff(paths, directory=str(tmp_path)) as diff:
        return {change.target["host"]: set(categories) for categories, change in diff.changes()}


FAIL = ("fail", "dns")
CASES = [
    (("ok", None), ("ok", None), set()),
    (("ok", None), FAIL, {"new"}),
    (("warn", None), FAIL, {"new"}),
    (("invalid", None), FAIL, {"new"}),
    (FAIL, ("ok", None), {"fixed"}),
    (FAIL, ("warn", None), {"fixed"}),
    (FAIL, FAIL, {"still-broken"}),
    (FAIL, ("fail", "revoked"), {"changed"}),
    (("ok", None), ("warn", None), {"worse"}),
    (("warn", None), ("ok", None), {"better"}),
    (None, ("ok", None), {"appeared"}),
    (None, FAIL, {"appeared", "new"}),
    (FAIL, None, {"vanished"}),
    (("ok", None), None, {"vanished"}),
]


@pytest.mark.parametrize(("old", "new", "expected"), CASES)
def test_categories(
    tmp_path: Path,
    old: tuple[str, str | None] | None,
    new: tuple[str, str | None] | None,
    expected: set[str],
) -> None:
    other = seen("other.example")
    found = told(
        tmp_path,
        [other] + ([seen("a.example", *old)] if old else []),
        [other] + ([seen("a.example", *new)] if new else []),
    )
    assert found["a.example"] == expected
    assert found["other.example"] == set()


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    old = [seen(f"h{number}.example", *(FAIL if number % 3 else ("ok", None))) for number in range(60)]
    new = [seen(f"h{number}.example", *(FAIL if number % 4 else ("ok", None))) for number in range(5, 70)]
    expected = told(tmp_path, old, new)
    random.Random(1).shuffle(old)
    random.Random(2).shuffle(new)
    assert told(tmp_path, old, new) == expected
    assert {category for categories in expected.values() for category in categories} == {
        "new", "fixed", "still-broken", "appeared", "vanished",
    }  # fmt: skip


@pytest.mark.parametrize(("issuer", "same"), [("CN=One", True), ("CN=Two", False)])
def test_a_replaced_certificate(tmp_path: Path, issuer: str, same: bool) -> None:
    paths = [
        write(tmp_path / "old", [seen("a.example")]),
        write(tmp_path / "new", [seen("a.example", leaf=B, issuer=issuer)]),
    ]
    with Diff(paths) as diff:
        ((categories, change),) = diff.changes()
    assert categories == {"replaced"}
    assert change.to_json()["same_issuer"] is same


@pytest.mark.parametrize(
    ("course", "flaps"),
    [
        ("ok fail ok", True),
        ("fail ok fail", True),
        ("ok fail fail", False),
        ("ok warn ok", False),
        ("fail - ok", False),
        ("fail - ok - fail", True),
        ("fail ok fail ok -", True),
    ],
)
def test_flapping(tmp_path: Path, course: str, flaps: bool) -> None:
    files = [
        [
            seen("other.example"),
            *([] if outcome == "-" else [seen("a.example", *(FAIL if outcome == "fail" else (outcome,)))]),
        ]
        for outcome in course.split()
    ]
    assert ("flapping" in told(tmp_path, *files)["a.example"]) is flaps


def test_what_makes_another_target(tmp_path: Path) -> None:
    same = [
        seen("a.example"),
        seen("a.example", port=8443),
        seen("a.example", id="x"),
        seen("a.example", protocol="smtp"),
    ]
    paths = [
        write(tmp_path / "old", same),
        write(tmp_path / "new", [*same, {**seen("a.example", row=7), "outcome": "warn"}]),
    ]
    with Diff(paths) as diff:
        counts = diff.summary().counts
        assert (counts["worse"], counts["unchanged"]) == (1, 3)
        # the last of several about one target counts, and that is said
        assert [facts.duplicates for facts in diff.files] == [0, 1]


def test_what_is_told_of_the_files(tmp_path: Path) -> None:
    old = write(
        tmp_path / "old", [seen("a.example", run="one"), seen("b.example", run="two")], b'{"schema":"other/9"}\n'
    )
    new = write(tmp_path / "new", [seen("a.example", *FAIL, run="three")], b'\0\n{"schema":"tlsweep/1","tar')
    with Diff([old, new]) as diff:
        assert [facts.runs for facts in diff.files] == [["one", "two"], ["three"]]
        assert [facts.unreadable_lines for facts in diff.files] == [1, 2]
        assert diff.files[1].outcomes == {"fail": 1}


@pytest.mark.parametrize("count", [0, 1, MAX_FILES + 1])
def test_too_few_and_too_many_files(count: int) -> None:
    with pytest.raises(DiffError, match="two files"):
        Diff(["a"] * count)


def test_standard_input_can_be_read_once() -> None:
    with pytest.raises(DiffError, match="standard input"):
        Diff(["-", "-"])


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    path = write(tmp_path / "f", [seen("a.example")])
    room = tmp_path / "room"
    room.mkdir()
    with Diff([path, path], directory=str(room)):
        assert list(room.iterdir())
    with pytest.raises(Exception, match="cannot read"), Diff([path, str(tmp_path / "none")], directory=str(room)):
        pass
    assert not list(room.iterdir())


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "f", [seen("a.example")])
    with (
        pytest.raises(DiffError, match="cannot keep what is compared"),
        Diff([path, path], directory=str(tmp_path / "no")),
    ):
        pass


def test_foreign_values_cost_no_more_than_themselves(tmp_path: Path) -> None:
    strange = seen("a.example", row=2**64 - 1, port=[1], id={"x": 1}, sni=1.5)
    strange.update(cause=5, diagnoses=[1, {"code": 5, "severity": "error"}, {"code": "a,b", "severity": "error"}])
    strange.update(endpoints=[[]], certificates="x", run=[])
    found = told(tmp_path, [strange], [strange])
    assert list(found.values()) == [set()]


def test_every_category_has_a_title() -> None:
    from scanner.fleet.diff import TITLES

    assert tuple(TITLES) == CATEGORIES
