"""Loads staged rows into PostgreSQL by COPY, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import orjson

from scanner.text import printable
from scanner.warehouse.ddl import quote_identifier
from scanner.warehouse.migration import ColumnTypes, migration_statements
from scanner.warehouse.sql_views import VIEWS
from scanner.warehouse.stage import LoadError, StagedRows
from scanner.warehouse.tables import CERTIFICATES, RUN_DATE, TABLES, TABLES_BY_RUN, ColumnType, Table

if TYPE_CHECKING:
    import psycopg

MISSING_PACKAGE: Final = "loading into PostgreSQL needs the package psycopg: pip install 'psycopg[binary]'"
# PostgreSQL text cannot contain NUL, so U+2400 replaces it.
NUL_SYMBOL: Final = "\N{SYMBOL FOR NULL}"
# Unless the URL says otherwise: seconds to wait for a connection, milliseconds for sent data to be acknowledged.
DEFAULT_OPTIONS: Final = {"connect_timeout": "15", "tcp_user_timeout": "60000"}
# Override the environment
FIXED_OPTIONS: Final = {"client_encoding": "utf8", "application_name": "tlsweep load"}
# Advisory lock that serialises loads of one database; the number ("tlsweep1") is unlikely to be used by other programs.
LOAD_LOCK: Final = 0x746C737765657031


def load_postgres(staged: StagedRows, url: str) -> None:
    """Replace the runs of ``staged`` in the database of a ``postgresql://`` URL, all or none. Raises ``LoadError``."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    except ImportError:
        raise LoadError(MISSING_PACKAGE) from None
    # a lost connection is reported once, by us
    log = logging.getLogger("psycopg")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    try:
        options: dict[str, Any] = {**DEFAULT_OPTIONS, **conninfo_to_dict(url), **FIXED_OPTIONS}
        if not all(port.isdigit() for port in str(options.get("port", 5432)).split(",")):
            raise ValueError
    except (psycopg.Error, ValueError):
        # the faulty part may be the password, so the message shows nothing of the URL
        raise LoadError(
            "--to: this is no URL of a PostgreSQL database (in a name or a password, / : @ % are written as %2F %3A %40 %25)"
        ) from None
    try:
        with psycopg.connect(make_conninfo("", **options)) as connection:
            replace_runs(connection, staged)
    except psycopg.Error as error:
        words = printable(" ".join(str(error).split()))[:300] or type(error).__name__
        raise LoadError(f"cannot load into PostgreSQL: {words}") from error


def replace_runs(connection: psycopg.Connection[Any], staged: StagedRows) -> None:
    """Replace the runs within the connection's transaction, which the caller commits."""
    dates = {run: facts.run_date for run, facts in staged.runs.items()}
    with connection.cursor() as cursor:
        cursor.execute(b"SELECT pg_advisory_xact_lock(%s)", (LOAD_LOCK,))
        for statement in migration_statements(_existing_relations(cursor), "postgres"):
            cursor.execute(statement.encode())
        for table in TABLES_BY_RUN:
            cursor.execute(f"DELETE FROM {table.name} WHERE run = ANY(%s)".encode(), (list(map(_without_nul, dates)),))
            _copy(cursor, table, table.name, staged, dates)
        _add_certificates(cursor, staged)


def _existing_relations(cursor: psycopg.Cursor[Any]) -> dict[str, ColumnTypes | None]:
    """Return what the current schema has under our names: column types of tables, ``None`` for anything else."""
    cursor.execute(b"SELECT current_schema()")
    if cursor.fetchone() == (None,):
        raise LoadError("cannot load into PostgreSQL: the search_path of this user names no schema that exists")
    cursor.execute(
        b"SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c"
        b" LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        b" WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(%s)",
        ([*(table.name for table in TABLES), *VIEWS],),
    )
    found: dict[str, ColumnTypes | None] = {}
    tables: dict[str, dict[str, str]] = {}
    for name, kind, column, column_kind in cursor.fetchall():
        found[name] = None
        if kind in (b"r", b"p", "r", "p"):  # tables, plain or partitioned
            columns = tables.setdefault(name, {})
            if column is not None:
                columns[column] = column_kind
    return {**found, **tables}


def _add_certificates(cursor: psycopg.Cursor[Any], staged: StagedRows) -> None:
    """Insert each new certificate once, and add the DER to those stored without it."""
    names = ", ".join(quote_identifier(column.name, "postgres") for column in CERTIFICATES.columns)
    cursor.execute(b"CREATE TEMP TABLE tlsweep_met ON COMMIT DROP AS SELECT * FROM certificates WITH NO DATA")
    _copy(cursor, CERTIFICATES, "tlsweep_met", staged, {})
    cursor.execute(
        f"INSERT INTO certificates ({names}) SELECT DISTINCT ON (sha256) {names} FROM tlsweep_met"
        " ORDER BY sha256, der IS NULL"
        " ON CONFLICT (sha256) DO UPDATE SET der = excluded.der"
        " WHERE certificates.der IS NULL AND excluded.der IS NOT NULL".encode()
    )


def _copy(cursor: psycopg.Cursor[Any], table: Table, into: str, staged: StagedRows, dates: dict[str, str]) -> None:
    names = ", ".join(quote_identifier(column.name, "postgres") for column in table.columns)
    with cursor.copy(f"COPY {into} ({names}) FROM STDIN".encode()) as copy:
        for values in _values(table, staged, dates):
            copy.write_row(values)


def _values(table: Table, staged: StagedRows, dates: dict[str, str]) -> Iterator[list[Any]]:
    makers = [(column.name, _CONVERTERS.get(column.kind, _same)) for column in table.columns]
    for row in staged.rows(table.name):
        if dates:
            row[RUN_DATE] = dates[row["run"]]
        yield [make(row[name]) for name, make in makers]


def _same(value: Any) -> Any:
    return value


def _without_nul(value: str | None) -> str | None:
    return value if value is None or "\0" not in value else value.replace("\0", NUL_SYMBOL)


def _json_text(value: Any) -> str | None:
    if value is None:
        return None
    text = orjson.dumps(value).decode()
    return text if "\\u0000" not in text else orjson.dumps(_without_nul_in_json(value)).decode()


def _without_nul_in_json(value: Any) -> Any:
    if isinstance(value, str):
        return _without_nul(value)
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul_in_json(item) for key, item in value.items()}
    return [_without_nul_in_json(item) for item in value] if isinstance(value, list) else value


_CONVERTERS: Final[dict[ColumnType, Callable[[Any], Any]]] = {
    ColumnType.TEXT: _without_nul,
    ColumnType.JSON: _json_text,
    ColumnType.TEXTS: _without_nul_in_json,
}
