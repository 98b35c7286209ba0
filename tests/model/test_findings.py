"""The record types, and the schema that is made from them."""

from __future__ import annotations

import json
from typing import Any, get_args

import jsonschema
import pytest

from scanner.model import findings
from scripts import build_schema
from tests.helpers.schema import validate

MINIMAL: dict[str, Any] = {
    "schema": "tlsweep/1", "run": "r",
    "target": {"row": 1, "id": None, "host": None, "port": None, "protocol": None, "sni": None, "address": None, "tags": {}},
    "started": "2026-11-23T01:02:03.456Z", "duration_ms": 0.0, "attempts": 0, "outcome": "invalid", "stage": "inventory",
    "cause": None, "diagnoses": [], "clients": {}, "dns": None, "endpoints": [], "certificates": [],
}  # fmt: skip


def test_every_field_is_described() -> None:
    schema = json.loads(build_schema.build())
    for record in (schema, *schema["$defs"].values()):
        assert record["description"]
        assert [name for name, field in record["properties"].items() if "description" not in field] == []


def test_unknown_types_are_refused() -> None:
    with pytest.raises(TypeError, match="no JSON Schema"):
        build_schema._type(set[str], {}, {})


def test_readers_may_meet_new_fields() -> None:
    """Fields are only ever added, so the published schema allows what it does not know."""
    schema = json.loads(build_schema.build())
    jsonschema.validate({**MINIMAL, "later": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**MINIMAL, "outcome": "fine"}, schema)


def test_validation_is_strict_in_tests() -> None:
    validate(MINIMAL)
    with pytest.raises(jsonschema.ValidationError):
        validate({**MINIMAL, "later": 1})


def test_causes() -> None:
    assert get_args(findings.Cause) == findings.CAUSES and len(set(findings.CAUSES)) == 15
