"""Creates what a database lacks, and checks what it has already: our tables, an older version's, or another program's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from scanner.text import printable, shorten
from scanner.warehouse.ddl import column_type, create_table, quote_identifier
from scanner.warehouse.sql_views import VIEWS, create_view
from scanner.warehouse.stage import LoadError
from scanner.warehouse.tables import TABLES, Column, Table

# Types that a database reports under another name than the DDL uses.
_TYPE_ALIASES: Final = {"timestamp without time zone": "timestamp"}

ColumnTypes = Mapping[str, str]


def migration_statements(existing: Mapping[str, ColumnTypes | None], dialect: str) -> Iterator[str]:
    """Yield the statements that create missing tables, columns and views, and no others.

    DDL on a table would block its readers until the commit, and users may have changed an existing view. ``existing``
    is as for ``missing_columns``, whose ``LoadError`` this raises.
    """
    for table, column in missing_columns(existing, dialect):
        yield (
            f"ALTER TABLE {table.name} ADD COLUMN {quote_identifier(column.name, dialect)} {column_type(column, dialect)}"
        )
    for table in TABLES:
        if table.name not in existing:
            yield create_table(table, dialect)
    for view in VIEWS:
        if view not in existing:
            yield create_view(view, dialect)


def missing_columns(existing: Mapping[str, ColumnTypes | None], dialect: str) -> list[tuple[Table, Column]]:
    """Return the columns that the tables of an older version lack.

    ``existing`` has the column types of each table that has one of our names, and ``None`` for each view.
    Raises ``LoadError`` if a table is another program's, which is so too if some of our tables are missing:
    all are created together.
    """
    tables = [table for table in TABLES if table.name in existing]
    if not tables:
        if taken := [name for name in VIEWS if name in existing]:
            raise _foreign(taken[0], "this database has no tables of tlsweep")
        return []
    if absent := [table.name for table in TABLES if table.name not in existing]:
        raise _foreign(tables[0].name, f"there is no {absent[0]} beside it")
    missing = []
    for table in tables:
        columns = existing[table.name]
        if columns is None:
            raise _foreign(table.name, "it is no table")
        for column in table.columns:
            found, wanted = columns.get(column.name), column_type(column, dialect).removesuffix(" NOT NULL")
            if found is not None and _TYPE_ALIASES.get(found, found) != wanted:
                raise _foreign(table.name, f"its column {column.name} is {shorten(printable(found), 40)}, not {wanted}")
            if found is None and column.key:
                raise _foreign(table.name, f"it has no column {column.name}")
            if found is None:
                missing.append((table, column))
    return missing


def _foreign(name: str, why: str) -> LoadError:
    return LoadError(f"{name} in this database is not tlsweep's ({why}): load into another database or schema")
