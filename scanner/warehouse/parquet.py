"""Writes staged rows to Parquet files, ``TABLE/date=DATE/RUN.parquet``, by way of DuckDB.

All files of a load are complete before the first is moved into place. Replaced files are kept until all new ones are
in place, and restored if that fails: by this load, or by the next one if the process was killed.
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

from scanner.warehouse.ddl import quote_identifier
from scanner.warehouse.duck import (
    import_duckdb,
    open_database,
    raising_load_errors,
    replace_runs,
    run_interruptibly,
    sql_literal,
)
from scanner.warehouse.scratch import scratch
from scanner.warehouse.stage import StagedRows
from scanner.warehouse.tables import CERTIFICATES, TABLES_BY_RUN, ColumnType, Table

if TYPE_CHECKING:
    import duckdb

WORK_PREFIX: Final = ".tlsweep-load-"
LOCK: Final = ".tlsweep-lock"
JOURNAL: Final = "journal.json"
# The key of the Hive partitions. It is not called run_date, since that column is in the files too, and readers disagree
# on what to do about a column in both places.
PARTITION_KEY: Final = "date"
MAX_NAME: Final = 100


class _Move(Struct, frozen=True):
    """A file to move to ``place``, or ``None`` if the file at ``place`` is only removed."""

    new: Path | None
    place: Path


def load_parquet(staged: StagedRows, directory: str) -> None:
    """Write the files of each run, replacing those it had. If this raises ``LoadError``, nothing has changed."""
    with raising_load_errors(import_duckdb(directory), directory):
        root = Path(os.path.abspath(directory))
        root.mkdir(parents=True, exist_ok=True)
        with _load_lock(root), scratch(str(root), WORK_PREFIX, _roll_back) as work:
            with open_database(str(work / "staged.duckdb")) as connection:
                run_interruptibly(connection, lambda: replace_runs(connection, staged))
                moves = run_interruptibly(connection, lambda: list(_write(connection, staged, root, work)))
            _move_files(moves, work)


@contextmanager
def _load_lock(root: Path) -> Iterator[None]:
    """Hold the lock that allows one load at a time; it ends with the process."""
    with (root / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(connection: duckdb.DuckDBPyConnection, staged: StagedRows, root: Path, work: Path) -> Iterator[_Move]:
    """Write all files into ``work``. ``runs`` is moved last, so that every run in it is complete."""
    own = {run: f"{file_name(run)}.parquet" for run in staged.runs}
    before = sorted(root.glob(f"{CERTIFICATES.name}/*/*.parquet"))
    certificates = _CertificateFiles(connection, [path for path in before if path.name not in own.values()])
    for path in certificates.improved():
        new = work / f"improved-{path.parent.name}-{path.name}"
        certificates.write_improved(path, new)
        yield _Move(new, path)
    for table in (CERTIFICATES, *reversed(TABLES_BY_RUN)):
        (work / table.name).mkdir()
        for run, facts in staged.runs.items():
            connection.execute("CREATE OR REPLACE TEMP TABLE this AS SELECT ?::VARCHAR AS run", [run])
            new, place = (
                work / table.name / own[run],
                root / table.name / f"{PARTITION_KEY}={facts.run_date}" / own[run],
            )
            old = sorted(root.glob(f"{table.name}/*/{glob.escape(own[run])}"))
            if table is CERTIFICATES:
                certificates.write(old, new)
            else:
                _copy(connection, f"SELECT {_columns(table)} FROM {table.name} JOIN this USING (run)", new)
            for path in old:
                if path != place:  # the run was loaded under another date before
                    yield _Move(None, path)
            yield _Move(new, place)


class _CertificateFiles:
    """Assigns each certificate to the file of the run that was loaded with it first."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, others: list[Path]) -> None:
        """Read ``others``, the files of the runs that this load does not replace."""
        self._connection = connection
        connection.execute("CREATE TABLE elsewhere (sha256 VARCHAR, bare BOOLEAN, path VARCHAR)")
        for path in others:
            connection.execute(
                f"INSERT INTO elsewhere SELECT sha256, der IS NULL, {sql_literal(str(path))} FROM {_file(path)}"
            )

    def improved(self) -> list[Path]:
        """Return the files of other runs that lack a DER that is known now."""
        found = self._connection.execute(
            "SELECT DISTINCT path FROM elsewhere JOIN certificates USING (sha256) WHERE bare AND der IS NOT NULL ORDER BY 1"
        )
        return [Path(path) for (path,) in found.fetchall()]

    def write_improved(self, path: Path, new: Path) -> None:
        """Write the file ``path`` of another run to ``new``, with the DERs that it lacked."""
        _copy(
            self._connection,
            f"SELECT o.* REPLACE (coalesce(o.der, c.der) AS der) FROM {_file(path)} o LEFT JOIN certificates c USING (sha256)",
            new,
        )

    def write(self, old: list[Path], new: Path) -> None:
        """Write this run's file: what its ``old`` files had, as other runs may rely on it, and what no other file has."""
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
    return f"read_parquet({sql_literal(glob.escape(str(path)))}, hive_partitioning = false)"


def _columns(table: Table) -> str:
    """Return the columns of a query for ``table``, with JSON as plain text, which all Parquet readers read alike."""
    return ", ".join(
        f"CAST({column.name} AS VARCHAR) AS {column.name}"
        if column.kind is ColumnType.JSON
        else quote_identifier(column.name, "duckdb")
        for column in table.columns
    )


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    connection.execute(f"COPY ({query}) TO {sql_literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _move_files(moves: list[_Move], work: Path) -> None:
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
        _roll_back(work)
        raise
    journal.unlink()  # this commits the load


def _roll_back(work: Path) -> None:
    """Undo the moves in the journal, as far as they were made."""
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
    """Return a file name for a run, whatever characters its name has."""
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in run)[:MAX_NAME]
    if plain == run and not run.startswith("."):
        return run
    return f"{plain.lstrip('.')}-{hashlib.sha256(run.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
