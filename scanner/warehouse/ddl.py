"""DDL of the warehouse's tables and views in each SQL dialect, and the commands that load files into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scanner.warehouse.sql_views import VIEWS, create_view, qualifier
from scanner.warehouse.tables import CERTIFICATES, RUN_DATE, TABLES, Column, ColumnType, Table

DIALECTS: Final = ("duckdb", "postgres", "bigquery", "snowflake", "clickhouse")

# The type of each ``ColumnType``, in their order
_TYPES: Final[Mapping[str, Mapping[ColumnType, str]]] = {
    dialect: dict(zip(ColumnType, types, strict=True))
    for dialect, types in {
        "duckdb": ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP", "DATE", "VARCHAR[]", "JSON"),
        "postgres": ("text", "bigint", "double precision", "boolean", "timestamp", "date", "text[]", "jsonb"),
        "bigquery": ("STRING", "INT64", "FLOAT64", "BOOL", "DATETIME", "DATE", "ARRAY<STRING>", "STRING"),
        "snowflake": ("VARCHAR", "NUMBER(19, 0)", "DOUBLE", "BOOLEAN", "TIMESTAMP_NTZ", "DATE", "ARRAY", "VARCHAR"),
        "clickhouse": ("String", "Int64", "Float64", "Bool", "DateTime64(3, 'UTC')", "Date", "Array(String)", "String"),
    }.items()
}

_DIRECT: Final = """\
-- Tables and views of tlsweep's warehouse. Nobody has to make them beforehand: this makes them where they are not there,
-- and fills them:
--   tlsweep load findings.ndjson --to {url}"""
_BY_FILES: Final = """\
-- Tables and views of tlsweep's warehouse, and under each table how a run gets into it. First write the files; what this
-- prints names RUN and its DATE, which stand in the names of the files:
--   tlsweep load findings.ndjson --to parquet:rows
{more}
-- A run that was loaded before is deleted first, so that loading it twice changes nothing."""

_HEADERS: Final[Mapping[str, str]] = {
    "duckdb": _DIRECT.format(url="duckdb:estate.duckdb"),
    "postgres": _DIRECT.format(url="postgresql://user@host/database"),
    "bigquery": _BY_FILES.format(
        more="--   gcloud storage cp -r rows gs://BUCKET/\n"
        "-- DATASET stands for the dataset's name:\n"
        "--   tlsweep schema ddl --dialect bigquery | sed s/DATASET/estate/ | bq query --use_legacy_sql=false"
    ),
    "snowflake": _BY_FILES.format(
        more="--   CREATE STAGE IF NOT EXISTS tlsweep FILE_FORMAT =\n"
        "--     (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE USE_VECTORIZED_SCANNER = TRUE);"
    ),
    "clickhouse": _BY_FILES.format(more="-- Views need ClickHouse 24.10 or newer (LAG and LEAD)."),
}

# How the file of a run replaces the run's rows of a table.
_LOAD_RUN: Final[Mapping[str, str]] = {
    "bigquery": "bq query --use_legacy_sql=false \"DELETE FROM DATASET.{table} WHERE run = 'RUN'\"\n"
    "bq load --source_format=PARQUET --parquet_enable_list_inference=true DATASET.{table}"
    " 'gs://BUCKET/rows/{table}/date=DATE/RUN.parquet'",
    "snowflake": "PUT file://rows/{table}/date=DATE/RUN.parquet @tlsweep/{table}/date=DATE AUTO_COMPRESS = FALSE"
    " OVERWRITE = TRUE;\n"
    "BEGIN; DELETE FROM {table} WHERE run = 'RUN';\n"
    "COPY INTO {table} FROM @tlsweep/{table}/date=DATE/RUN.parquet MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
    " FORCE = TRUE; COMMIT;",
    "clickhouse": "clickhouse-client --query \"DELETE FROM {table} WHERE run = 'RUN'\"\n"
    "clickhouse-client --query \"INSERT INTO {table} FROM INFILE 'rows/{table}/date=DATE/RUN.parquet'"
    # replicated tables would otherwise skip rows that they held before the DELETE
    ' SETTINGS insert_deduplicate = 0 FORMAT Parquet"',
}
# How certificates are merged in. A file only has those that are in no other run's file.
_LOAD_CERTIFICATES: Final[Mapping[str, str]] = {
    "bigquery": "bq load --replace --source_format=PARQUET --parquet_enable_list_inference=true"
    " DATASET.new_certificates 'gs://BUCKET/rows/certificates/date=DATE/RUN.parquet'\n"
    'bq query --use_legacy_sql=false "MERGE DATASET.certificates c USING DATASET.new_certificates n'
    " ON c.sha256 = n.sha256 WHEN MATCHED AND c.der IS NULL THEN UPDATE SET der = n.der"
    ' WHEN NOT MATCHED THEN INSERT ROW"',
    "snowflake": "PUT file://rows/certificates/date=DATE/RUN.parquet @tlsweep/certificates/date=DATE"
    " AUTO_COMPRESS = FALSE OVERWRITE = TRUE;\n"
    "CREATE OR REPLACE TEMPORARY TABLE new_certificates LIKE certificates;\n"
    "COPY INTO new_certificates FROM @tlsweep/certificates/date=DATE/RUN.parquet"
    " MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FORCE = TRUE;\n"
    "MERGE INTO certificates c USING new_certificates n ON c.sha256 = n.sha256"
    " WHEN MATCHED AND c.der IS NULL THEN UPDATE SET der = n.der WHEN NOT MATCHED THEN"
    " INSERT ({columns}) VALUES ({values});",
    "clickhouse": 'clickhouse-client --query "INSERT INTO certificates'
    " FROM INFILE 'rows/certificates/date=DATE/RUN.parquet' SETTINGS insert_deduplicate = 0 FORMAT Parquet\"",
}


def ddl(dialect: str) -> str:
    """Return the statements that create all tables and views, with the commands that load them as comments."""
    parts = [_HEADERS[dialect]]
    for table in TABLES:
        commands = "".join(f"--   {line}\n" for line in load_commands(table, dialect))
        about, _, statement = create_table(table, dialect).partition("\n")
        parts.append(f"{about}\n{commands}{statement}")
    parts += [create_view(name, dialect) for name in VIEWS]
    return "\n\n".join(parts) + "\n"


def load_commands(table: Table, dialect: str) -> list[str]:
    """Return the commands that load a file of ``load --to parquet:rows`` into ``table``.

    The list is empty for databases that ``load`` itself writes to.
    """
    commands = (_LOAD_CERTIFICATES if table is CERTIFICATES else _LOAD_RUN).get(dialect, "")
    names = [column.name for column in table.columns]
    values = ", ".join(f"n.{name}" for name in names)
    return commands.format(table=table.name, columns=", ".join(names), values=values).splitlines()


def create_table(table: Table, dialect: str) -> str:
    """Return the ``CREATE TABLE IF NOT EXISTS`` statement of ``table``, ending with a semicolon."""
    lines = [f"  {quote_identifier(column.name, dialect)} {column_type(column, dialect)}" for column in table.columns]
    keys = ", ".join(quote_identifier(name, dialect) for name in table.keys)
    end = ";"
    if dialect in ("postgres", "snowflake"):
        lines.append(f"  PRIMARY KEY ({keys})")
    elif dialect == "bigquery":
        lines.append(f"  PRIMARY KEY ({keys}) NOT ENFORCED")
        if any(column.name == RUN_DATE for column in table.columns):
            end = f"\nPARTITION BY {RUN_DATE};"
    elif dialect == "clickhouse":
        end = f"\nENGINE = ReplacingMergeTree\nORDER BY ({keys});"
    name = f"{qualifier(dialect)}{table.name}"
    return f"-- {table.about}\nCREATE TABLE IF NOT EXISTS {name} (\n" + ",\n".join(lines) + f"\n){end}"


# Names of columns that are keywords in some dialects
SQL_KEYWORDS: Final = frozenset({"row", "position"})


def quote_identifier(name: str, dialect: str) -> str:
    """Return the name of a column quoted where ``dialect`` requires it."""
    if name not in SQL_KEYWORDS or dialect == "clickhouse":
        return name
    if dialect == "bigquery":
        return f"`{name}`"
    return f'"{name.upper()}"' if dialect == "snowflake" else f'"{name}"'


def column_type(column: Column, dialect: str) -> str:
    """Return the type of a column, nullable unless it is part of the key."""
    name = _TYPES[dialect][column.kind]
    if dialect == "clickhouse":
        return name if column.key or column.kind is ColumnType.TEXTS else f"Nullable({name})"
    # BigQuery does not load a file with nullable columns into NOT NULL ones
    return f"{name} NOT NULL" if column.key and dialect != "bigquery" else name
