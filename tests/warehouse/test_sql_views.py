"""The views give the right answers about a small fleet over five nights, in every database that can run here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
import sqlglot

from scanner.warehouse.ddl import ddl, load_commands
from scanner.warehouse.loading import load
from scanner.warehouse.sql_views import VIEWS, create_view
from scanner.warehouse.tables import TABLES
from tests.helpers.warehouse import FIRST_NIGHT, certificate, finding, write
from tests.warehouse.conftest import Database

EXPIRED, NAME = "expired-or-self-signed", "hostname-mismatch"
# The result of each night for each host: a cause, None (healthy), ABSENT, or FAILED (tlsweep itself failed)
ABSENT, FAILED = "absent", "failed"
NIGHTS: dict[str, list[str | None]] = {
    "a.example": [None, "dns", "dns", None, "dns"],
    "b.example": [EXPIRED, ABSENT, EXPIRED, None, None],
    "c.example": [EXPIRED, NAME, None, None, None],
    "d.example": ["dns", FAILED, "dns", FAILED, FAILED],
    "e.example": [None, None, None, None, None],
}


def fleet() -> Iterator[dict[str, Any]]:
    for row, (host, nights) in enumerate(NIGHTS.items(), 1):
        for night, cause in enumerate(nights):
            if cause == FAILED:
                yield finding(host, night=night, row=row, outcome="warn", error="BUG")
            elif cause != ABSENT:
                yield finding(host, cause, night=night, row=row)


Query = Callable[[str], list[tuple[Any, ...]]]
Loaded = Callable[[list[dict[str, Any]]], Query]
_numbers = count()


@pytest.fixture(params=["duckdb", "postgres", "clickhouse", "bigquery", "snowflake"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Loaded:
    """Return a function that loads findings and returns a function that runs queries."""

    def into_duckdb(findings: list[dict[str, Any]]) -> Query:
        load([write(tmp_path / "f", findings)], f"duckdb:{tmp_path / 'db'}")

        def query(text: str) -> list[tuple[Any, ...]]:
            with duckdb.connect(str(tmp_path / "db"), read_only=True) as connection:
                return connection.execute(text).fetchall()

        return query

    def into_postgres(findings: list[dict[str, Any]]) -> Query:
        database: Database = request.getfixturevalue("database")
        load([write(tmp_path / "f", findings)], database.url)
        return database.rows

    def into_clickhouse(findings: list[dict[str, Any]]) -> Query:
        load([write(tmp_path / "f", findings)], f"parquet:{tmp_path / 'rows'}")
        ask: Query = request.getfixturevalue("clickhouse")
        runs = {path.name: path.parent.name for path in (tmp_path / "rows" / "runs").glob("*/*")}
        for table in [*TABLES, *TABLES]:  # twice: loading again changes nothing
            for file, date in runs.items():
                for line in load_commands(table, "clickhouse"):
                    statement = line.partition('--query "')[2].rstrip('"').replace("rows/", f"{tmp_path}/rows/")
                    ask(
                        statement.replace("date=DATE/RUN.parquet", f"{date}/{file}").replace(
                            "RUN", file.removesuffix(".parquet")
                        )
                    )
        return ask

    def translated(findings: list[dict[str, Any]]) -> Query:
        """Load into DuckDB and translate the views of a dialect that cannot run here with sqlglot."""
        query = into_duckdb(findings)
        with duckdb.connect(str(tmp_path / "db")) as connection:
            connection.execute("CREATE MACRO current_datetime(zone) AS CAST(now() AT TIME ZONE zone AS TIMESTAMP)")
            for name in VIEWS:
                connection.execute(f"DROP VIEW {name}")
            for name in VIEWS:
                statement = create_view(name, request.param).replace("DATASET.", "")
                connection.execute(sqlglot.transpile(statement, read=request.param, write="duckdb")[0])
        return query

    ways = {"duckdb": into_duckdb, "postgres": into_postgres, "clickhouse": into_clickhouse}
    return ways.get(request.param, translated)


@pytest.fixture(scope="session")
def _clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start ClickHouse in this process."""
    if importlib.util.find_spec("chdb") is None:
        pytest.skip("ClickHouse in a process is not installed (pip install chdb)")
    session = importlib.import_module("chdb.session").Session(str(tmp_path_factory.mktemp("clickhouse")))
    yield session
    session.close()


@pytest.fixture
def clickhouse(_clickhouse: Any) -> Query:
    """Create an empty ClickHouse database with tables and views."""
    name = f"test_{next(_numbers)}"
    for statement in [f"CREATE DATABASE {name};", f"USE {name};", *ddl("clickhouse").split(";\n\n")]:
        _clickhouse.query(statement.rstrip(";\n") + ";")

    def query(text: str) -> list[tuple[Any, ...]]:
        answer = str(_clickhouse.query(text, "JSONCompactEachRow"))
        return [tuple(orjson.loads(line)) for line in answer.splitlines() if line]

    return query


def day(timestamp: Any) -> int | None:
    """Return the number of the night of a time."""
    if timestamp is None:
        return None
    when = datetime.fromisoformat(timestamp) if isinstance(timestamp, str) else timestamp
    return int((when.replace(tzinfo=UTC) - FIRST_NIGHT).days)


