"""Which rows are done, compactly, and only for the targets they were probed for."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from msgspec.structs import replace

from scanner.model.evidence import InvalidRow
from scanner.output import Completed, NotFindings, completed
from tests.output.made import as_target, finding, line


def test_rows_with_a_finding_are_done(tmp_path: Path) -> None:
    path = tmp_path / "findings"
    path.write_bytes(line(1) + b"garbage\n" + line(70_000) + line(5, run="r2") + line(9)[:20])
    done = completed(str(path))
    assert len(done) == 3 and done.unreadable == 2
    assert [done.status(as_target(row)) for row in (1, 2, 5, 9, 70_000, 10**9)] == [
        "done", "todo", "done", "todo", "done", "todo",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"host": "x.example"}, {"port": 444}, {"protocol": "https"}, {"sni": None}, {"address": "192.0.2.1"}]
)
def test_a_row_with_another_target_is_changed(change: dict[str, object]) -> None:
    done = Completed()
    done.add(finding(1))
    assert done.status(as_target(1)) == "done"
    assert done.status(as_target(1, **change)) == "changed"


def test_invalid_rows_are_done_too() -> None:
    done = Completed()
    target = {"row": 4, "id": None, "host": "*.x", "port": None, "protocol": None, "sni": None, "address": None}
    done.add(finding(4, target=target, outcome="invalid"))
    assert done.status(InvalidRow(4, "a pattern", "*.x")) == "done"
    assert done.status(InvalidRow(4, "a pattern", "*.y")) == "changed"
    assert done.status(as_target(4)) == "changed"


def test_absent_empty_and_torn_files_have_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "findings"
    assert len(completed(str(path))) == 0
    for content in (b"", line(1)[:25]):
        path.write_bytes(content)
        assert len(completed(str(path))) == 0


@pytest.mark.parametrize("content", [b"thesis\n", b"thesis\nin two lines\n", b"\x1f\x8bzz"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "findings"
    path.write_bytes(content)
    with pytest.raises(NotFindings):
        completed(str(path))


@pytest.mark.parametrize("row", [None, "1", -1, 1 << 50, 1.5, [1]])
def test_impossible_row_numbers_are_unreadable(row: object) -> None:
    done = Completed()
    done.add(finding(1, target={"row": row, "host": "a.example"}))
    assert len(done) == 0 and done.unreadable == 1


def test_a_row_takes_about_four_bytes() -> None:
    made = finding(1)
    tracemalloc.start()
    try:
        done = Completed()
        for row in range(1, 131_073):
            made["target"]["row"] = row
            done.add(made)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(done) == 131_072
    assert held < 131_072 * 4 * 1.6


def test_scattered_rows_stay_small() -> None:
    done = Completed()
    for row in range(0, 10**9, 10**6):
        done.add(finding(row))
    assert len(done) == 1000
    assert done.status(as_target(10**6)) == "done"


def test_a_protocol_that_was_found_out_is_the_row_that_left_it_open() -> None:
    done = Completed()
    written = finding(1)
    written["target"] |= {"protocol": "smtp", "auto": True}
    done.add(written)
    row = as_target(1)
    assert done.status(replace(row, protocol="tls", auto=True)) == "done"
    assert done.status(replace(row, protocol="smtp")) == "changed"
    assert done.status(replace(row, protocol="tls")) == "changed"
