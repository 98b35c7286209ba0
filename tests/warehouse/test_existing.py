"""Whose tables these are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner.warehouse.ddl import column_type
from scanner.warehouse.existing import Columns, missing_columns
from scanner.warehouse.model import TABLES
from scanner.warehouse.stage import LoadError

There = dict[str, Columns | None]


def ours(dialect: str = "duckdb") -> dict[str, dict[str, str]]:
    return {
        table.name: {column.name: column_type(column, dialect).removesuffix(" NOT NULL") for column in table.columns}
        for table in TABLES
    }


def test_nothing_and_all() -> None:
    assert missing_columns({}, "duckdb") == []
    assert missing_columns({"customers": {"id": "BIGINT"}}, "duckdb") == []
    assert missing_columns({**ours(), "expiring": None}, "duckdb") == []
    postgres = ours("postgres")
    postgres["findings"]["started"] = "timestamp without time zone"
    assert missing_columns({**postgres}, "postgres") == []


def test_columns_of_a_user_and_of_an_older_version() -> None:
    there = ours()
    there["findings"]["mine"] = "VARCHAR"
    del there["endpoints"]["crl"]
    assert [(table.name, column.name) for table, column in missing_columns({**there}, "duckdb")] == [
        ("endpoints", "crl")
    ]


def _without(name: str) -> There:
    return {**{table: columns for table, columns in ours().items() if table != name}}


def _with(table: str, column: str, kind: str | None) -> There:
    there = ours()
    del there[table][column]
    if kind is not None:
        there[table][column] = kind
    return {**there}


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (lambda: {"findings": {"id": "BIGINT", "severity": "VARCHAR"}}, "findings .*no runs beside it"),
        (lambda: _without("chains"), "runs .*no chains beside it"),
        (lambda: {"failures": None}, "failures .*no tables of tlsweep"),
        (lambda: {**ours(), "findings": None}, "findings .*it is no table"),
        (lambda: _with("findings", "row", None), "findings .*no column row"),
        (lambda: _with("findings", "port", "VARCHAR"), "findings .*port is VARCHAR, not BIGINT"),
        (lambda: _with("certificates", "sha256", "ENUM('\x1b[31m')"), r"certificates .*sha256 is ENUM"),
    ],
)
def test_another_programs(there: Callable[[], There], why: str) -> None:
    with pytest.raises(LoadError, match=why) as refused:
        missing_columns(there(), "duckdb")
    assert str(refused.value).isprintable()
