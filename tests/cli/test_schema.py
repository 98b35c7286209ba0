from __future__ import annotations

import jsonschema
import orjson

from tests.cli.conftest import Call, refused


def test_the_schema_is_one(call: Call) -> None:
    schema = orjson.loads(call("schema", "finding").out)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"] == {"const": "tlsweep/1", "description": "Name and version of this schema."}


def test_what_is_not_there_yet_says_so(call: Call) -> None:
    for what in ("stats", "ddl"):
        assert "not part of this version" in refused(call("schema", what))
    refused(call("schema", "everything"))
