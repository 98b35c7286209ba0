"""What a database holds under the names that are wanted: ours, older ours, or another program's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scanner.text import printable, shorten
from scanner.warehouse.ddl import column_type
from scanner.warehouse.model import TABLES, Column, Table
from scanner.warehouse.sql_views import VIEWS
from scanner.warehouse.stage import LoadError

# How a database itself names a type that a statement may call otherwise.
_SAME: Final = {"timestamp without time zone": "timestamp"}

Columns = Mapping[str, str]


def missing_columns(there: Mapping[str, Columns | None], dialect: str) -> list[tuple[Table, Column]]:
    """Columns that an older version's tables lack. Raises ``LoadError`` where the names are another program's.

    ``there``: for each name of ours that is taken, the columns of the table with their types, ``None`` for a view.
    All tables are made together, so some alone are not ours.
    """
    tables = [table for table in TABLES if table.name in there]
    if not tables:
        if taken := [name for name in VIEWS if name in there]:
            raise _foreign(taken[0], "this database has no tables of tlsweep")
        return []
    if absent := [table.name for table in TABLES if table.name not in there]:
        raise _foreign(tables[0].name, f"there is no {absent[0]} beside it")
    missing = []
    for table in tables:
        columns = there[table.name]
        if columns is None:
            raise _foreign(table.name, "it is no table")
        for column in table.columns:
            found, wanted = columns.get(column.name), column_type(column, dialect).removesuffix(" NOT NULL")
            if found is not None and _SAME.get(found, found) != wanted:
                raise _foreign(table.name, f"its column {column.name} is {shorten(printable(found), 40)}, not {wanted}")
            if found is None and column.key:
                raise _foreign(table.name, f"it has no column {column.name}")
            if found is None:
                missing.append((table, column))
    return missing


def _foreign(name: str, why: str) -> LoadError:
    return LoadError(f"{name} in this database is not tlsweep's ({why}): load into another database or schema")
