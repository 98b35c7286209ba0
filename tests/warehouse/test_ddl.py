"""The DDL of every dialect parses, uses no reserved words as names, and runs in DuckDB and PostgreSQL."""

from __future__ import annotations

import re

import duckdb
import pytest
import sqlglot
from sqlglot import expressions

from scanner.warehouse.ddl import DIALECTS, SQL_KEYWORDS, ddl, load_commands
from scanner.warehouse.sql_views import VIEWS
from scanner.warehouse.tables import CERTIFICATES, TABLES, TABLES_BY_RUN
from tests.warehouse.conftest import Database

dialects = pytest.mark.parametrize("dialect", DIALECTS)
# Words that need quotes as column names: BigQuery's lexical structure, Snowflake's reserved keywords. DuckDB and
# PostgreSQL are asked for theirs; ClickHouse reserves none.
RESERVED = frozenset(
    """
    all and any array as asc assert_rows_modified at between by case cast collate contains create cross cube current default
    define desc distinct else end enum escape except exclude exists extract false fetch following for from full group grouping
    groups hash having if ignore in inner intersect interval into is join lateral left like limit lookup merge natural new no not
    null nulls of on or order outer over partition preceding proto qualify range recursive respect right rollup rows select set
    some struct tablesample then to treat true unbounded union unnest using when where window with within
    account alter check column connect connection constraint current_date current_time current_timestamp current_user database
    delete drop grant gscluster ilike increment insert issue localtime localtimestamp minus organization regexp revoke rlike row
    sample schema start table trigger try_cast unique update values view whenever
    """.split()
)
NAMES = sorted(
    {*VIEWS, *(table.name for table in TABLES), *(column.name for table in TABLES for column in table.columns)}
)


def test_no_column_name_is_a_reserved_word() -> None:
    assert not RESERVED & (set(NAMES) - SQL_KEYWORDS)
    reserved = duckdb.execute(
        "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    ).fetchall()
    assert not {name for (name,) in reserved} & (set(NAMES) - SQL_KEYWORDS)


def test_no_column_name_is_reserved_by_postgresql(database: Database) -> None:
    reserved = database.rows("SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'")
    assert len(reserved) > 100 and not {word for (word,) in reserved} & (set(NAMES) - SQL_KEYWORDS)


@dialects
def test_statements_parse(dialect: str) -> None:
    made = sqlglot.parse(ddl(dialect), dialect=dialect)
    assert [type(statement) for statement in made] == [expressions.Create] * (len(TABLES) + len(VIEWS))
    names = [statement.find(expressions.Table).name for statement in made if statement is not None]  # type: ignore[union-attr]
    assert names == [*(table.name for table in TABLES), *VIEWS]


@dialects
def test_lines_are_short_enough_to_read(dialect: str) -> None:
    text = ddl(dialect)
    assert text.endswith(";\n") and "{" not in text
    for view in VIEWS:
        assert f"VIEW {'DATASET.' if dialect == 'bigquery' else ''}{view} AS" in text


@pytest.mark.parametrize("dialect", ["bigquery", "snowflake", "clickhouse"])
def test_every_table_has_load_commands(dialect: str) -> None:
    for table in TABLES:
        commands = "\n".join(load_commands(table, dialect))
        assert f"{table.name}/date=DATE/RUN.parquet" in commands
        # loading a run again replaces it
        assert ("DELETE FROM" in commands) == (table in TABLES_BY_RUN)
        assert f"--   {load_commands(table, dialect)[0]}\n" in ddl(dialect)
    if dialect != "clickhouse":
        assert "MERGE" in "\n".join(load_commands(CERTIFICATES, dialect))


@pytest.mark.parametrize("dialect", ["bigquery", "snowflake", "clickhouse"])
def test_statements_in_load_commands_parse(dialect: str) -> None:
    for table in TABLES:
        for line in load_commands(table, dialect):
            quote_identifier = re.findall(r'"([^"]*)"', line)
            statements = [
                text for text in (quote_identifier or line.split(";")) if text.strip() and not text.startswith("PUT ")
            ]
            if line.startswith("bq load"):
                continue
            for statement in statements:
                if "INFILE" not in statement:  # clickhouse-client's own
                    assert sqlglot.parse_one(statement, dialect=dialect) is not None


def test_duckdb_accepts_the_ddl_twice() -> None:
    with duckdb.connect() as connection:
        for _ in range(2):
            connection.execute(ddl("duckdb"))
        assert len(connection.execute("SELECT * FROM duckdb_tables()").fetchall()) == len(TABLES)


def test_postgresql_accepts_the_ddl_twice(database: Database) -> None:
    for _ in range(2):
        database.rows(ddl("postgres").replace("%", "%%"))
    assert database.rows("SELECT count(*) FROM pg_views WHERE schemaname = 'public'") == [(len(VIEWS),)]
