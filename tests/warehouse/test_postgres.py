"""Loading into a real PostgreSQL: all of a load is committed or nothing, whatever goes wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scanner.warehouse import postgres
from scanner.warehouse.postgres import load_postgres
from scanner.warehouse.stage import LoadError, stage
from scanner.warehouse.tables import TABLES
from tests.helpers.warehouse import certificate, complete_finding, finding, missing_postgres, sha256, write
from tests.helpers.warehouse import postgres as started
from tests.warehouse.conftest import ROOT, Database
from tests.warehouse.test_finding_rows import leaves

FLEET = [finding("a.example", "dns", row=1), finding("b.example", row=2), finding("a.example", night=1, row=1)]


def put(tmp_path: Path, url: str, findings: list[dict[str, Any]]) -> None:
    with stage([write(tmp_path / "findings", findings)]) as staged:
        load_postgres(staged, url)


def content(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: sorted(database.rows(f"SELECT * FROM {table.name}"), key=str) for table in TABLES}


@contextmanager
def unchanged(database: Database) -> Iterator[None]:
    before = content(database)
    yield
    assert content(database) == before


def test_every_value_of_a_finding_arrives(tmp_path: Path, database: Database) -> None:
    complete = complete_finding()
    put(tmp_path, database.url, [complete])
    found = list(
        leaves([row for table in TABLES for (row,) in database.rows(f"SELECT to_jsonb(t) FROM {table.name} t")])
    )
    times = [str(value)[:19] for value in found]
    assert [value for value in leaves(complete) if value not in found and str(value)[:19] not in times] == []


def test_loading_twice_changes_nothing(tmp_path: Path, database: Database) -> None:
    put(tmp_path, database.url, FLEET)
    once = content(database)
    assert {name: len(found) for name, found in once.items()} == {
        "runs": 2, "findings": 3, "diagnoses": 1, "endpoints": 3, "certificates": 2, "chains": 3,
    }  # fmt: skip
    put(tmp_path, database.url, list(reversed(FLEET)))
    assert content(database) == once


def test_a_run_is_replaced_and_other_runs_stay(tmp_path: Path, database: Database) -> None:
    put(tmp_path, database.url, FLEET[:2])
    put(tmp_path, database.url, FLEET[2:])
    put(tmp_path, database.url, FLEET[1:2])
    rows = database.rows("SELECT run, host FROM findings ORDER BY 1, 2")
    assert rows == [("night-0", "b.example"), ("night-1", "a.example")]
    assert database.rows("SELECT count(*) FROM diagnoses") == [(0,)]
    assert database.rows("SELECT count(*) FROM certificates") == [(2,)]


def test_a_stored_der_is_kept_and_a_missing_one_added(tmp_path: Path, database: Database) -> None:
    bare, whole = certificate("x", der=False), certificate("x")
    for leaf, der in ((bare, None), (whole, "TUlJ"), (bare, "TUlJ")):
        put(tmp_path, database.url, [finding("a", leaf=leaf)])
        assert database.rows("SELECT sha256, der FROM certificates") == [(sha256("x"), der)]
    put(
        tmp_path,
        database.url,
        [finding("a", leaf=certificate("y", der=False)), finding("b", row=2, leaf=certificate("y"))],
    )
    assert database.rows("SELECT count(*) FROM certificates WHERE der IS NULL") == [(0,)]


def test_nul_bytes_are_replaced(tmp_path: Path, database: Database) -> None:
    odd = finding("a\0b", run="r\0\\", tags={"k\0\\u0000": ["v\0", {"\0": None}], "plain": '\\N\t\n"{}'})
    odd["endpoints"][0]["versions"] = ["\0", 'a"b', "NULL", "", "{,}"]
    for _ in range(2):
        put(tmp_path, database.url, [odd])
    assert database.rows("SELECT run, host, tags FROM findings") == [
        ("r\u2400\\", "a\u2400b", {"k\u2400\\u0000": ["v\u2400", {"\u2400": None}], "plain": '\\N\t\n"{}'})
    ]
    assert database.rows("SELECT versions FROM endpoints") == [(["\u2400", 'a"b', "NULL", "", "{,}"],)]


def test_readers_are_not_blocked_by_a_load(tmp_path: Path, database: Database) -> None:
    """During a load, other connections read the old rows."""
    put(tmp_path, database.url, FLEET)
    changed = [finding("c.example")]
    with stage([write(tmp_path / "f", changed)]) as staged, psycopg.connect(database.url) as connection:
        postgres.replace_runs(connection, staged)
        with psycopg.connect(database.url, options="-c lock_timeout=2000") as reader:
            for view in ("expiring", "causes_by_team", "time_to_fix"):
                reader.execute(f"SELECT * FROM {view}".encode())
            assert reader.execute("SELECT count(*) FROM findings").fetchone() == (3,)
        connection.rollback()


def test_concurrent_loads_are_serialised(tmp_path: Path, database: Database) -> None:
    problems: list[Exception] = []

    def run(number: int) -> None:
        try:
            with stage([write(tmp_path / f"f{number}", FLEET)]) as staged:
                load_postgres(staged, database.url)
        except LoadError as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert database.rows("SELECT count(*) FROM findings") == [(3,)]


def test_views_changed_by_users_stay_and_missing_columns_are_added(tmp_path: Path, database: Database) -> None:
    put(tmp_path, database.url, FLEET)
    database.rows("DROP VIEW time_to_fix; DROP VIEW latest_run CASCADE; CREATE VIEW latest_run AS SELECT 1 AS mine")
    database.rows("ALTER TABLE endpoints DROP COLUMN crl; ALTER TABLE findings ADD COLUMN mine text")
    with pytest.raises(LoadError, match="does not exist"):
        put(tmp_path, database.url, FLEET)  # the view `expiring` cannot be created over such a view
    database.rows("CREATE VIEW expiring AS SELECT 1; CREATE VIEW causes_by_team AS SELECT 1")
    put(tmp_path, database.url, FLEET)
    assert database.rows("SELECT * FROM latest_run") == [(1,)]
    assert database.rows("SELECT count(*) FROM time_to_fix") == [(1,)]
    assert database.rows("SELECT count(*), count(crl) FROM endpoints") == [(3, 0)]


def test_the_search_path_selects_the_schema(tmp_path: Path, database: Database) -> None:
    database.rows("CREATE TABLE findings (id int); CREATE SCHEMA tlsweep")
    url = f"{database.url}?options=-csearch_path%3Dtlsweep"
    put(tmp_path, url, FLEET)
    assert database.rows("SELECT count(*) FROM tlsweep.findings") == [(3,)]
    with pytest.raises(LoadError, match="search_path"):
        put(tmp_path, f"{database.url}?options=-csearch_path%3Dnowhere", FLEET)


# --- failures ----------------------------------------------------------------------------------------------------------


def test_a_truncated_staged_file_changes_nothing(tmp_path: Path, database: Database) -> None:
    put(tmp_path, database.url, FLEET)
    with (
        stage([write(tmp_path / "f", [finding(f"{n}", "dns", row=n) for n in range(99)])]) as staged,
        unchanged(database),
    ):
        with staged.path("chains").open("r+b") as file:
            file.truncate(staged.path("chains").stat().st_size - 10)
        with pytest.raises(LoadError, match="cannot read back"):
            load_postgres(staged, database.url)


def test_a_database_of_another_program_is_refused(tmp_path: Path, database: Database) -> None:
    database.rows("CREATE TABLE findings (id bigint, severity text); INSERT INTO findings VALUES (1, 'high')")
    with pytest.raises(LoadError, match="findings in this database is not tlsweep's"):
        put(tmp_path, database.url, FLEET)
    assert database.rows("SELECT * FROM findings") == [(1, "high")]
    assert database.rows("SELECT count(*) FROM pg_class WHERE relname = 'runs'") == [(0,)]


BREAKS = """
import os, signal, sys
from scanner.warehouse import postgres
from scanner.warehouse.stage import stage
real, rows = postgres._values, [0]
def values(table, staged, dates):
    for row in real(table, staged, dates):
        rows[0] += 1
        if rows[0] == 100:
            os.kill(int(sys.argv[3]) or os.getpid(), int(sys.argv[4]))
        yield row
