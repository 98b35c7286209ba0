"""Validates findings and statistics against the published schemas, and refuses unknown fields."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema


@cache
def _validator(what: str) -> Any:
    schema = json.loads(files("scanner").joinpath(f"data/{what}.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(_closed(schema))


def _closed(node: Any) -> Any:
    if isinstance(node, dict):
        closed = {key: _closed(value) for key, value in node.items()}
        if "properties" in closed:
            closed["additionalProperties"] = False
        return closed
    return [_closed(item) for item in node] if isinstance(node, list) else node


def validate(finding: Any) -> None:
    """Raise ``jsonschema.ValidationError`` unless ``finding`` (as read from JSON) is valid."""
    _validator("finding").validate(finding)


def validate_statistics(statistics: Any) -> None:
    """Raise ``jsonschema.ValidationError`` unless ``statistics`` (as read from JSON) are valid."""
    _validator("stats").validate(statistics)
