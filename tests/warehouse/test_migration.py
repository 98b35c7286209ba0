"""Existing tables are recognised as ours, an older version's, or another program's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner.warehouse.ddl import column_type
from scanner.warehouse.migration import ColumnTypes, missing_columns
from scanner.warehouse.stage import LoadError
from scanner.warehouse.tables import TABLES

Existing = dict[str, ColumnTypes | None]


def our_tables(dialect: str = "duckdb") -> dict[str, dict[str, str]]:
    return {
        table.name: {column.name: column_type(column, dialect).removesuffix(" NOT NULL") for column in table.columns}
        for table in TABLES
    }


def test_an_empty_and_a_complete_database_lack_no_columns() -> None:
    assert missing_columns({}, "duckdb") == []
    assert missing_columns({"customers": {"id": "BIGINT"}}, "duckdb") == []
    assert missing_columns({**our_tables(), "expiring": None}, "duckdb") == []
    postgres = our_tables("postgres")
    postgres["findings"]["started"] = "timestamp without time zone"
    assert missing_columns({**postgres}, "postgres") == []


def test_missing_columns_are_found_and_additional_ones_ignored() -> None:
    existing = our_tables()
    existing["findings"]["mine"] = "VARCHAR"
    del existing["endpoints"]["crl"]
    assert [(table.name, column.name) for table, column in missing_columns({**existing}, "duckdb")] == [
        ("endpoints", "crl")
    ]


def _without(name: str) -> Existing:
    return {**{table: columns for table, columns in our_tables().items() if table != name}}


def _with(table: str, column: str, kind: str | None) -> Existing:
    existing = our_tables()
    del existing[table][column]
    if kind is not None:
        existing[table][column] = kind
    return {**existing}


@pytest.mark.parametrize(
    ("existing", "why"),
    [
        (lambda: {"findings": {"id": "BIGINT", "severity": "VARCHAR"}}, "findings .*no runs beside it"),
        (lambda: _without("chains"), "runs .*no chains beside it"),
        (lambda: {"failures": None}, "failures .*no tables of tlsweep"),
        (lambda: {**our_tables(), "findings": None}, "findings .*it is no table"),
        (lambda: _with("findings", "row", None), "findings .*no column row"),
        (lambda: _with("findings", "port", "VARCHAR"), "findings .*port is VARCHAR, not BIGINT"),
        (lambda: _with("certificates", "sha256", "ENUM('\x1b[31m')"), r"certificates .*sha256 is ENUM"),
    ],
)
def test_tables_of_another_program_are_refused(existing: Callable[[], Existing], why: str) -> None:
    with pytest.raises(LoadError, match=why) as refused:
        missing_columns(existing(), "duckdb")
    assert str(refused.value).isprintable()
