"""Loads staged rows into a DuckDB file."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from scanner.text import printable
from scanner.warehouse.ddl import column_type
from scanner.warehouse.migration import ColumnTypes, migration_statements
from scanner.warehouse.stage import LoadError, StagedRows
from scanner.warehouse.tables import CERTIFICATES, RUN_DATE, RUNS, TABLES_BY_RUN, Table

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

# A row is at most as large as its finding, which is limited to 8 MiB. Each thread of DuckDB allocates two such buffers.
MAX_ROW_BYTES: Final = 9 << 20
MISSING_PACKAGE: Final = "loading into DuckDB and Parquet needs the package duckdb: pip install duckdb"
# Extensions are never downloaded: JSON and Parquet are part of the package.
CONFIG: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # the order is in a column, and preserving it otherwise takes memory
    "preserve_insertion_order": False,
    # beyond this DuckDB spills to disk beside the database; enough for a million certificates, and no slower than no limit
    "memory_limit": "1GB",
}
# Between two attempts to interrupt a statement
INTERRUPT_SECONDS: Final = 0.05
# Each thread takes memory, and more of them do not read JSON faster.
MAX_THREADS: Final = 4


def load_duckdb(staged: StagedRows, path: str) -> None:
    """Replace the runs of ``staged`` in the database file at ``path``, all of them or none. Raises ``LoadError``."""
    with raising_load_errors(import_duckdb(path), path), open_database(path) as connection:
        run_interruptibly(connection, lambda: replace_runs(connection, staged))


@contextmanager
def raising_load_errors(duckdb: Any, place: str) -> Iterator[None]:
    """Turn DuckDB and OS errors in the block into ``LoadError``."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise LoadError(f"cannot load into {place}: {one_line_error(error)}") from error


def run_interruptibly(connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Run ``work``, which uses ``connection``, in a thread, so that Ctrl-C interrupts a statement that takes minutes."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            # repeated, since between two statements there is nothing to interrupt
            while not wait([future], INTERRUPT_SECONDS).done:
                connection.interrupt()
            raise


def open_database(path: str) -> duckdb.DuckDBPyConnection:
    """Open a database file, creating it if it does not exist."""
    # an absolute path, so that DuckDB does not take it for a URL or for one of its services
    connection: duckdb.DuckDBPyConnection = import_duckdb(path).connect(os.path.abspath(path), config=CONFIG)
    connection.execute(f"SET threads = {min(os.cpu_count() or 1, MAX_THREADS)}")
    return connection


def replace_runs(connection: duckdb.DuckDBPyConnection, staged: StagedRows) -> None:
    """Create missing tables and views and replace the runs, in one transaction."""
    connection.execute("BEGIN")
    try:
        for statement in migration_statements(_existing_relations(connection), "duckdb"):
            connection.execute(statement)
        for table in TABLES_BY_RUN:
            connection.execute(
                f"DELETE FROM {table.name} WHERE run IN (SELECT unnest(?::VARCHAR[]))", [list(staged.runs)]
            )
            connection.execute(f"INSERT INTO {table.name} BY NAME {staged_query(table, staged)}")
        _add_certificates(connection, staged)
        connection.execute("COMMIT")
    except BaseException:
        # some errors end the transaction themselves; the first error is the one to report
        with suppress(Exception):
            connection.execute("ROLLBACK")
        raise


def _existing_relations(connection: duckdb.DuckDBPyConnection) -> dict[str, ColumnTypes | None]:
    """Return the types of each table's columns by its name, and ``None`` for each view."""
    here = "database_name = current_database() AND schema_name = current_schema() AND NOT internal"
    found: dict[str, ColumnTypes | None] = dict.fromkeys(
        name for (name,) in connection.execute(f"SELECT view_name FROM duckdb_views() WHERE {here}").fetchall()
    )
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        f"SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE {here}"
    ).fetchall():
        if table not in found:
            tables.setdefault(table, {})[column] = kind
    return {**found, **tables}


def _add_certificates(connection: duckdb.DuckDBPyConnection, staged: StagedRows) -> None:
    """Insert each new certificate once, and add the DER to those stored without it."""
    connection.execute(
        f"CREATE TEMP TABLE met AS SELECT m.* FROM ({staged_query(CERTIFICATES, staged)}) m"
        " LEFT JOIN certificates c ON c.sha256 = m.sha256"
        " WHERE c.sha256 IS NULL OR (c.der IS NULL AND m.der IS NOT NULL)"
    )
    connection.execute(
        "UPDATE certificates SET der = met.der FROM met"
        " WHERE met.sha256 = certificates.sha256 AND certificates.der IS NULL AND met.der IS NOT NULL"
    )
    # by rowid, since a window function over whole rows took twice as long
    connection.execute(
        "INSERT INTO certificates BY NAME SELECT * FROM met ANTI JOIN certificates USING (sha256)"
        " WHERE met.rowid IN (SELECT arg_min(rowid, der IS NULL) FROM met GROUP BY sha256)"
    )
    connection.execute("DROP TABLE met")


def staged_query(table: Table, staged: StagedRows) -> str:
    """Return a query for the staged rows of a table."""
    rows = _read(table, staged)
    if table is RUNS or table is CERTIFICATES:
        return f"SELECT * FROM {rows}"
    return f"SELECT s.*, r.{RUN_DATE} FROM {rows} s JOIN {_read(RUNS, staged)} r ON r.run = s.run"


def _read(table: Table, staged: StagedRows) -> str:
    types = ", ".join(
        f"{sql_literal(column.name)}: {sql_literal(column_type(column, 'duckdb').removesuffix(' NOT NULL'))}"
        for column in table.columns
        if column.name != RUN_DATE or table is RUNS
    )
    path = glob.escape(str(staged.path(table.name)))
    return (
        f"read_json({sql_literal(path)}, format = 'newline_delimited', columns = {{{types}}},"
        f" maximum_object_size = {MAX_ROW_BYTES})"
    )


def sql_literal(text: str) -> str:
    """Return ``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def one_line_error(error: Exception) -> str:
    """Return the text of an error in one line, for the user."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(" ".join(str(error).split()))[:300]


def import_duckdb(path: str) -> Any:
    """Return the package ``duckdb``. Raises ``LoadError`` if it is not installed or cannot use ``path``."""
    try:
        import duckdb
    except ImportError:
        raise LoadError(MISSING_PACKAGE) from None
    if "?" in os.path.abspath(path):
        raise LoadError(f"cannot load into {path}: DuckDB takes no path with a question mark")
    return duckdb
