"""Rows of an inventory, lazily: a file of ten million rows takes no more memory than one of ten."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, BinaryIO, Final

import orjson

from scanner.evidence import InvalidRow, Target
from scanner.inventory.hosts import Unusable
from scanner.inventory.rows import Cells, ProtocolLike, RowReader, invalid
from scanner.inventory.shapes import (
    ADDRESS_NAMES,
    FIELDS,
    HOST_NAMES,
    RANK,
    Columns,
    InventoryError,
    JsonLines,
    separator_line,
    shape_of,
    strip_comment,
)
from scanner.lines import StreamBroken, batches_of_lines, blocks, close_binary, open_binary
from scanner.text import printable, quoted, shorten

# A row of a host, a few columns and notes is well under 1 KB; 64 KB leaves room for whole descriptions in a cell.
MAX_LINE: Final = 64 * 1024

# Lines that one quoted cell may span: a postal address or a note. A quote that is never closed costs at most this
# many lines of looking ahead, and none of them is lost.
MAX_QUOTED_LINES: Final = 50

# Nesting of a JSON value that is carried in tags: writers of JSON stop at 254 levels, and nobody means more than a few.
MAX_TAG_DEPTH: Final = 32

# Spellings of JSON keys that are remembered; more distinct keys than that are looked up again each time.
_MAX_KEYS_KEPT: Final = 10_000

_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_ZIP: Final = b"PK\x03\x04"

_Numbered = Iterator[tuple[int, bytes]]
_Rows = Iterator[Target | InvalidRow]


def read_inventory(
    path: str,
    *,
    default_protocol: str = "tls",
    default_port: int | None = None,
    protocols: Mapping[str, ProtocolLike],
) -> Iterator[Target | InvalidRow]:
    """Every row of the inventory at ``path`` (``-``: standard input), in order, numbered from 1.

    Raises ``InventoryError`` at once when the file cannot be opened, holds no row, or is a table without a host
    column; after that every row is a ``Target`` or an ``InvalidRow`` and nothing is raised.
    Blank lines, comments, the header and records of empty cells alone are no rows and have no number.
    """
    shown = "standard input" if path == "-" else quoted(path, 200)[1:-1]
    if default_protocol not in protocols:
        raise InventoryError(f"the protocol {quoted(default_protocol)} is not known")
    if default_port is not None and not 1 <= default_port <= 65535:
        raise InventoryError(f"the port {default_port} is not a number from 1 to 65535")
    reader = RowReader(default_protocol, default_port, protocols)
    try:
        file = open_binary(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InventoryError(f"cannot read the inventory {shown}: {reason}") from error
    rows = _rows(file, reader, shown)
    first = next(rows, None)  # raises what is wrong with the file as a whole
    if first is None:
        raise InventoryError(f"the inventory {shown} is empty: it names no host")
    return _with_first(first, rows)


def _with_first(first: Target | InvalidRow, rows: _Rows) -> _Rows:
    yield first
    yield from rows


def _rows(file: BinaryIO, reader: RowReader, shown: str) -> _Rows:
    """All rows; closes ``file``. Only ``InventoryError`` is raised, and only before the first row."""
    count = 0
    lines = _NumberedLines(file)
    try:
        for item in _shaped(iter(lines), reader):
            count = item.row
            yield item
    except StreamBroken as error:
        if count == 0:
            raise InventoryError(f"the inventory {shown} {error.reason}") from error
        reason = f"the inventory {error.reason}: what follows this line was not read"
        yield invalid(count + 1, lines.number, reason, Cells(), {})
    except InventoryError as error:
        raise InventoryError(f"the inventory {shown} {error}") from None
    finally:
        close_binary(file)


class _NumberedLines:
    """(line number from 1, bytes without the line end) of a file; ``number`` is that of the line read last."""

    def __init__(self, file: BinaryIO) -> None:
        self.number = 0
        self._file = file

    def __iter__(self) -> _Numbered:
        source = blocks(self._file)
        start = next(source, b"")
        if start.startswith(_BOM):
            start = start[len(_BOM) :]
        elif start.startswith(_UTF16_BOMS):
            raise InventoryError("is UTF-16: save it as UTF-8")
        elif start.startswith(_ZIP):
            raise InventoryError("is a ZIP file or a spreadsheet: save it as CSV")
        # Old spreadsheets end lines with a carriage return alone.
        newline = b"\r" if b"\n" not in start and b"\r" in start[:-1] else b"\n"
        number = 0
        for batch in batches_of_lines(chain((start,) if start else (), source), MAX_LINE, newline):
            for line in batch:
                self.number = number = number + 1
                yield number, line


def decode(raw: bytes) -> str:
    """The text of a line: UTF-8, else Latin-1, which every byte is."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _shaped(lines: _Numbered, reader: RowReader) -> _Rows:
    """Rows by the shape that the first line with something on it has."""
    delimiter: str | None = None
    for number, raw in lines:
        text = decode(raw[: MAX_LINE + 1])
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        if delimiter is None and (delimiter := separator_line(text)) is not None:
            continue
        if len(raw) > MAX_LINE and not text.lstrip().startswith("{"):
            return _plain(chain([(number, raw)], lines), reader)
        shape = shape_of(text, delimiter)
        if isinstance(shape, Columns):
            return _table(_records(lines, shape), shape, reader)
        lines = chain([(number, raw)], lines)
        return _json(lines, reader) if isinstance(shape, JsonLines) else _plain(lines, reader)
    return iter(())


