"""Into a DuckDB file."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from scanner.text import printable
from scanner.warehouse.ddl import column_type, create_table, quoted
from scanner.warehouse.existing import Columns, missing_columns
from scanner.warehouse.model import CERTIFICATES, OF_RUN, RUN_DATE, RUNS, TABLES, Table
from scanner.warehouse.sql_views import VIEWS, create_view
from scanner.warehouse.stage import LoadError, Staged

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

# A row is at most a finding, whose lines have 8 MiB at most. Each thread of DuckDB keeps room for two.
MAX_ROW_BYTES: Final = 9 << 20
MISSING: Final = "loading into DuckDB and Parquet needs the package duckdb: pip install 'tlsweep[duckdb]'"
# Nothing is ever fetched: JSON and Parquet come with the package.
CONFIG: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # order is a column here, and keeping it costs memory
    "preserve_insertion_order": False,
    # what is more goes to disk beside the database; enough for a million certificates at once, and no slower than without a limit
    "memory_limit": "1GB",
}
# Between two tries to interrupt
INTERRUPT_SECONDS: Final = 0.05
# Each thread takes memory, and more of them do not read faster.
MAX_THREADS: Final = 4


def load_duckdb(staged: Staged, path: str) -> None:
    """Replace the runs of ``staged`` in a database file, all of them or none. Raises ``LoadError``."""
    with as_load_errors(needed(path), path), opened(path) as connection:
        interruptible(connection, lambda: fill(connection, staged))


@contextmanager
def as_load_errors(duckdb: Any, place: str) -> Iterator[None]:
    """Faults of the place as ``LoadError``."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise LoadError(f"cannot load into {place}: {in_a_line(error)}") from error


def interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Do some work with the connection in a thread, so that SIGINT is heard: within a statement it may not be for minutes."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            # between two statements there is nothing to interrupt, so more than once
            while not wait([future], INTERRUPT_SECONDS).done:
                connection.interrupt()
            raise


def opened(path: str) -> duckdb.DuckDBPyConnection:
    """A database file, made where it is not there."""
    # an absolute path: what looks like a URL or a service of DuckDB's is a file's name here
    connection: duckdb.DuckDBPyConnection = needed(path).connect(os.path.abspath(path), config=CONFIG)
    connection.execute(f"SET threads = {min(os.cpu_count() or 1, MAX_THREADS)}")
    return connection


def fill(connection: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Make tables and views where they are not there, and replace the runs, in one transaction."""
    connection.execute("BEGIN")
    try:
        _prepare(connection)
        for table in OF_RUN:
            connection.execute(
                f"DELETE FROM {table.name} WHERE run IN (SELECT unnest(?::VARCHAR[]))", [list(staged.runs)]
            )
            connection.execute(f"INSERT INTO {table.name} BY NAME {staged_rows(table, staged)}")
        _add_certificates(connection, staged)
        connection.execute("COMMIT")
    except BaseException:
        # after some errors there is no transaction any more; the first error is the one to tell
        with suppress(Exception):
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    there = _there(connection)
    for table, column in missing_columns(there, "duckdb"):
        connection.execute(
            f"ALTER TABLE {table.name} ADD COLUMN {quoted(column.name, 'duckdb')} {column_type(column, 'duckdb')}"
        )
    for table in TABLES:
        connection.execute(create_table(table, "duckdb"))
    for view in VIEWS:
        # one that is there may have been changed by its users
        if view not in there:
            connection.execute(create_view(view, "duckdb"))


def _there(connection: duckdb.DuckDBPyConnection) -> dict[str, Columns | None]:
    """Tables and views by name; the columns of tables with their types."""
    here = "database_name = current_database() AND schema_name = current_schema() AND NOT internal"
    found: dict[str, Columns | None] = dict.fromkeys(
        name for (name,) in connection.execute(f"SELECT view_name FROM duckdb_views() WHERE {here}").fetchall()
    )
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        f"SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE {here}"
    ).fetchall():
        if table not in found:
            tables.setdefault(table, {})[column] = kind
    return {**found, **tables}


def _add_certificates(connection: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Each once; one that was there without its DER gets it."""
    connection.execute(
        f"CREATE TEMP TABLE met AS SELECT m.* FROM ({staged_rows(CERTIFICATES, staged)}) m"
        " LEFT JOIN certificates c ON c.sha256 = m.sha256"
        " WHERE c.sha256 IS NULL OR (c.der IS NULL AND m.der IS NOT NULL)"
    )
    connection.execute(
        "UPDATE certificates SET der = met.der FROM met"
        " WHERE met.sha256 = certificates.sha256 AND certificates.der IS NULL AND met.der IS NOT NULL"
    )
    # rows are told apart by number: a window over whole rows took twice as long
    connection.execute(
        "INSERT INTO certificates BY NAME SELECT * FROM met ANTI JOIN certificates USING (sha256)"
        " WHERE met.rowid IN (SELECT arg_min(rowid, der IS NULL) FROM met GROUP BY sha256)"
    )
    connection.execute("DROP TABLE met")


def staged_rows(table: Table, staged: Staged) -> str:
    """The staged rows of a table as a query."""
    rows = _read(table, staged)
    if table is RUNS or table is CERTIFICATES:
        return f"SELECT * FROM {rows}"
    return f"SELECT s.*, r.{RUN_DATE} FROM {rows} s JOIN {_read(RUNS, staged)} r ON r.run = s.run"


def _read(table: Table, staged: Staged) -> str:
    types = ", ".join(
        f"{literal(column.name)}: {literal(column_type(column, 'duckdb').removesuffix(' NOT NULL'))}"
        for column in table.columns
        if column.name != RUN_DATE or table is RUNS
    )
    path = glob.escape(str(staged.path(table.name)))
    return (
        f"read_json({literal(path)}, format = 'newline_delimited', columns = {{{types}}},"
        f" maximum_object_size = {MAX_ROW_BYTES})"
    )


def literal(text: str) -> str:
    """A text as it can stand in a statement."""
    return "'" + text.replace("'", "''") + "'"


def in_a_line(error: Exception) -> str:
    """What went wrong, for a person."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(" ".join(str(error).split()))[:300]


def needed(path: str) -> Any:
    """The package, or ``LoadError`` with the command that installs it, or why it cannot use the path."""
    try:
        import duckdb
    except ImportError:
        raise LoadError(MISSING) from None
    if "?" in os.path.abspath(path):
        raise LoadError(f"cannot load into {path}: DuckDB takes no path with a question mark")
    return duckdb