postgres._values = values
with stage([sys.argv[1]]) as staged:
    try:
        postgres.load_postgres(staged, sys.argv[2])
    except postgres.LoadError as error:
        print(error)
"""


def load_that_kills(path: str, url: str, pid: int, number: int) -> subprocess.CompletedProcess[str]:
    """Run a load that sends a signal to a process (0 means itself) in the middle of COPY."""
    words = [sys.executable, "-c", BREAKS, path, url, str(pid), str(number)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


def test_a_killed_process_changes_nothing(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    put(tmp_path, database.url, FLEET)
    path = write(tmp_path / "f", [finding(f"{n}", "dns", row=n) for n in range(500)])
    with unchanged(database):
        assert load_that_kills(path, database.url, 0, signal.SIGKILL).returncode == -9


def test_a_server_crash_changes_nothing(tmp_path: Path) -> None:
    if (reason := missing_postgres()) is not None:
        pytest.skip(reason)
    with started() as server:
        put(tmp_path, server.url(), FLEET)
        before = content(Database(server, "postgres"))
        path = write(tmp_path / "f", [finding(f"{n}", "dns", row=n) for n in range(5000)])
        done = load_that_kills(path, server.url(), server.process.pid, signal.SIGQUIT)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("cannot load into PostgreSQL: ") and done.stdout.count("\n") == 1
        with started(server.directory) as again:
            assert content(Database(again, "postgres")) == before
            put(tmp_path, again.url(), FLEET)


def test_a_value_refused_by_the_server_changes_nothing(tmp_path: Path, database: Database) -> None:
    put(tmp_path, database.url, FLEET)
    database.rows("ALTER TABLE findings ADD CONSTRAINT few CHECK (row < 50)")
    with unchanged(database), pytest.raises(LoadError, match="few"):
        put(tmp_path, database.url, [finding(f"{n}", row=n) for n in range(99)])


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tester:s3cr3t/pass@127.0.0.1/db",
        "postgresql://tester:s3cr3t%zz@127.0.0.1/db",
        "postgresql://tester:s3cr3t@127.0.0.1:port/db",
        "postgresql://tester:s3cr3t@127.0.0.1:1/db",
        "postgresql://tester:s3cr3t@127.0.0.1/db?unknown=1",
        "postgresql://tester:s3cr3t@[::1/db",
    ],
)
def test_an_unreachable_server_is_reported_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(LoadError) as refused:
        put(tmp_path, url, FLEET)
    assert "s3cr3t" not in str(refused.value) and "\n" not in str(refused.value)


def test_an_absent_database_is_an_error(tmp_path: Path, database: Database) -> None:
    with pytest.raises(LoadError, match='database "nowhere" does not exist'):
        put(tmp_path, database.server.url("nowhere"), FLEET)
    with pytest.raises(LoadError, match='role "nobody_here" does not exist'):
        put(tmp_path, database.server.url(user="nobody_here"), FLEET)


def test_a_user_without_privileges_is_an_error(tmp_path: Path, database: Database) -> None:
    database.rows("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
    with pytest.raises(LoadError, match="permission denied"):
        put(tmp_path, database.server.url(database.name, "reader"), FLEET)


def test_pgclientencoding_is_overridden(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "latin1")
    put(tmp_path, database.url, [finding("\U0001f512.example")])
    monkeypatch.delenv("PGCLIENTENCODING")
    assert database.rows("SELECT host FROM findings") == [("\U0001f512.example",)]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LoadError, match="pip install"):
        put(tmp_path, "postgresql://127.0.0.1/x", FLEET)