def _too_long(row: int, line: int) -> InvalidRow:
    return invalid(row, line, f"the line is longer than {MAX_LINE} bytes", Cells(), {})


# --- plain lines -------------------------------------------------------------------------------


def _plain(lines: _Numbered, reader: RowReader) -> _Rows:
    row = 0
    for number, raw in lines:
        if len(raw) > MAX_LINE:
            if raw.lstrip().startswith(b"#"):
                continue
            row += 1
            yield _too_long(row, number)
            continue
        text = strip_comment(decode(raw))
        if text:
            row += 1
            yield reader.read_line(row, number, text)


# --- CSV ---------------------------------------------------------------------------------------


class _Broken(str):
    """Why a record could not be taken apart."""

    __slots__ = ()


def _records(lines: _Numbered, columns: Columns) -> Iterator[tuple[int, list[str] | _Broken]]:
    """(line on which it begins, cells) of every record (RFC 4180); quoted cells may span lines.

    A quote that is not closed within ``MAX_QUOTED_LINES``, or that turns out to be unbalanced, spoils the line it
    stands on and no other: reading goes on with the next line.
    """
    delimiter = columns.delimiter
    again: deque[tuple[int, bytes]] = deque()
    while True:
        item = again.popleft() if again else next(lines, None)
        if item is None:
            return
        number, raw = item
        if len(raw) > MAX_LINE:
            if not raw.lstrip().startswith(b"#"):
                yield number, _Broken(f"the line is longer than {MAX_LINE} bytes")
            continue
        text = decode(raw)
        if not text or (text.isspace() and delimiter not in text) or text.lstrip(" ").startswith("#"):
            continue
        if '"' not in text:
            if text[-1] == "\r":
                text = text[:-1]
            yield number, text.split(delimiter)
            continue
        taken: list[tuple[int, bytes]] = []
        # A space before an opening quote is no part of the cell; without one, spaces are the cell's own.
        spaced = delimiter + ' "' in text
        feed = _continued(text, taken, again, lines)
        try:
            cells = next(csv.reader(feed, delimiter=delimiter, strict=True, skipinitialspace=spaced), [])
        except csv.Error as error:
            again.extendleft(reversed(taken))
            yield number, _Broken(_csv_reason(str(error)))
            continue
        except StreamBroken:
            again.extendleft(reversed(taken))
            yield number, _Broken("a quote is opened and never closed")
            yield from _records(iter(again), columns)
            raise
        yield number, cells


