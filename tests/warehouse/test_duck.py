"""Loading into DuckDB files: all of a load is committed or nothing, whatever goes wrong."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from scanner.warehouse import duck
from scanner.warehouse.duck import load_duckdb
from scanner.warehouse.stage import LoadError, stage
from scanner.warehouse.tables import TABLES
from tests.helpers.warehouse import certificate, complete_finding, finding, sha256, write
from tests.warehouse.conftest import ROOT
from tests.warehouse.test_finding_rows import leaves


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "estate.duckdb")


def put(tmp_path: Path, path: str, findings: list[dict[str, Any]]) -> None:
    with stage([write(tmp_path / "findings", findings)]) as staged:
        load_duckdb(staged, path)


def rows(path: str, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(query).fetchall()


def content(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of all tables."""
    return {table.name: sorted(rows(path, f"SELECT * FROM {table.name}"), key=str) for table in TABLES}


FLEET = [finding("a.example", "dns", row=1), finding("b.example", row=2), finding("a.example", night=1, row=1)]


def test_every_value_of_a_finding_arrives(tmp_path: Path, path: str) -> None:
    complete = complete_finding()
    put(tmp_path, path, [complete])
    with duckdb.connect(path) as connection:
        # columns as stored, JSON parsed
        load_summary = [
            row
            for table in TABLES
            for (row,) in connection.execute(f"SELECT CAST(to_json(t) AS VARCHAR) FROM {table.name} t").fetchall()
        ]
    found = list(leaves([orjson.loads(row) for row in load_summary]))
    times = [str(value)[:19] for value in found]
    wanted = list(leaves(complete))
    missing = [value for value in wanted if value not in found and str(value)[:19].replace("T", " ") not in times]
    assert missing == []


def test_loading_twice_changes_nothing(tmp_path: Path, path: str) -> None:
    put(tmp_path, path, FLEET)
    once = content(path)
    assert {name: len(found) for name, found in once.items()} == {
        "runs": 2, "findings": 3, "diagnoses": 1, "endpoints": 3, "certificates": 2, "chains": 3,
    }  # fmt: skip
    put(tmp_path, path, FLEET)
    assert content(path) == once
    put(tmp_path, path, list(reversed(FLEET)))
    assert content(path) == once


def test_a_run_is_replaced_and_other_runs_stay(tmp_path: Path, path: str) -> None:
    put(tmp_path, path, FLEET[:2])
    put(tmp_path, path, FLEET[2:])
    assert rows(path, "SELECT run, host FROM findings ORDER BY ALL") == [
        ("night-0", "a.example"), ("night-0", "b.example"), ("night-1", "a.example"),
    ]  # fmt: skip
    put(tmp_path, path, FLEET[1:2])
    assert rows(path, "SELECT run, host FROM findings ORDER BY ALL") == [
        ("night-0", "b.example"),
        ("night-1", "a.example"),
    ]
    assert rows(path, "SELECT count(*) FROM diagnoses") == [(0,)]
    # the certificate stays, as another run may refer to it
    assert rows(path, "SELECT count(*) FROM certificates") == [(2,)]
    assert rows(path, "SELECT run, findings FROM runs ORDER BY ALL") == [("night-0", 1), ("night-1", 1)]


def test_a_stored_der_is_kept_and_a_missing_one_added(tmp_path: Path, path: str) -> None:
    bare, whole = certificate("x", der=False), certificate("x")
    for leaf, der in ((bare, None), (whole, "TUlJ"), (bare, "TUlJ")):
        put(tmp_path, path, [finding("a", leaf=leaf)])
        assert rows(path, "SELECT sha256, der FROM certificates") == [(sha256("x"), der)]
    both = [finding("b", leaf=certificate("y", der=False)), finding("c", row=2, leaf=certificate("y"))]
    for order in (both, list(reversed(both))):
        Path(path).unlink()
        put(tmp_path, path, order)
        assert rows(path, "SELECT der FROM certificates") == [("TUlJ",)]


def test_nul_bytes_and_odd_names_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "it's [1]*?"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    path = str(tmp_path / "it's a;b [1]*.duckdb")
    odd = finding("a\0b", run="r\0'; DROP TABLE runs; --", tags={"k\0": "v\0\u2028\U0001f512"})
    for _ in range(2):
        put(tmp_path, path, [odd])
    assert rows(path, "SELECT run, host, tags->>'$.*' FROM findings") == [
        ("r\0'; DROP TABLE runs; --", "a\0b", ["v\0\u2028\U0001f512"])
    ]


def test_a_path_that_looks_like_a_url_is_a_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("md:estate", ":memory:", "sqlite:x"):
        put(tmp_path, name, FLEET)
        assert (tmp_path / name).is_file()
    with pytest.raises(LoadError, match=r"cannot load into https://db.example/x: .*No such file"):
        put(tmp_path, "https://db.example/x", FLEET)


def test_views_changed_by_users_stay(tmp_path: Path, path: str) -> None:
    put(tmp_path, path, FLEET)
    with duckdb.connect(path) as connection:
        connection.execute("CREATE OR REPLACE VIEW latest_run AS SELECT 1 AS mine; DROP VIEW failures")
    put(tmp_path, path, FLEET)
    assert rows(path, "SELECT * FROM latest_run") == [(1,)]
    assert rows(path, "SELECT cause FROM failures") == [("dns",)]


