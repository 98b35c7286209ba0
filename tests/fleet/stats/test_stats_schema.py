"""The types of statistics, and the schema that is made from them."""

from __future__ import annotations

import json
from typing import get_type_hints

import jsonschema
import orjson
import pytest

from scanner.fleet.stats import stats_schema
from scanner.fleet.stats.fleet_stats import FleetStats
from scanner.fleet.stats.run_counts import SCHEMA
from scanner.model.findings import CAUSES
from scripts import build_schema
from tests.helpers.schema import validate_statistics


def test_every_field_is_described() -> None:
    schema = json.loads(build_schema.build("stats"))
    for record in (schema, *schema["$defs"].values()):
        assert record["description"]
        assert [name for name, field in record["properties"].items() if "description" not in field] == []


def test_the_fields_are_those_of_the_types() -> None:
    empty = orjson.loads(orjson.dumps(FleetStats().to_json()))
    validate_statistics(empty)
    assert list(empty) == list(get_type_hints(stats_schema.StatisticsRecord))
    assert empty["schema"] == SCHEMA and tuple(empty["causes"]) == CAUSES
    with pytest.raises(jsonschema.ValidationError):
        validate_statistics({**empty, "later": 1})
    jsonschema.validate({**empty, "later": 1}, json.loads(build_schema.build("stats")))
