"""Into a DuckDB file, and through DuckDB into Parquet files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scanner.text import printable
from scanner.warehouse.ddl import column_type, create_table
from scanner.warehouse.model import CERTIFICATES, OF_RUN, TABLES, Column, Table
from scanner.warehouse.staging import LoadError, Staged
from scanner.warehouse.views import quoted, views

if TYPE_CHECKING:
    import duckdb

# A row is at most a finding's own JSON parts; the reader of findings takes lines of 8 MiB.
MAX_ROW_BYTES: Final = 32 << 20
MISSING: Final = "loading into DuckDB and Parquet needs the package duckdb: pip install 'tlsweep[duckdb]'"
HIVE: Final = "run_date"


def load_duckdb(staged: Staged, path: str) -> None:
    """Replace the runs of ``staged`` in a database file, all of them or none. Raises ``LoadError``."""
    duckdb = _duckdb()
    try:
        with duckdb.connect(path) as connection:
            fill(connection, staged)
    except (duckdb.Error, OSError) as error:
        raise LoadError(f"cannot load into {path}: {_line(error)}") from error


def fill(connection: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Make tables and views where they are not there, and replace the runs, in one transaction."""
    connection.execute("SET preserve_insertion_order = false")  # order is a column here, and keeping it costs memory
    connection.execute("BEGIN")
    try:
        for table in TABLES:
            connection.execute(create_table(table, "duckdb"))
            _add_missing_columns(connection, table)
        for view in views("duckdb"):
            connection.execute(view)
        runs = list(staged.runs)
        for table in OF_RUN:
            connection.execute(f"DELETE FROM {table.name} WHERE run IN (SELECT unnest(?::VARCHAR[]))", [runs])
            connection.execute(f"INSERT INTO {table.name} BY NAME {_select(table, staged)}")
        _add_certificates(connection, staged)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _add_certificates(connection: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Each once; one that was there without its DER gets it."""
    names = ", ".join(quoted(column.name, "duckdb") for column in CERTIFICATES.columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE met AS SELECT {names} FROM ({_select(CERTIFICATES, staged)})"
        " QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY der IS NULL) = 1"
    )
    connection.execute(
        "UPDATE certificates SET der = met.der FROM met"
        " WHERE met.sha256 = certificates.sha256 AND certificates.der IS NULL AND met.der IS NOT NULL"
    )
    connection.execute("INSERT INTO certificates BY NAME SELECT * FROM met ANTI JOIN certificates USING (sha256)")
    connection.execute("DROP TABLE met")


def _add_missing_columns(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """A database that an older version made has fewer."""
    there = {name for (name,) in connection.execute("SELECT column_name FROM (DESCRIBE " + table.name + ")").fetchall()}
    for column in table.columns:
        if column.name not in there:
            kind = column_type(Column(column.name, column.kind, column.source), "duckdb")
            connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {quoted(column.name, 'duckdb')} {kind}")


def _select(table: Table, staged: Staged) -> str:
    """The staged rows of a table as a query."""
    types = ", ".join(
        f"{_literal(column.name)}: {_literal(column_type(Column('', column.kind, ''), 'duckdb'))}"
        for column in table.columns
    )
    return (
        f"SELECT * FROM read_json({_literal(str(staged.path(table.name)))}, format = 'newline_delimited',"
        f" columns = {{{types}}}, maximum_object_size = {MAX_ROW_BYTES})"
    )


def load_parquet(staged: Staged, directory: str) -> None:
    """Write ``TABLE/run_date=DATE/RUN.parquet`` for each run, in place of what the run had there. Raises ``LoadError``.

    All files are complete before the first is moved to its place.
    """
    duckdb = _duckdb()
    root = Path(directory)
    try:
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".tlsweep-load-", dir=root))
    except OSError as error:
        raise LoadError(f"cannot write {directory}: {error.strerror}") from error
    try:
        with duckdb.connect(str(work / "staged.duckdb")) as connection:
            fill(connection, staged)
            moves = _write_parquet(connection, staged, root, work)
        _move(moves)
    except (duckdb.Error, OSError) as error:
        raise LoadError(f"cannot load into {directory}: {_line(error)}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_parquet(
    connection: duckdb.DuckDBPyConnection, staged: Staged, root: Path, work: Path
) -> list[tuple[Path, Path]]:
    moves = []
    for facts in staged.runs.values():
        name = f"{_file_name(facts.run)}.parquet"
        others = [str(path) for path in sorted(root.glob(f"{CERTIFICATES.name}/*/*.parquet")) if path.name != name]
        for table in TABLES:
            columns = ", ".join(quoted(c.name, "duckdb") for c in table.columns if c.name != HIVE)
            query = f"SELECT {columns} FROM {table.name}"
            if table is CERTIFICATES:
                # those of this run that no other run has written
                query += f" WHERE sha256 IN (SELECT sha256 FROM chains WHERE run = {_literal(facts.run)})" + (
                    f" AND sha256 NOT IN (SELECT sha256 FROM read_parquet({others!r}))" if others else ""
                )
            else:
                query += f" WHERE run = {_literal(facts.run)}"
            written = work / table.name / name
            written.parent.mkdir(exist_ok=True)
            connection.execute(f"COPY ({query}) TO {_literal(str(written))} (FORMAT parquet, COMPRESSION zstd)")
            moves.append((written, root / table.name / f"{HIVE}={facts.run_date}" / name))
        connection.execute(
            "DELETE FROM certificates WHERE sha256 IN (SELECT sha256 FROM chains WHERE run = ?)", [facts.run]
        )
    return moves


def _move(moves: list[tuple[Path, Path]]) -> None:
    for _, place in moves:
        place.parent.mkdir(parents=True, exist_ok=True)
        # a run that was loaded under another date before
        for stale in place.parent.parent.glob(f"*/{place.name}"):
            if stale != place:
                stale.unlink()
    for written, place in moves:
        os.replace(written, place)


def _file_name(run: str) -> str:
    """A run's name as a file's, whatever it holds."""
    plain = "".join(character if character.isalnum() or character in "-_." else "_" for character in run)[:100]
    if plain == run and not run.startswith("."):
        return run
    import hashlib

    return f"{plain.lstrip('.')}-{hashlib.sha256(run.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(" ".join(str(error).split()))[:300]


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise LoadError(MISSING) from None
    return duckdb
