"""Parquet files have the documented paths and types, and are replaced together or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from scanner.warehouse import parquet
from scanner.warehouse.parquet import file_name, load_parquet
from scanner.warehouse.stage import LoadError, stage
from scanner.warehouse.tables import TABLES
from tests.helpers.warehouse import certificate, finding, sha256, write
from tests.warehouse.conftest import ROOT

FLEET = [finding("a.example", "dns", row=1), finding("b.example", row=2), finding("a.example", night=1, row=1)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "rows"


def put(tmp_path: Path, root: Path, findings: list[dict[str, Any]]) -> None:
    with stage([write(tmp_path / "findings", findings)]) as staged:
        load_parquet(staged, str(root))


def rows(root: Path, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    escaped = str(root).replace("[", "[[]").replace("'", "''")
    query = f"SELECT {columns} FROM read_parquet('{escaped}/{table}/*/*.parquet') ORDER BY ALL"
    return duckdb.execute(query).fetchall()


def content(root: Path) -> dict[str, Any]:
    """Return all rows, and the content of all files."""
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {"files": sorted(files), **{table.name: rows(root, table.name) for table in TABLES}}


def test_each_run_has_one_file_per_table_in_the_partition_of_its_date(tmp_path: Path, root: Path) -> None:
    put(tmp_path, root, FLEET)
    expected = {f"{table.name}/date=2026-11-0{night + 2}/night-{night}.parquet" for table in TABLES for night in (0, 1)}
    assert {str(path.relative_to(root)) for path in root.rglob("*.parquet")} == expected
    # each file is complete, and the partition is an additional column
    assert rows(root, "findings", "run_date, date, host") == [
        (date(2026, 11, 2), date(2026, 11, 2), "a.example"),
        (date(2026, 11, 2), date(2026, 11, 2), "b.example"),
        (date(2026, 11, 3), date(2026, 11, 3), "a.example"),
    ]
    assert sorted(path.name for path in root.iterdir()) == sorted([".tlsweep-lock", *(table.name for table in TABLES)])


def test_column_types_are_readable_by_all_readers(tmp_path: Path, root: Path) -> None:
    put(tmp_path, root, FLEET)
    file = next(root.glob("findings/*/night-0.parquet"))
    kinds = duckdb.execute(
        f"SELECT name, type, logical_type FROM parquet_schema('{file}') WHERE name IN ('tags', 'started', 'run_date', 'row')"
    ).fetchall()
    assert {name: kind for name, kind, _ in kinds} == {
        "tags": "BYTE_ARRAY", "started": "INT64", "run_date": "INT32", "row": "INT64",
    }  # fmt: skip
    # JSON is plain text, and times have no zone: UTC by convention
    assert not any("Json" in str(logical) for _, _, logical in kinds)
    assert "isAdjustedToUTC=0" in next(str(logical) for name, _, logical in kinds if name == "started")


def test_loading_twice_changes_nothing(tmp_path: Path, root: Path) -> None:
    put(tmp_path, root, FLEET)
    once = content(root)
    put(tmp_path, root, FLEET)
    assert content(root) == once
    for one in FLEET:  # the first run again, with a single row
        put(tmp_path, root, [one])
    assert rows(root, "findings", "run, host") == [("night-0", "b.example"), ("night-1", "a.example")]


def test_a_run_that_changes_its_date_moves(tmp_path: Path, root: Path) -> None:
    put(tmp_path, root, [finding("a", run="r")])
    put(tmp_path, root, [finding("b", run="r", started="2026-12-24T00:00:00Z")])
    assert rows(root, "findings", "host, date") == [("b", date(2026, 12, 24))]
    assert rows(root, "runs", "run") == [("r",)]
    # the first run's certificate is still there
    assert len(rows(root, "certificates")) == 2


def test_each_certificate_is_in_one_file_whatever_is_loaded_again(tmp_path: Path, root: Path) -> None:
    shared, own = certificate("shared"), certificate("own")
    one = [finding("a", run="one", leaf=shared), finding("b", run="one", row=2)]
    two = [finding("a", run="two", night=1, leaf=shared), finding("c", run="two", night=1, row=2, leaf=own)]
    put(tmp_path, root, one)
    put(tmp_path, root, two)
    assert rows(root, "certificates", "date::VARCHAR, subject") == [
        ("2026-11-02", "CN=b"), ("2026-11-02", "CN=shared"), ("2026-11-03", "CN=own"),
    ]  # fmt: skip
    # the first run again, without the certificate that the second refers to
    put(tmp_path, root, one[1:])
    put(tmp_path, root, two)
    put(tmp_path, root, [*two, *one])
    assert [subject for (subject,) in rows(root, "certificates", "subject")] == ["CN=b", "CN=own", "CN=shared"]


def test_a_der_is_kept_and_added_in_any_file(tmp_path: Path, root: Path) -> None:
    bare, whole = certificate("x", der=False), certificate("x")
    for number, (leaf, der) in enumerate([(bare, None), (whole, "TUlJ"), (bare, "TUlJ")]):
        put(tmp_path, root, [finding("a", run=f"r{number}", leaf=leaf)])
        assert rows(root, "certificates", "sha256, der") == [(sha256("x"), der)]
    put(tmp_path, root, [finding("a", run="r0", leaf=bare)])
    assert rows(root, "certificates", "sha256, der") == [(sha256("x"), "TUlJ")]


def test_odd_directory_and_run_names_are_loaded(tmp_path: Path) -> None:
    root = tmp_path / "it's [1]*"
    odd = ["../../up", "a/b", "a_b", ".hidden", "r\0\n", "x" * 200, "é", "night=1"]
    for run in odd:
        put(tmp_path, root, [finding("a", run=run), finding("b", run=run, row=2)])
    assert sorted(run for (run,) in rows(root, "runs", "run")) == sorted(odd)
    assert len(list(root.glob("runs/*/*.parquet"))) == len(odd)
    assert list(tmp_path.iterdir()) and not list(tmp_path.glob("*.parquet"))


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("20261123T020000Z-ab12", "20261123T020000Z-ab12"),
        ("a b", "a_b-c8687a08aa5d"),
        (".x", "x-bb42e4c60255"),
        ("../x", "_x-d6b96a97d147"),
    ],
)
def test_file_names_are_safe_and_unique(run: str, name: str) -> None:
    assert file_name(run) == name


# --- failures ----------------------------------------------------------------------------------------------------------


@contextmanager
def unchanged(root: Path) -> Iterator[None]:
    before = content(root)
    yield
    assert content(root) == before


@pytest.mark.parametrize("step", range(0, 14, 3))
def test_a_failed_move_changes_nothing(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    put(tmp_path, root, FLEET)
    real, calls = os.replace, 0

    def fails(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2 + step:  # the first is the journal
            raise OSError(28, "No space left on device")
        real(source, target)

    with unchanged(root):
        monkeypatch.setattr(os, "replace", fails)
        with pytest.raises(LoadError, match="No space left"):
            put(
                tmp_path,
                root,
                [finding("new", run="night-0", started="2026-12-01T00:00:00Z"), finding("new", run="other")],
            )
        monkeypatch.setattr(os, "replace", real)


KILLED = """
import os, signal, sys
from scanner.warehouse.parquet import load_parquet
from scanner.warehouse.stage import stage
real, left = os.replace, [int(sys.argv[3])]
def dies(source, target):
    left[0] -= 1
    if not left[0]: os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = dies
