"""Into PostgreSQL, by COPY, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import orjson

from scanner.text import printable
from scanner.warehouse.ddl import column_type, create_table, quoted
from scanner.warehouse.existing import Columns, missing_columns
from scanner.warehouse.model import CERTIFICATES, OF_RUN, RUN_DATE, TABLES, Kind, Table
from scanner.warehouse.sql_views import VIEWS, create_view
from scanner.warehouse.stage import LoadError, Staged

if TYPE_CHECKING:
    import psycopg

MISSING: Final = "loading into PostgreSQL needs the package psycopg: pip install 'tlsweep[postgres]'"
# PostgreSQL holds no NUL in a text: the picture of one stands for it (U+2400).
NUL: Final = "\N{SYMBOL FOR NULL}"
# Where the URL says nothing else: seconds to wait for the server's first answer, milliseconds for its host to take what was sent.
DEFAULTS: Final = {"connect_timeout": "15", "tcp_user_timeout": "60000"}
# Whatever the environment says
ALWAYS: Final = {"client_encoding": "utf8", "application_name": "tlsweep load"}
# Loads of one database follow each other; the number is any that nobody else uses.
LOAD_LOCK: Final = 0x746C737765657031


def load_postgres(staged: Staged, url: str) -> None:
    """Replace the runs of ``staged`` in the database of a ``postgresql://`` URL, all or none. Raises ``LoadError``."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    except ImportError:
        raise LoadError(MISSING) from None
    # a connection that breaks off is told once, by us
    log = logging.getLogger("psycopg")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    try:
        options: dict[str, Any] = {**DEFAULTS, **conninfo_to_dict(url), **ALWAYS}
        if not all(port.isdigit() for port in str(options.get("port", 5432)).split(",")):
            raise ValueError
    except (psycopg.Error, ValueError):
        # what is wrong may be the password, so nothing of it is shown
        raise LoadError(
            "--to: this is no URL of a PostgreSQL database (in a name or a password, / : @ % are written as %2F %3A %40 %25)"
        ) from None
    try:
        with psycopg.connect(make_conninfo("", **options)) as connection:
            fill(connection, staged)
    except psycopg.Error as error:
        words = printable(" ".join(str(error).split()))[:300] or type(error).__name__
        raise LoadError(f"cannot load into PostgreSQL: {words}") from error


def fill(connection: psycopg.Connection[Any], staged: Staged) -> None:
    """Replace the runs within the connection's transaction, which the caller ends."""
    dates = {run: facts.run_date for run, facts in staged.runs.items()}
    with connection.cursor() as cursor:
        cursor.execute(b"SELECT pg_advisory_xact_lock(%s)", (LOAD_LOCK,))
        _prepare(cursor)
        for table in OF_RUN:
            cursor.execute(f"DELETE FROM {table.name} WHERE run = ANY(%s)".encode(), (list(map(_plain, dates)),))
            _copy(cursor, table, table.name, staged, dates)
        _add_certificates(cursor, staged)


def _prepare(cursor: psycopg.Cursor[Any]) -> None:
    """Make what is not there, and nothing else: a statement that changes a table keeps its readers waiting until the end."""
    there = _there(cursor)
    for table, column in missing_columns(there, "postgres"):
        cursor.execute(
            f"ALTER TABLE {table.name} ADD COLUMN {quoted(column.name, 'postgres')} {column_type(column, 'postgres')}".encode()
        )
    for table in TABLES:
        if table.name not in there:
            cursor.execute(create_table(table, "postgres").encode())
    for view in VIEWS:
        # one that is there may have been changed by its users
        if view not in there:
            cursor.execute(create_view(view, "postgres").encode())


def _there(cursor: psycopg.Cursor[Any]) -> dict[str, Columns | None]:
    """Tables, with the types of their columns, and all else that has a name of ours, in the schema where they would be made."""
    cursor.execute(b"SELECT current_schema()")
    if cursor.fetchone() == (None,):
        raise LoadError("cannot load into PostgreSQL: the search_path of this user names no schema that exists")
    cursor.execute(
        b"SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c"
        b" LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        b" WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(%s)",
        ([*(table.name for table in TABLES), *VIEWS],),
    )
    found: dict[str, Columns | None] = {}
    tables: dict[str, dict[str, str]] = {}
    for name, kind, column, column_kind in cursor.fetchall():
        found[name] = None
        if kind in (b"r", b"p", "r", "p"):  # tables, plain or partitioned
            columns = tables.setdefault(name, {})
            if column is not None:
                columns[column] = column_kind
    return {**found, **tables}


def _add_certificates(cursor: psycopg.Cursor[Any], staged: Staged) -> None:
    """Each once; one that was there without its DER gets it."""
    names = ", ".join(quoted(column.name, "postgres") for column in CERTIFICATES.columns)
    cursor.execute(b"CREATE TEMP TABLE tlsweep_met ON COMMIT DROP AS SELECT * FROM certificates WITH NO DATA")
    _copy(cursor, CERTIFICATES, "tlsweep_met", staged, {})
    cursor.execute(
        f"INSERT INTO certificates ({names}) SELECT DISTINCT ON (sha256) {names} FROM tlsweep_met"
        " ORDER BY sha256, der IS NULL"
        " ON CONFLICT (sha256) DO UPDATE SET der = excluded.der"
        " WHERE certificates.der IS NULL AND excluded.der IS NOT NULL".encode()
    )


def _copy(cursor: psycopg.Cursor[Any], table: Table, into: str, staged: Staged, dates: dict[str, str]) -> None:
    names = ", ".join(quoted(column.name, "postgres") for column in table.columns)
    with cursor.copy(f"COPY {into} ({names}) FROM STDIN".encode()) as copy:
        for values in _values(table, staged, dates):
            copy.write_row(values)


def _values(table: Table, staged: Staged, dates: dict[str, str]) -> Iterator[list[Any]]:
    makers = [(column.name, _MAKE.get(column.kind, _same)) for column in table.columns]
    for row in staged.rows(table.name):
        if dates:
            row[RUN_DATE] = dates[row["run"]]
        yield [make(row[name]) for name, make in makers]


def _same(value: Any) -> Any:
    return value


def _plain(value: str | None) -> str | None:
    return value if value is None or "\0" not in value else value.replace("\0", NUL)


def _json(value: Any) -> str | None:
    if value is None:
        return None
    text = orjson.dumps(value).decode()
    return text if "\\u0000" not in text else orjson.dumps(_without_nul(value)).decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, dict):
        return {_plain(key): _without_nul(item) for key, item in value.items()}
    return [_without_nul(item) for item in value] if isinstance(value, list) else value


def _list(value: list[str] | None) -> list[str | None] | None:
    return None if value is None else [_plain(item) for item in value]


_MAKE: Final[dict[Kind, Callable[[Any], Any]]] = {Kind.TEXT: _plain, Kind.JSON: _json, Kind.TEXTS: _list}
