"""Parser of NDJSON inventories: one JSON object per line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from scanner.inventory.header_names import EMPTY_CELLS, MappingError, chosen, meaning
from scanner.inventory.hosts import Unusable
from scanner.inventory.row_parser import MAX_LINE, NO_SNI, NumberedLines, RowCells, RowParser, invalid, too_long
from scanner.inventory.shapes import HOST_COLUMNS, InventoryError
from scanner.inventory.table_layout import TableLayout
from scanner.model.evidence import InvalidRow, Target
from scanner.text import folded, printable, quoted, shorten

# Nesting of a JSON value that is carried in tags. JSON writers stop at 254 levels; real tags have a few.
MAX_TAG_DEPTH: Final = 32

# JSON keys whose column is cached; beyond that, further keys are looked up each time.
MAX_CACHED_KEYS: Final = 10_000


# (meaning, how specific the key's name is: the least is used); ``None`` for tags
_Place = tuple[str, tuple[int, bool]] | None


class JsonKeys:
    """What the keys of objects mean. ``mapping`` (meaning -> key) comes first."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapped = {folded(key): field for field, key in mapping.items()}
        self._mapping = mapping
        self._known: dict[str, _Place] = {}

    def place(self, key: str) -> _Place:
        """Return what a key means."""
        if key in self._known:
            return self._known[key]
        name = folded(key)
        found: _Place = None
        if name in self._mapped:
            field = self._mapped[name]
            found = (field, (-1, key != self._mapping[field]))
        elif (known := meaning(key)) is not None and known[0] not in self._mapping:
            # An exact spelling is preferred to a key that differs in case.
            found = (known[0], (2 * known[1] + (name != known[0]), key.strip() != key.casefold()))
        if len(self._known) < MAX_CACHED_KEYS:
            self._known[key] = found
        return found


def json_layout(objects: Iterable[Mapping[str, Any]], mapping: Mapping[str, str]) -> TableLayout:
    """Return how the first objects of an inventory are understood. Raises ``InventoryError`` if none has a key of ``mapping``."""
    names = list(dict.fromkeys(key.strip() for value in objects for key in value))
    try:
        places, unused = chosen(names, mapping)
    except MappingError as error:
        raise InventoryError(str(error)) from None
    used = set(places.values())
    return TableLayout(
        shape="NDJSON",
        used={field: names[index] for field, index in places.items()},
        unused={names[index]: field for index, field in unused.items()},
        tags=[name for index, name in enumerate(names) if index not in used],
    )


def parse_json_lines(
    lines: NumberedLines, parser: RowParser, decode: Callable[[bytes], str], keys: JsonKeys
) -> Iterator[Target | InvalidRow]:
    """Yield the rows of an NDJSON inventory. Keys are matched like a CSV header; tags keep their JSON types."""
    row = 0
    for number, raw in lines:
        stripped = raw.strip()
        if not stripped or stripped.startswith(b"#"):
            continue
        row += 1
        if len(raw) > MAX_LINE:
            yield too_long(row, number)
            continue
        try:
            value = load_object(stripped, decode)
        except orjson.JSONDecodeError as error:
            reason = f"the line is not JSON ({shorten(printable(error.msg), 120)}, at character {error.pos + 1})"
            yield invalid(row, number, reason, RowCells(), {})
            continue
        if not isinstance(value, dict):
            yield invalid(row, number, "the line is JSON but not an object", RowCells(), {})
            continue
        yield _json_row(row, number, value, keys, parser)


def load_object(raw: bytes, decode: Callable[[bytes], str]) -> Any:
    """Return the JSON value of a line. Raises ``orjson.JSONDecodeError``."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        if raw.isascii():
            raise
        return orjson.loads(decode(raw))


def _json_row(row: int, number: int, value: dict[str, Any], keys: JsonKeys, parser: RowParser) -> Target | InvalidRow:
    known: dict[str, Any] = {}
    ranks: dict[str, tuple[tuple[int, bool], str]] = {}
    tags: dict[str, Any] = {}
    for key, cell in value.items():
        place = keys.place(key)
        if place is None:
            tags[key.strip()] = cell
            continue
        field, rank = place
        if field not in known or rank < ranks[field][0]:
            if field in known:
                tags[ranks[field][1].strip()] = known[field]
            known[field] = cell
            ranks[field] = (rank, key)
        else:
            tags[key.strip()] = cell
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
        return invalid(row, number, f"the object has none of {HOST_COLUMNS}", cells, tags)
    return parser.parse(row, number, cells, tags)


def _as_text(field: str, value: Any) -> str:
    """Return the JSON value of a known column as the text that a CSV cell would hold."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.strip()
        return "" if text in EMPTY_CELLS and not (field == "sni" and text == NO_SNI) else text
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
