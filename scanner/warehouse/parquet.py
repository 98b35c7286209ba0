"""Into Parquet files, ``TABLE/date=DATE/RUN.parquet``, by way of DuckDB.

All files of a load are complete before the first is moved to its place. What is replaced is kept until all are there, and put back
where that fails, by the next load where the process was killed.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
from msgspec import Struct

from scanner.warehouse.ddl import quoted
from scanner.warehouse.duck import as_load_errors, fill, interruptible, literal, needed, opened
from scanner.warehouse.model import CERTIFICATES, OF_RUN, Kind, Table
from scanner.warehouse.scratch import scratch
from scanner.warehouse.stage import Staged

if TYPE_CHECKING:
    import duckdb

WORK: Final = ".tlsweep-load-"
LOCK: Final = ".tlsweep-lock"
JOURNAL: Final = "journal.json"
# The key of the partitions. Not the column's name (run_date is in the files too): readers that find a column in both places
# disagree on what to do about it.
PARTITION: Final = "date"
MAX_NAME: Final = 100


class _Move(Struct, frozen=True):
    """A new file for a place, or none where what is there only goes."""

    new: Path | None
    place: Path


def load_parquet(staged: Staged, directory: str) -> None:
    """Write the files of each run, in place of those it had. Raises ``LoadError``; then all is as it was."""
    with as_load_errors(needed(directory), directory):
        root = Path(os.path.abspath(directory))
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root), scratch(str(root), WORK, _put_back) as work:
            with opened(str(work / "staged.duckdb")) as connection:
                interruptible(connection, lambda: fill(connection, staged))
                moves = interruptible(connection, lambda: list(_write(connection, staged, root, work)))
            _move(moves, work)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One load at a time; the lock goes with the process."""
    with (root / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(connection: duckdb.DuckDBPyConnection, staged: Staged, root: Path, work: Path) -> Iterator[_Move]:
    """Write all files into ``work``; the table ``runs`` moves last, so that a run that is named there is there."""
    own = {run: f"{file_name(run)}.parquet" for run in staged.runs}
    before = sorted(root.glob(f"{CERTIFICATES.name}/*/*.parquet"))
    certificates = _Certificates(connection, [path for path in before if path.name not in own.values()])
    for path in certificates.improved():
        new = work / f"improved-{path.parent.name}-{path.name}"
        certificates.write_improved(path, new)
        yield _Move(new, path)
    for table in (CERTIFICATES, *reversed(OF_RUN)):
        (work / table.name).mkdir()
        for run, facts in staged.runs.items():
            connection.execute("CREATE OR REPLACE TEMP TABLE this AS SELECT ?::VARCHAR AS run", [run])
            new, place = work / table.name / own[run], root / table.name / f"{PARTITION}={facts.run_date}" / own[run]
            old = sorted(root.glob(f"{table.name}/*/{glob.escape(own[run])}"))
            if table is CERTIFICATES:
                certificates.write(old, new)
            else:
                _copy(connection, f"SELECT {_columns(table)} FROM {table.name} JOIN this USING (run)", new)
            for path in old:
                if path != place:  # the run was loaded under another date before
                    yield _Move(None, path)
            yield _Move(new, place)


class _Certificates:
    """Which certificates belong into which run's file: each into that of the run that met it first."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, others: list[Path]) -> None:
        """``others``: files of runs that are not loaded now."""
        self._connection = connection
        connection.execute("CREATE TABLE elsewhere (sha256 VARCHAR, bare BOOLEAN, path VARCHAR)")
        for path in others:
            connection.execute(
                f"INSERT INTO elsewhere SELECT sha256, der IS NULL, {literal(str(path))} FROM {_file(path)}"
            )

    def improved(self) -> list[Path]:
        """Files with certificates without their DER that is known now."""
        found = self._connection.execute(
            "SELECT DISTINCT path FROM elsewhere JOIN certificates USING (sha256) WHERE bare AND der IS NOT NULL ORDER BY 1"
        )
        return [Path(path) for (path,) in found.fetchall()]

    def write_improved(self, path: Path, new: Path) -> None:
        """Write such a file again."""
        _copy(
            self._connection,
            f"SELECT o.* REPLACE (coalesce(o.der, c.der) AS der) FROM {_file(path)} o LEFT JOIN certificates c USING (sha256)",
            new,
        )

    def write(self, old: list[Path], new: Path) -> None:
        """Write those of this run: what its file had already, as other runs may count on it, and what no other file has."""
        connection = self._connection
        connection.execute("CREATE TABLE mine AS SELECT * FROM certificates LIMIT 0")
        for path in old:
            connection.execute(f"INSERT INTO mine BY NAME SELECT * FROM {_file(path)}")
        connection.execute(
            "INSERT INTO mine SELECT c.* FROM certificates c"
            " WHERE sha256 IN (SELECT sha256 FROM chains JOIN this USING (run) UNION ALL SELECT sha256 FROM mine)"
        )
        connection.execute(
            "CREATE TABLE chosen AS SELECT * FROM mine ANTI JOIN elsewhere USING (sha256)"
            " QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY der IS NULL) = 1"
        )
        _copy(connection, f"SELECT {_columns(CERTIFICATES)} FROM chosen", new)
        connection.execute("INSERT INTO elsewhere SELECT sha256, false, '' FROM chosen")
        connection.execute("DROP TABLE mine; DROP TABLE chosen")


def _file(path: Path) -> str:
    return f"read_parquet({literal(glob.escape(str(path)))}, hive_partitioning = false)"


def _columns(table: Table) -> str:
    """JSON is written as plain text, which all readers take alike."""
    return ", ".join(
        f"CAST({column.name} AS VARCHAR) AS {column.name}"
        if column.kind is Kind.JSON
        else quoted(column.name, "duckdb")
        for column in table.columns
    )


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    connection.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _move(moves: list[_Move], work: Path) -> None:
    for move in moves:
        move.place.parent.mkdir(parents=True, exist_ok=True)
    kept = work / "kept"
    kept.mkdir()
    entries = [(str(move.place), move.place.exists()) for move in moves]
    journal = work / JOURNAL
    with (work / "writing").open("wb") as file:
        file.write(orjson.dumps(entries))
        file.flush()
        os.fsync(file.fileno())
    os.replace(work / "writing", journal)
    try:
        for number, move in enumerate(moves):
            if entries[number][1]:
                os.replace(move.place, kept / str(number))
            if move.new is not None:
                os.replace(move.new, move.place)
    except BaseException:
        _put_back(work)
        raise
    journal.unlink()  # from here on it is loaded


def _put_back(work: Path) -> None:
    """Undo what the journal tells of, as far as it came."""
    try:
        entries = orjson.loads((work / JOURNAL).read_bytes())
    except FileNotFoundError:
        return
    for number, (place, was_there) in reversed(list(enumerate(entries))):
        kept = work / "kept" / str(number)
        if kept.exists():
            os.replace(kept, place)
        elif not was_there:
            Path(place).unlink(missing_ok=True)


def file_name(run: str) -> str:
    """A run's name as a file's, whatever it holds."""
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in run)[:MAX_NAME]
    if plain == run and not run.startswith("."):
        return run
    return f"{plain.lstrip('.')}-{hashlib.sha256(run.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