with stage([sys.argv[1]]) as staged:
    load_parquet(staged, sys.argv[2])
"""


@pytest.mark.parametrize("step", [1, 2, 5, 12])
def test_a_killed_process_changes_nothing(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The next load restores the files that a killed one moved."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    put(tmp_path, root, FLEET)
    before = content(root)
    path = write(tmp_path / "f", [finding("new", run="night-0"), finding("new", run="other")])
    words = [sys.executable, "-c", KILLED, path, str(root), str(step)]
    assert subprocess.run(words, cwd=ROOT, check=False, timeout=50).returncode == -9
    assert len(list(root.glob(".tlsweep-load-*"))) == 1
    put(tmp_path, root, FLEET)
    assert content(root) == before


def test_a_truncated_staged_file_changes_nothing(tmp_path: Path, root: Path) -> None:
    put(tmp_path, root, FLEET)
    with stage([write(tmp_path / "f", [finding("new.example", "dns")])]) as staged, unchanged(root):
        staged.path("chains").write_bytes(b'{"run":')
        with pytest.raises(LoadError, match="cannot load into"):
            load_parquet(staged, str(root))


def test_files_of_another_program_stay(tmp_path: Path, root: Path) -> None:
    (root / "certificates" / "date=2026-01-01").mkdir(parents=True)
    (root / "certificates" / "date=2026-01-01" / "x.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(LoadError, match="cannot load into"):
        put(tmp_path, root, FLEET)
    assert [path.name for path in root.rglob("*.parquet")] == ["x.parquet"]


@pytest.mark.parametrize("place", ["/proc/rows", "{tmp}/findings/rows", "{tmp}/what?"])
def test_an_unwritable_path_is_an_error(tmp_path: Path, place: str) -> None:
    with pytest.raises(LoadError, match="cannot load into") as refused:
        put(tmp_path, Path(place.format(tmp=tmp_path)), FLEET)
    assert "\n" not in str(refused.value)


def test_a_missing_package_is_named(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(LoadError, match="pip install"):
        put(tmp_path, root, FLEET)
    assert not root.exists() and parquet.PARTITION_KEY == "date"
