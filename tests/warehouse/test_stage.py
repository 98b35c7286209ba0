"""Staging keeps every row of a run once, counts bad lines, and bounds memory."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson
import pytest

from scanner.output import NotFindings
from scanner.warehouse import stage as staging
from scanner.warehouse.stage import LoadError, RunSummary, stage
from tests.helpers.warehouse import certificate, finding, write
from tests.warehouse.conftest import ROOT


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_rows_are_staged_by_table_and_removed_afterwards(tmp_path: Path, own_temporary_directory: Path) -> None:
    path = write(tmp_path / "a", [finding("a.example", "dns"), finding("b.example", row=2)])
    with stage([path]) as staged:
        assert staged.counts == {
            "runs": 1, "findings": 2, "diagnoses": 1, "endpoints": 2, "certificates": 2, "chains": 2,
        }  # fmt: skip
        (run,) = staged.rows("runs")
        assert run == {
            "run": "night-0", "run_date": "2026-11-02", "schema_version": "tlsweep/1",
            "first_started": "2026-11-02 02:00:01.000", "last_started": "2026-11-02 02:00:02.000",
            "findings": 2, "ok": 1, "warn": 0, "fail": 1, "invalid": 0, "files": [path],
        }  # fmt: skip
        assert [row["host"] for row in staged.rows("findings")] == ["a.example", "b.example"]
        assert list(own_temporary_directory.iterdir()) == [staged.directory]
        assert staged.directory.stat().st_mode & 0o077 == 0
    assert list(own_temporary_directory.iterdir()) == []


def test_the_date_of_a_run_is_that_of_its_first_finding(tmp_path: Path) -> None:
    late, early = finding("a", row=2), finding("b", row=1)
    early["started"], late["started"] = "2026-11-02T23:59:59.9Z", "2026-11-03T00:00:00.1Z"
    for order in ([late, early], [early, late]):
        with stage([write(tmp_path / "a", order)]) as staged:
            assert staged.runs["night-0"].run_date == "2026-11-02"
    with stage([write(tmp_path / "a", [finding("a", started="soon")])]) as staged:
        assert staged.runs["night-0"].run_date == staging.UNKNOWN_DATE


def test_mixed_runs_are_separated_and_duplicate_rows_dropped(tmp_path: Path) -> None:
    one = write(tmp_path / "one", [finding("a", row=1), finding("a", night=1, row=1), finding("twice", row=1)])
    two = write(tmp_path / "two", [finding("b", row=2), finding("a", night=1, row=1)])
    with stage([one, two, one]) as staged:
        assert {name: sum(facts.outcomes.values()) for name, facts in staged.runs.items()} == {
            "night-0": 2,
            "night-1": 1,
        }
        assert staged.duplicates == 5
        assert [row["host"] for row in staged.rows("findings")] == ["a", "a", "b"]
        assert list(staged.runs["night-0"].files) == [one, two]


def test_lines_that_are_not_findings_are_counted(tmp_path: Path) -> None:
    deep: list[object] = []
    for _ in range(150):
        deep = [deep]
    tail = b'{"schema":"tlsweep/2","run":"x"}\n\0\0\0\nnot json\n' + orjson.dumps(finding("z", row=9))[:-20]
    path = write(
        tmp_path / "a",
        [
            finding("a", run=""),
            finding("b", run="r" * 201),
            finding("c", row=-1),
            finding("d", row=staging.MAX_ROW + 1),
            {**finding("e"), "run": 5},
            finding("g", tags={"deep": deep}),
            finding("f", row=3),
        ],
        tail,
    )
    with stage([path]) as staged:
        assert staged.counts["findings"] == 1
        assert staged.unreadable == 6 + 4
        assert staged.first_unreadable is not None
        assert staged.first_unreadable.reason == "does not say of which run it is"
        assert staged.first_unreadable.line == 1


def test_a_truncated_compressed_file_is_read_up_to_the_end(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(orjson.dumps(finding(f"{n}.example", row=n)) + b"\n" for n in range(1, 500)))
    (tmp_path / "torn").write_bytes(whole[: len(whole) // 2])
    with stage([str(tmp_path / "torn")]) as staged:
        assert 0 < staged.counts["findings"] < 499
        assert staged.unreadable == 1


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4096, b"host\na.example\n", b'{"a":1}\n', b"\x1f\x8b\x08junk"], ids=repr
)
def test_a_file_without_findings_is_refused(tmp_path: Path, content: bytes, own_temporary_directory: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    good = write(tmp_path / "good", [finding("a")])
    with pytest.raises(NotFindings), stage([good, str(tmp_path / "a")]):
        pass
    assert list(own_temporary_directory.iterdir()) == []


def test_a_certificate_is_staged_again_only_to_add_its_der(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare, whole = certificate("x", der=False), certificate("x")
    path = write(
        tmp_path / "a", [finding("a", row=n, leaf=record) for n, record in enumerate([bare, bare, whole, bare, whole])]
    )
    with stage([path]) as staged:
        assert [row["der"] for row in staged.rows("certificates")] == [None, "TUlJ"]
    monkeypatch.setattr(staging, "MAX_CERTIFICATES_REMEMBERED", 1)
    path = write(tmp_path / "a", [finding(f"{n % 2}", row=n) for n in range(6)])
    with stage([path]) as staged:
        assert staged.counts["certificates"] == 6  # the loaders merge them


def test_certificates_of_dropped_findings_are_not_remembered(tmp_path: Path) -> None:
    first, again, later = finding("a"), finding("a", leaf=certificate("x")), finding("b", row=2, leaf=certificate("x"))
    with stage([write(tmp_path / "a", [first, again, later])]) as staged:
        assert [row["subject"] for row in staged.rows("certificates")] == ["CN=a", "CN=x"]


def test_too_many_runs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MAX_RUNS", 3)
    path = write(tmp_path / "a", [finding("a", night=night) for night in range(4)])
    with pytest.raises(LoadError, match="more than 3 runs"), stage([path]):
        pass


def test_rows_far_apart_take_one_page_each() -> None:
    facts = RunSummary("r", "tlsweep/1")
    rows = [0, 1, 1023, 1024, staging.MAX_ROW, staging.MAX_ROW - 1]
    assert all(map(facts.is_new, rows)) and not any(map(facts.is_new, rows))
    assert len(facts.seen) == 3


def test_a_file_name_that_is_not_utf8_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"night\xff.ndjson")
    with stage([write(path, [finding("a")])]) as staged:
        (run,) = staged.rows("runs")
        assert run["files"][0].endswith("night\\xff.ndjson")


def test_an_unusable_temporary_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a", [finding("a")])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(LoadError, match=r"cannot stage rows in .*nowhere"), stage([path]):
        pass


FULL = """
import resource, sys
from scanner.warehouse.stage import LoadError, stage
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    with stage([sys.argv[1]]): pass
except LoadError as error:
    print(error)
"""


def test_a_full_temporary_directory_is_an_error(
    tmp_path: Path, own_temporary_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(own_temporary_directory))
    path = write(tmp_path / "a", [finding("a", row=row) for row in range(200)])
    words = [sys.executable, "-c", FULL, path]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert (done.stdout, done.stderr) == (f"cannot stage rows in {own_temporary_directory}: File too large\n", "")
    assert list(own_temporary_directory.iterdir()) == []


def test_a_damaged_staged_file_is_an_error(tmp_path: Path) -> None:
    with stage([write(tmp_path / "a", [finding("a")])]) as staged:
        staged.path("findings").write_bytes(b'{"run":')
        with pytest.raises(LoadError, match="cannot read back"):
            list(staged.rows("findings"))
