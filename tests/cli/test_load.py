"""``tlsweep load`` from outside."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pytest

from tests.cli.conftest import Call, refused, run_process
from tests.helpers.warehouse import finding, write


@pytest.fixture
def findings(tmp_path: Path) -> Path:
    return Path(write(tmp_path / "findings.ndjson", [finding("a.example", "dns"), finding("b.example", row=2)]))


def test_findings_are_loaded_into_duckdb(call: Call, findings: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = call("load", findings, "--to", f"duckdb:{tmp_path}/estate.duckdb")
        assert (done.status, done.err) == (0, "")
        assert done.out.splitlines()[1] == "run night-0 of 2026-11-02: ok 1, fail 1"
    with duckdb.connect(f"{tmp_path}/estate.duckdb") as connection:
        assert connection.execute("SELECT team, cause, failing FROM causes_by_team").fetchall() == [("blue", "dns", 1)]


def test_findings_are_read_from_standard_input(findings: Path, tmp_path: Path) -> None:
    done = run_process("load", "-", "--to", f"parquet:{tmp_path}/rows", stdin=findings.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list((tmp_path / "rows").glob("*/*/*.parquet"))) == 6
    twice = run_process("load", "-", "-", "--to", f"parquet:{tmp_path}/rows", stdin=findings.read_bytes())
    assert (twice.returncode, twice.stderr.count(b"\n")) == (2, 1)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\0\n", b"host\nx\n", b"\x1f\x8b\x08", b'{"schema":"tlsweep/1"}\n'], ids=repr
)
def test_files_without_findings_are_refused(call: Call, findings: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    refused(call("load", findings, tmp_path / "other", "--to", f"duckdb:{tmp_path}/estate.duckdb"))
    assert not (tmp_path / "estate.duckdb").exists()


def test_unusable_urls_are_refused(call: Call, findings: Path, tmp_path: Path) -> None:
    assert "duckdb:FILE" in refused(call("load", findings, "--to", "mysql://x"))
    assert "cannot load into" in refused(call("load", findings, "--to", f"duckdb:{tmp_path}"))
    assert "cannot read" in refused(call("load", tmp_path / "none", "--to", "duckdb:x"))
    refused(call("load", findings))


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    call: Call, findings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for url in (f"duckdb:{tmp_path}/x", f"parquet:{tmp_path}/x"):
        assert "pip install duckdb" in refused(call("load", findings, "--to", url))
    assert "pip install 'psycopg[binary]'" in refused(call("load", findings, "--to", "postgresql://127.0.0.1/x"))


def test_hostile_names_are_printed_harmlessly(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path / "f", [finding("a", run="\x1b[31mred\u202e\n")])
    done = call("load", path, "--to", f"duckdb:{tmp_path}/x")
    assert done.status == 0 and done.out.count("\n") == 2
    assert "\x1b" not in done.out and "\u202e" not in done.out