def _continued(
    text: str, taken: list[tuple[int, bytes]], again: deque[tuple[int, bytes]], lines: _Numbered
) -> Iterator[str]:
    """``text``, and further lines for as long as a csv reader asks for them and the limits allow."""
    yield text + "\n"
    size = len(text)
    while len(taken) < MAX_QUOTED_LINES and size <= MAX_LINE:
        item = again.popleft() if again else next(lines, None)
        if item is None:
            return
        taken.append(item)
        size += len(item[1])
        if size <= MAX_LINE:
            yield decode(item[1]) + "\n"


def _csv_reason(error: str) -> str:
    if error.startswith("unexpected end"):
        return "a quote is opened and never closed"
    if "expected after" in error:
        return "a quoted cell goes on after its closing quote: a quote is unbalanced, or one inside is not doubled"
    if error.startswith("new-line"):
        return "a carriage return stands in the middle of the line"
    return f"the line is not CSV ({printable(error)})"


def _table(records: Iterator[tuple[int, list[str] | _Broken]], columns: Columns, reader: RowReader) -> _Rows:
    row = 0
    count = columns.count
    host, port, protocol = columns.host, columns.port, columns.protocol
    sni, address, identifier = columns.sni, columns.address, columns.id
    tag_columns, unnamed = columns.tags, columns.unnamed
    for number, cells in records:
        if isinstance(cells, _Broken):
            row += 1
            yield invalid(row, number, str(cells), Cells(), {})
            continue
        found = len(cells)
        if not any(cells) or not "".join(cells).strip():
            continue
        row += 1
        if found < count:
            cells.extend([""] * (count - found))
        tags: dict[str, Any] = {name: cells[index] for name, index in tag_columns}
        if unnamed:
            tags.update((name, cells[index]) for name, index in unnamed if cells[index])
        known = Cells(
            cells[host].strip() if host >= 0 else "",
            cells[port].strip() if port >= 0 else "",
            cells[protocol].strip() if protocol >= 0 else "",
            cells[sni].strip() if sni >= 0 else "",
            cells[address].strip() if address >= 0 else "",
            (cells[identifier].strip() or None) if identifier >= 0 else None,
        )
        if found > count and any(cell.strip() for cell in cells[count:]):
            reason = f"the line has {found} fields where the header names {count}: is a comma or a quote unquoted?"
            yield invalid(row, number, reason, known, tags)
            continue
        yield reader.read(row, number, known, tags)


# --- NDJSON ------------------------------------------------------------------------------------


def _json(lines: _Numbered, reader: RowReader) -> _Rows:
    row = 0
    fields: dict[str, tuple[str, int] | None] = {}
    for number, raw in lines:
        stripped = raw.strip()
        if not stripped or stripped.startswith(b"#"):
            continue
        row += 1
        if len(raw) > MAX_LINE:
            yield _too_long(row, number)
            continue
        try:
            value = _loads(stripped)
        except orjson.JSONDecodeError as error:
            reason = f"the line is not JSON ({shorten(printable(error.msg), 120)}, at character {error.pos + 1})"
            yield invalid(row, number, reason, Cells(), {})
            continue
        if not isinstance(value, dict):
            yield invalid(row, number, "the line is JSON but not an object", Cells(), {})
            continue
        yield _json_row(row, number, value, fields, reader)


def _loads(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        if raw.isascii():
            raise
        return orjson.loads(decode(raw))


def _json_row(
    row: int, number: int, value: dict[str, Any], fields: dict[str, tuple[str, int] | None], reader: RowReader
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
            # An exact spelling goes before the same name in other letters.
            place = None if field is None else (field, 2 * RANK.get(folded, 0) + (key != folded))
            if len(fields) < _MAX_KEYS_KEPT:
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
    cells = Cells(**text, id=identifier)
    if problem is not None:
        return invalid(row, number, problem, cells, tags)
    if "host" not in known and "address" not in known:
        return invalid(row, number, f"the object has none of {', '.join(HOST_NAMES + ADDRESS_NAMES)}", cells, tags)
    return reader.read(row, number, cells, tags)


def _as_text(field: str, value: Any) -> str:
    """A known column's JSON value as the text that CSV would have held."""
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
    """Whether containers nest more than ``MAX_TAG_DEPTH`` levels; walks level by level, without recursion."""
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