def test_a_failure_lasts_until_a_later_run_sees_another_outcome(loaded: Loaded) -> None:
    query = loaded(list(fleet()))
    stretches = []
    for host, cause, first, last, seen, ended, then in query(
        "SELECT host, cause, first_seen, last_seen, seen_by, ended, ended_with FROM failures ORDER BY host, first_seen"
    ):
        stretches.append((host, cause, day(first), day(last), int(seen), day(ended), then))
    assert stretches == [
        ("a.example", "dns", 1, 2, 2, 3, None),
        ("a.example", "dns", 4, 4, 1, None, None),
        ("b.example", EXPIRED, 0, 2, 2, 3, None),
        ("c.example", EXPIRED, 0, 0, 1, 1, NAME),
        ("c.example", NAME, 1, 1, 1, 2, None),
        ("d.example", "dns", 0, 2, 2, None, None),
    ]
    fixed = query("SELECT cause, mean_days, fixed, became_another, still_open FROM time_to_fix ORDER BY cause")
    assert [(cause, None if mean is None else float(mean), *map(int, counts)) for cause, mean, *counts in fixed] == [
        ("dns", 2.0, 1, 0, 2),
        (EXPIRED, 3.0, 1, 1, 0),
        (NAME, 1.0, 1, 0, 0),
    ]


def test_targets_of_one_host_are_separate(loaded: Loaded) -> None:
    """Two ports and two server names of one host are targets of their own."""
    nights = []
    for night, failing in enumerate([True, False]):
        for row, (port, sni) in enumerate(
            [(443, "a.example"), (443, "b.example"), (8443, "a.example"), (443, None)], 1
        ):
            one = finding("a.example", "dns" if failing or row == 1 else None, night=night, row=row)
            one["target"] |= {"port": port, "sni": sni}
            nights.append(one)
    query = loaded(nights)
    assert sorted(map(str, query("SELECT port, sni FROM failures WHERE ended IS NULL"))) == ["(443, 'a.example')"]
    assert [int(n) for (n,) in query("SELECT count(*) FROM failures WHERE ended IS NOT NULL")] == [3]


def test_targets_are_counted_once_by_team_and_cause(loaded: Loaded) -> None:
    def diagnosis(cause: str, severity: str, code: str = "x") -> dict[str, Any]:
        return {"code": code, "cause": cause, "severity": severity, "summary": "", "evidence": {}}

    query = loaded(
        [
            finding("old.example", "network-blocked"),
            finding("a.example", "dns", night=1, row=1),
            # two codes of one cause count as one target; a warning is not a failure
            finding("b.example", "dns", night=1, row=2, diagnoses=[
                diagnosis("dns", "error"), diagnosis("dns", "error", "y"), diagnosis("dns", "note"), diagnosis(NAME, "warning"),
            ]),
            finding("c.example", "dns", night=1, row=3, tags={"team": 5, "owner": "x"}),
            finding("d.example", "dns", night=1, row=4, tags={}),
            finding("f.example", "dns", night=1, row=6, tags={"owner": "nobody's team"}),
            finding("e.example", "dns", night=1, row=5, tags={'te"am': "x", "team": "it's"}),
        ]
    )  # fmt: skip
    assert [run for run, *_ in query("SELECT run FROM latest_run")] == ["night-1"]
    rows = query("SELECT team, cause, failing, targets FROM causes_by_team")
    assert sorted(((team or "", cause, int(failing), int(targets)) for team, cause, failing, targets in rows)) == [
        ("", "dns", 1, 1),
        ("5", "dns", 1, 1),
        ("blue", "dns", 2, 2),
        ("blue", NAME, 0, 1),
        ("it's", "dns", 1, 1),
        ("nobody's team", "dns", 1, 1),
    ]


def test_expiring_certificates_are_leaves_and_have_their_owner(loaded: Loaded) -> None:
    now = datetime.now(UTC)
    soon, gone = (
        certificate("soon", not_after=now + timedelta(days=5)),
        certificate("gone", not_after=now - timedelta(days=2)),
    )
    issuer = certificate("issuer", not_after=now + timedelta(days=1))
    two = finding("two.example", row=1, leaf=soon, tags={"owner": "mail"})
    # a second address with another certificate, a third with the same; each with its issuer
    two["endpoints"] += [{"chain": [gone["sha256"], issuer["sha256"]]}, {"chain": [soon["sha256"], issuer["sha256"]]}]
    two["certificates"] += [gone, issuer]
    query = loaded(
        [two, finding("one.example", row=2, leaf=soon), finding("none.example", row=3, endpoints=[], certificates=[])]
    )
    rows = query("SELECT owner, host, days_left, subject, addresses FROM expiring WHERE days_left <= 30")
    assert (datetime.now(UTC) - now).total_seconds() < 3600
    result = sorted((owner, host, int(days), subject, int(addresses)) for owner, host, days, subject, addresses in rows)
    if datetime.now(UTC).date() == now.date():
        assert result == [
            ("mail", "two.example", -2, "CN=gone", 1),
            ("mail", "two.example", 5, "CN=soon", 2),
            ("web", "one.example", 5, "CN=soon", 1),
        ]


def test_views_are_ordered_by_dependency() -> None:
    seen: set[str] = set()
    for name in VIEWS:
        query = create_view(name, "duckdb").partition(" AS\n")[2]
        assert {other for other in VIEWS if f" {other}" in query.replace("\n", " ")} <= seen
        seen.add(name)
