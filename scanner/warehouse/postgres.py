"""Into PostgreSQL, by COPY, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import orjson

from scanner.text import printable
from scanner.warehouse.ddl import column_type, create_table
from scanner.warehouse.model import CERTIFICATES, OF_RUN, TABLES, Column, Kind, Table
from scanner.warehouse.staging import LoadError, Staged
from scanner.warehouse.views import quoted, views

if TYPE_CHECKING:
    import psycopg

MISSING: Final = "loading into PostgreSQL needs the package psycopg: pip install 'tlsweep[postgres]'"
# PostgreSQL holds no NUL in a text: the picture of one stands for it (U+2400).
NUL: Final = "\N{SYMBOL FOR NULL}"
# Seconds to wait for the server's first answer.
CONNECT_SECONDS: Final = 15


def load_postgres(staged: Staged, url: str) -> None:
    """Replace the runs of ``staged`` in the database of a ``postgresql://`` URL, all or none. Raises ``LoadError``."""
    try:
        import psycopg
    except ImportError:
        raise LoadError(MISSING) from None
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS, application_name="tlsweep load") as connection:
            _fill(connection, staged)
    except psycopg.Error as error:
        # never the URL: it may hold a password
        words = printable(" ".join(str(error).split()))[:300] or type(error).__name__
        raise LoadError(f"cannot load into PostgreSQL: {words}") from error


def _fill(connection: psycopg.Connection[Any], staged: Staged) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(create_table(table, "postgres").encode())
            for column in table.columns:
                cursor.execute(
                    f"ALTER TABLE {table.name} ADD COLUMN IF NOT EXISTS {quoted(column.name, 'postgres')}"
                    f" {column_type(Column('', column.kind, ''), 'postgres')}".encode()
                )
        for view in views("postgres"):
            cursor.execute(view.encode())
        runs = list(map(_plain, staged.runs))
        for table in OF_RUN:
            cursor.execute(f"DELETE FROM {table.name} WHERE run = ANY(%s)".encode(), (runs,))
            _copy(cursor, table, table.name, staged)
        _add_certificates(cursor, staged)


def _add_certificates(cursor: psycopg.Cursor[Any], staged: Staged) -> None:
    """Each once; one that was there without its DER gets it."""
    names = ", ".join(quoted(column.name, "postgres") for column in CERTIFICATES.columns)
    cursor.execute(b"CREATE TEMP TABLE met (LIKE certificates) ON COMMIT DROP")
    _copy(cursor, CERTIFICATES, "met", staged)
    cursor.execute(
        f"INSERT INTO certificates ({names}) SELECT DISTINCT ON (sha256) {names} FROM met"
        " ORDER BY sha256, der IS NULL"
        " ON CONFLICT (sha256) DO UPDATE SET der = coalesce(certificates.der, excluded.der)".encode()
    )


def _copy(cursor: psycopg.Cursor[Any], table: Table, into: str, staged: Staged) -> None:
    names = ", ".join(quoted(column.name, "postgres") for column in table.columns)
    with cursor.copy(f"COPY {into} ({names}) FROM STDIN".encode()) as copy:
        for values in _values(table, staged):
            copy.write_row(values)


def _values(table: Table, staged: Staged) -> Iterator[list[Any]]:
    makers: list[tuple[str, Callable[[Any], Any]]] = [
        (column.name, _MAKE.get(column.kind, _same)) for column in table.columns
    ]
    for row in staged.rows(table.name):
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
