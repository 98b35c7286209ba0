"""The tables as each database wants them, and how rows get there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scanner.warehouse.model import TABLES, Column, Kind, Table
from scanner.warehouse.views import quoted, views

DIALECTS: Final = ("duckdb", "postgres", "bigquery", "snowflake", "clickhouse")

_TYPES: Final[Mapping[str, Mapping[Kind, str]]] = {
    "duckdb": {
        Kind.TEXT: "VARCHAR", Kind.INTEGER: "BIGINT", Kind.DOUBLE: "DOUBLE", Kind.BOOLEAN: "BOOLEAN",
        Kind.TIMESTAMP: "TIMESTAMP", Kind.DATE: "DATE", Kind.TEXTS: "VARCHAR[]", Kind.JSON: "JSON",
    },
    "postgres": {
        Kind.TEXT: "text", Kind.INTEGER: "bigint", Kind.DOUBLE: "double precision", Kind.BOOLEAN: "boolean",
        Kind.TIMESTAMP: "timestamp", Kind.DATE: "date", Kind.TEXTS: "text[]", Kind.JSON: "jsonb",
    },
    "bigquery": {
        Kind.TEXT: "STRING", Kind.INTEGER: "INT64", Kind.DOUBLE: "FLOAT64", Kind.BOOLEAN: "BOOL",
        Kind.TIMESTAMP: "DATETIME", Kind.DATE: "DATE", Kind.TEXTS: "ARRAY<STRING>", Kind.JSON: "STRING",
    },
    "snowflake": {
        Kind.TEXT: "VARCHAR", Kind.INTEGER: "NUMBER(19, 0)", Kind.DOUBLE: "DOUBLE", Kind.BOOLEAN: "BOOLEAN",
        Kind.TIMESTAMP: "TIMESTAMP_NTZ", Kind.DATE: "DATE", Kind.TEXTS: "ARRAY", Kind.JSON: "VARCHAR",
    },
    "clickhouse": {
        Kind.TEXT: "String", Kind.INTEGER: "Int64", Kind.DOUBLE: "Float64", Kind.BOOLEAN: "Bool",
        Kind.TIMESTAMP: "DateTime64(3, 'UTC')", Kind.DATE: "Date", Kind.TEXTS: "Array(String)", Kind.JSON: "String",
    },
}  # fmt: skip

_LOADING: Final[Mapping[str, str]] = {
    "duckdb": "-- tlsweep load findings.ndjson --to duckdb:tlsweep.duckdb makes these tables and fills them.",
    "postgres": "-- tlsweep load findings.ndjson --to postgresql://user@host/database makes these tables and fills them.",
    "bigquery": (
        "-- First: tlsweep load findings.ndjson --to parquet:rows; gsutil -m cp -r rows gs://BUCKET/\n"
        "-- Then for each table, here findings (certificates and runs have no partition to be named twice):\n"
        "--   bq load --source_format=PARQUET --hive_partitioning_mode=AUTO --parquet_enable_list_inference"
        " --hive_partitioning_source_uri_prefix=gs://BUCKET/rows/findings DATASET.findings"
        " 'gs://BUCKET/rows/findings/*.parquet'"
    ),
    "snowflake": (
        "-- First: tlsweep load findings.ndjson --to parquet:rows; then put the files into a stage:\n"
        "--   CREATE STAGE IF NOT EXISTS tlsweep FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);\n"
        "--   PUT file://rows/findings/*/*.parquet @tlsweep/findings AUTO_COMPRESS = FALSE;\n"
        "-- Then for each table, here findings:\n"
        "--   COPY INTO findings FROM @tlsweep/findings MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;"
    ),
    "clickhouse": (
        "-- First: tlsweep load findings.ndjson --to parquet:rows\n"
        "-- Then for each table, here findings:\n"
        "--   clickhouse-client --query \"INSERT INTO findings FROM INFILE 'rows/findings/*/*.parquet' FORMAT Parquet\""
    ),
}


def ddl(dialect: str) -> str:
    """All statements that make the tables and views of a dialect, with the command that loads them as a comment."""
    parts = [_LOADING[dialect], *(create_table(table, dialect) for table in TABLES), *views(dialect)]
    return "\n\n".join(parts) + "\n"


def create_table(table: Table, dialect: str) -> str:
    """The statement that makes a table where it is not there, ending with a semicolon."""
    lines = [f"  {quoted(column.name, dialect)} {column_type(column, dialect)}" for column in table.columns]
    keys = ", ".join(quoted(name, dialect) for name in table.keys)
    end = ";"
    if dialect in ("postgres", "snowflake"):
        lines.append(f"  PRIMARY KEY ({keys})")
    elif dialect == "bigquery":
        lines.append(f"  PRIMARY KEY ({keys}) NOT ENFORCED")
        if any(column.name == "run_date" for column in table.columns):
            end = "\nPARTITION BY run_date;"
    elif dialect == "clickhouse":
        # the last one loaded replaces what has the same key, so loading a run twice leaves it once
        end = f"\nENGINE = ReplacingMergeTree\nORDER BY ({keys});"
    return f"-- {table.about}\nCREATE TABLE IF NOT EXISTS {table.name} (\n" + ",\n".join(lines) + f"\n){end}"


def column_type(column: Column, dialect: str) -> str:
    """The type of a column, nullable unless it is a key."""
    name = _TYPES[dialect][column.kind]
    if dialect == "clickhouse":
        return name if column.key or column.kind is Kind.TEXTS else f"Nullable({name})"
    return f"{name} NOT NULL" if column.key else name
