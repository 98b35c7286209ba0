"""Validation of findings against the published schema, more strictly than a reader would: no unknown fields."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema


@cache
def _validator() -> Any:
    schema = json.loads(files("scanner").joinpath("data/finding.schema.json").read_text("utf-8"))
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
    _validator().validate(finding)
