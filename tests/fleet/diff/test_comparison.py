"""What became of a target between runs: by category, whatever the order and the number of files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from scanner.fleet.diff.comparison import MAX_FILES, Diff, DiffError
from scanner.fleet.diff.target_states import CATEGORIES

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
    (FAIL, FAIL, {"still_broken"}),
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
        "new", "fixed", "still_broken", "appeared", "vanished",
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


def test_host_port_and_the_rest_of_the_identity_make_a_target(tmp_path: Path) -> None:
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


def test_counts_of_each_file(tmp_path: Path) -> None:
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
    with Diff([path, path], directory=str(room)) as diff:
        # not even while it is open: whatever ends the process, the file is gone
        assert not list(room.iterdir())
        assert diff.summary().counts["unchanged"] == 1
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


def test_odd_findings_cost_no_more_than_themselves(tmp_path: Path) -> None:
    strange = seen("a.example", row=2**64 - 1, port=[1], id={"x": 1}, sni=1.5)
    strange.update(cause=5, diagnoses=[1, {"code": 5, "severity": "error"}, {"code": "a,b", "severity": "error"}])
    strange.update(endpoints=[[]], certificates="x", run=[])
    found = told(tmp_path, [strange], [strange])
    assert list(found.values()) == [set()]


def test_every_category_has_a_title() -> None:
    from scanner.fleet.diff.target_states import TITLES

    assert tuple(TITLES) == CATEGORIES


@pytest.mark.parametrize("turn", [1, -1])
def test_of_several_findings_about_one_target_the_order_of_lines_does_not_choose(tmp_path: Path, turn: int) -> None:
    """Within a run the worst counts; of more runs in one file the latest."""
    old = [seen("a.example", run="20261101"), seen("b.example", *FAIL, run="20261101")]
    twice = [seen("a.example", run="20261102"), seen("a.example", *FAIL, run="20261102")]
    mixed = [seen("b.example", run="20261102"), seen("b.example", *FAIL, run="20261101")]
    assert told(tmp_path, old, (twice + mixed)[::turn]) == {"a.example": {"new"}, "b.example": {"fixed"}}


def test_a_target_of_a_run_in_between_is_not_called_unchanged(tmp_path: Path) -> None:
    files = [[seen("a.example")], [seen("a.example"), seen("b.example")], [seen("a.example")]]
    with Diff([write(tmp_path / str(number), file) for number, file in enumerate(files)]) as diff:
        assert diff.summary().counts["unchanged"] == 1


@pytest.mark.parametrize("base", [0, -2])
def test_each_category_alone_is_what_all_say(tmp_path: Path, base: int) -> None:
    rng = random.Random(3)
    files = [
        [seen(f"h{rng.randrange(80)}.example", *rng.choice((FAIL, ("ok",), ("warn",)))) for _ in range(60)]
        for _ in "abc"
    ]
    with Diff([write(tmp_path / str(number), file) for number, file in enumerate(files)], base=base) as diff:
        everything = list(diff.changes())
        for category in CATEGORIES:
            of_it = [change for categories, change in everything if category in categories]
            assert list(diff.in_category(category)) == of_it
            assert diff.summary().counts[category] == len(of_it)


def test_a_full_disk_is_reported_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "f", [seen(f"h{number}.example", *FAIL) for number in range(3000)])
    diff = Diff([path, path], directory=str(tmp_path))
    opened = diff._open

    def small() -> Any:
        table = opened()
        table.execute("PRAGMA max_page_count = 20")
        return table

    diff._open = small  # type: ignore[method-assign]
    with pytest.raises(DiffError, match=r"cannot keep what is compared in .* full") as raised, diff:
        pass
    assert "\n" not in str(raised.value)
