from __future__ import annotations

import jsonschema
import orjson
import pytest

from tests.cli.conftest import Call, refused


@pytest.mark.parametrize(("what", "name"), [("finding", "tlsweep/1"), ("stats", "tlsweep-stats/1")])
def test_schemas_are_valid_json_schema(call: Call, what: str, name: str) -> None:
    schema = orjson.loads(call("schema", what).out)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"] == {"const": name, "description": "Name and version of this schema."}


def test_an_unknown_schema_is_refused(call: Call) -> None:
    refused(call("schema", "everything"))


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "bigquery", "snowflake", "clickhouse"])
def test_ddl_in_every_dialect(call: Call, dialect: str) -> None:
    told = call("schema", "ddl", "--dialect", dialect)
    assert (told.status, told.err) == (0, "")
    assert told.out.count("CREATE TABLE IF NOT EXISTS") == 6
    assert "--to parquet:rows" in told.out or f"--to {dialect}" in told.out


def test_dialect_needs_ddl(call: Call) -> None:
    assert call("schema", "ddl").out == call("schema", "ddl", "--dialect", "duckdb").out
    assert "--dialect goes with ddl" in refused(call("schema", "finding", "--dialect", "duckdb"))
    refused(call("schema", "ddl", "--dialect", "oracle"))
