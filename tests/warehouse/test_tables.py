"""Every field of the finding's schema has a column, and every column has a source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from scanner.warehouse.tables import RUN_DATE, TABLES, TABLES_BY_RUN, ColumnType, Table

SCHEMA = json.loads(files("scanner").joinpath("data/finding.schema.json").read_text("utf-8"))
tables = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


def paths(about: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the paths of all values in a finding (``endpoints[].alert.code``); a record with open names is one value."""
    if "$ref" in about:
        yield from paths(SCHEMA["$defs"][about["$ref"].rpartition("/")[2]], path)
    elif "anyOf" in about:
        for one in about["anyOf"]:
            if one.get("type") != "null":
                yield from paths(one, path)
    elif "properties" in about:
        for name, inner in about["properties"].items():
            yield from paths(inner, f"{path}.{name}" if path else name)
    elif about.get("type") == "array" and ("$ref" in about["items"] or "properties" in about["items"]):
        yield from paths(about["items"], f"{path}[]")
    else:
        yield path


SOURCES = {column.source: column for table in TABLES for column in table.columns if column.source}
WHOLE = tuple(source for source, column in SOURCES.items() if column.kind is ColumnType.JSON)


def has_column(path: str) -> bool:
    if path in SOURCES or f"{path}[]" in SOURCES:
        return True
    # a record with open names: the usual ones have columns, the others are in `more`
    if path == "endpoints[].timing_ms":
        return {f"{path}.{name}" for name in ("connect", "starttls", "handshake")} <= SOURCES.keys()
    return any(path.startswith((f"{source}.", f"{source}[]")) for source in WHOLE)


@pytest.mark.parametrize("path", sorted(set(paths(SCHEMA, ""))))
def test_every_field_has_a_column(path: str) -> None:
    assert has_column(path)


def test_paths_are_walked_at_all_depths() -> None:
    walked = set(paths(SCHEMA, ""))
    assert {"run", "target.row", "dns.caa[].tag", "endpoints[].alert.code", "endpoints[].chain"} <= walked
    assert not has_column("endpoints[].new") and not has_column("new") and not has_column("target.new")


def test_every_source_is_a_field_of_the_schema() -> None:
    known = set(paths(SCHEMA, ""))
    for source in SOURCES:
        plain = source.removesuffix("[]")
        assert (
            plain in known
            or plain.startswith("endpoints[].timing_ms.")
            or any(path.startswith((f"{plain}.", f"{plain}[]")) for path in known)
        ), source


@tables
def test_columns_are_unique_and_have_a_source_or_a_description(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert table.keys and all(name.isidentifier() and name == name.lower() for name in names)
    # its source, or how it is derived
    assert all(column.source or column.about for column in table.columns)
    assert all(column.kind in (ColumnType.TEXT, ColumnType.INTEGER) for column in table.columns if column.key)
    assert (table in TABLES_BY_RUN) == ("run" in table.keys) == (RUN_DATE in names)