def test_tables_of_an_older_version_get_the_missing_columns(tmp_path: Path, path: str) -> None:
    put(tmp_path, path, FLEET)
    before = content(path)
    with duckdb.connect(path) as connection:
        connection.execute(
            "ALTER TABLE findings DROP COLUMN more; ALTER TABLE findings ADD COLUMN mine VARCHAR DEFAULT 'x'"
        )
    put(tmp_path, path, FLEET)
    assert {**content(path), "findings": None} == {**before, "findings": None}
    assert rows(path, "SELECT count(more), count(mine), count(host) FROM findings") == [(0, 3, 3)]


# --- failures ----------------------------------------------------------------------------------------------------------


@contextmanager
def unchanged(path: str) -> Iterator[None]:
    before = content(path)
    yield
    assert content(path) == before


def test_a_truncated_staged_file_changes_nothing(tmp_path: Path, path: str) -> None:
    put(tmp_path, path, FLEET)
    changed = [finding("new.example", "dns", row=n) for n in range(200)]
    with stage([write(tmp_path / "f", changed)]) as staged, unchanged(path):
        with staged.path("chains").open("r+b") as file:
            file.truncate(staged.path("chains").stat().st_size - 10)
        with pytest.raises(LoadError, match="cannot load into"):
            load_duckdb(staged, path)


KILLED = """
import os, resource, signal, sys
from scanner.warehouse import duck
from scanner.warehouse.stage import stage
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
with stage([sys.argv[1]]) as staged:
    if sys.argv[3] == "kill":
        duck._add_certificates = die
    else:
        size = os.path.getsize(sys.argv[2]) + int(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        duck.load_duckdb(staged, sys.argv[2])
    except duck.LoadError as error:
        print(error)
"""


def load_in_subprocess(findings: str, path: str, how: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", KILLED, findings, path, how]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


def test_a_killed_process_changes_nothing(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    put(tmp_path, path, FLEET)
    more = write(tmp_path / "f", [finding(f"{n}.example", "dns", row=n) for n in range(2000)])
    with unchanged(path):
        assert load_in_subprocess(more, path, "kill").returncode == -9
    assert len(list(tmp_path.glob("tlsweep-load-*"))) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    put(tmp_path, path, FLEET)
    assert list(tmp_path.glob("tlsweep-load-*")) == []


def test_ctrl_c_interrupts_a_running_statement(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, path, FLEET)

    def endless(connection: duckdb.DuckDBPyConnection, _staged: object) -> None:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        connection.execute("SELECT sum(hash(range)) FROM range(1000000000000)")

    with unchanged(path), monkeypatch.context() as patch:
        patch.setattr(duck, "_add_certificates", endless)
        with pytest.raises(KeyboardInterrupt):
            put(tmp_path, path, [finding("new")])


@pytest.mark.parametrize("room", [0, 300_000])
def test_a_full_disk_changes_nothing(tmp_path: Path, path: str, room: int) -> None:
    put(tmp_path, path, FLEET)
    more = write(
        tmp_path / "f",
        [
            finding(f"{n}.example", "dns", row=n, tags={"noise": "".join(sha256(f"{n}/{k}") for k in range(20))})
            for n in range(2500)
        ],
    )
    with unchanged(path):
        done = load_in_subprocess(more, path, str(room))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("cannot load into") and done.stdout.count("\n") == 1
    put(tmp_path, path, [finding("a.example", night=5)])
    assert rows(path, "SELECT count(*) FROM runs") == [(3,)]


def test_a_database_locked_by_another_process_is_an_error(tmp_path: Path, path: str) -> None:
    put(tmp_path, path, FLEET)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        with pytest.raises(LoadError, match=r"cannot load into .* lock"):
            put(tmp_path, path, FLEET)
        process.stdin.close()
    put(tmp_path, path, FLEET)


def test_a_database_of_another_program_is_refused(tmp_path: Path, path: str) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(
            "CREATE TABLE findings (id BIGINT, severity VARCHAR); INSERT INTO findings VALUES (1, 'high')"
        )
    with pytest.raises(LoadError, match="findings in this database is not tlsweep's"):
        put(tmp_path, path, FLEET)
    assert rows(path, "SELECT * FROM findings") == [(1, "high")]
    assert rows(path, "SELECT table_name FROM duckdb_tables()") == [("findings",)]


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path, path: str) -> None:
    Path(path).write_bytes(b"host,port\na.example,443\n" * 1000)
    before = Path(path).read_bytes()
    with pytest.raises(LoadError, match="not a valid DuckDB"):
        put(tmp_path, path, FLEET)
    assert Path(path).read_bytes() == before
    sqlite3.connect(tmp_path / "sqlite").execute("CREATE TABLE findings (id)").connection.close()
    with pytest.raises(LoadError, match="cannot load into"):
        put(tmp_path, str(tmp_path / "sqlite"), FLEET)


@pytest.mark.parametrize("place", ["/proc/estate.duckdb", "{tmp}/nowhere/estate.duckdb", "{tmp}", "{tmp}/what?"])
def test_an_unwritable_path_is_an_error(tmp_path: Path, place: str) -> None:
    with pytest.raises(LoadError, match="cannot load into") as refused:
        put(tmp_path, place.format(tmp=tmp_path), FLEET)
    assert "\n" not in str(refused.value)


def test_a_missing_package_is_named(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(LoadError) as refused:
        put(tmp_path, path, FLEET)
    assert str(refused.value) == duck.MISSING_PACKAGE and "pip install" in duck.MISSING_PACKAGE
