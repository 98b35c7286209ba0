"""Parser of NDJSON inventories: one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from scanner.inventory.hosts import Unusable
from scanner.inventory.row_parser import MAX_LINE, NumberedLines, RowCells, RowParser, invalid, too_long
from scanner.inventory.shapes import ADDRESS_NAMES, FIELDS, HOST_NAMES, PREFERENCE
from scanner.lines import decode
from scanner.model.evidence import InvalidRow, Target
from scanner.text import printable, quoted, shorten

# Nesting of a JSON value that is carried in tags. JSON writers stop at 254 levels; real tags have a few.
MAX_TAG_DEPTH: Final = 32

# JSON keys whose column is cached; beyond that, further keys are looked up each time.
MAX_CACHED_KEYS: Final = 10_000


def parse_json_lines(lines: NumberedLines, parser: RowParser) -> Iterator[Target | InvalidRow]:
    """Yield the rows of an NDJSON inventory. Keys are matched like a CSV header; tags keep their JSON types."""
    row = 0
    fields: dict[str, tuple[str, int] | None] = {}
    for number, raw in lines:
        stripped = raw.strip()
        if not stripped or stripped.startswith(b"#"):
            continue
        row += 1
        if len(raw) > MAX_LINE:
            yield too_long(row, number)
            continue
        try:
            value = _loads(stripped)
        except orjson.JSONDecodeError as error:
            reason = f"the line is not JSON ({shorten(printable(error.msg), 120)}, at character {error.pos + 1})"
            yield invalid(row, number, reason, RowCells(), {})
            continue
        if not isinstance(value, dict):
            yield invalid(row, number, "the line is JSON but not an object", RowCells(), {})
            continue
        yield _json_row(row, number, value, fields, parser)


def _loads(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        if raw.isascii():
            raise
        return orjson.loads(decode(raw))


def _json_row(
    row: int, number: int, value: dict[str, Any], fields: dict[str, tuple[str, int] | None], parser: RowParser
) -> Target | InvalidRow:
    known: dict[str, Any] = {}
    ranks: dict[str, tuple[int, str]] = {}
    tags: dict[str, Any] = {}
    for key, cell in value.items():
        if key in fields:
            place = fields[key]
        else:
            folded = key.strip().casefold()
            field = FIELDS.get(folded)
            # An exact spelling is preferred to a key that differs in case.
            place = None if field is None else (field, 2 * PREFERENCE.get(folded, 0) + (key != folded))
            if len(fields) < MAX_CACHED_KEYS:
                fields[key] = place
        if place is None:
            tags[key] = cell
            continue
        field, rank = place
        if field not in known or rank < ranks[field][0]:
            if field in known:
                tags[ranks[field][1]] = known[field]
            known[field] = cell
            ranks[field] = (rank, key)
        else:
            tags[key] = cell
    problem: str | None = None
    for key, cell in tags.items():
        if isinstance(cell, (dict, list)) and _too_deep(cell):
            tags = {name: other for name, other in tags.items() if not isinstance(other, (dict, list))}
            problem = f"the value of {quoted(key)} is nested more than {MAX_TAG_DEPTH} levels deep"
            break
    text: dict[str, str] = {}
    for field in ("host", "port", "protocol", "sni", "address"):
        try:
            text[field] = _as_text(field, known.get(field))
        except Unusable as error:
            problem = problem or error.reason
            text[field] = ""
    identifier = known.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, (str, int, type(None))):
        problem = problem or "id is neither a string nor a whole number"
        identifier = None
    cells = RowCells(**text, id=identifier)
    if problem is not None:
        return invalid(row, number, problem, cells, tags)
    if "host" not in known and "address" not in known:
        return invalid(row, number, f"the object has none of {', '.join(HOST_NAMES + ADDRESS_NAMES)}", cells, tags)
    return parser.parse(row, number, cells, tags)


def _as_text(field: str, value: Any) -> str:
    """Return the JSON value of a known column as the text that a CSV cell would hold."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if field == "port" and not isinstance(value, bool):
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
            return str(int(value))
    wanted = "a whole number" if field == "port" else "a string"
    raise Unusable(f"{field} is not {wanted}")


def _too_deep(value: dict[str, Any] | list[Any]) -> bool:
    """Return whether containers nest more than ``MAX_TAG_DEPTH`` levels. Walks level by level, without recursion."""
    level: list[Any] = [value]
    for _ in range(MAX_TAG_DEPTH):
        level = [
            inner
            for container in level
            for inner in (container.values() if isinstance(container, dict) else container)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
