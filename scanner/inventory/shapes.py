"""Detects the format of an inventory from its first line: CSV with a header, NDJSON, or plain lines."""

from __future__ import annotations

import csv
import re
from typing import Final, Literal

from msgspec import Struct

from scanner.errors import TlsweepError
from scanner.text import quoted

# Names of the host column and of the address column, most preferred first. If an inventory has two of them, the
# preferred one is used and the other becomes a tag.
HOST_NAMES: Final = ("host", "domain", "hostname", "name", "fqdn")
ADDRESS_NAMES: Final = ("address", "ip")
FIELDS: Final = {
    **dict.fromkeys(HOST_NAMES, "host"),
    **dict.fromkeys(ADDRESS_NAMES, "address"),
    **{name: name for name in ("port", "protocol", "sni", "id")},
}
PREFERENCE: Final = {name: rank for names in (HOST_NAMES, ADDRESS_NAMES) for rank, name in enumerate(names)}

DELIMITERS: Final = ",;\t"

# More columns than any spreadsheet exports (16,384), so that a header cannot make every row expensive.
MAX_COLUMNS: Final = 16_384

_URL_LINE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^,;\s]*/\S*", re.ASCII)
_COMMENT: Final = re.compile(r"\s#")
_SEPARATOR_LINE: Final = re.compile(r"sep=([,;\t])", re.IGNORECASE)


class InventoryError(TlsweepError):
    """The inventory as a whole cannot be used; the message is one line for the user."""


class CsvColumns(Struct, frozen=True):
    """A CSV table: the index of each known column in a record (-1 if absent), and the columns that are tags."""

    delimiter: str
    count: int
    host: int
    port: int
    protocol: int
    sni: int
    address: int
    id: int
    tags: tuple[tuple[str, int], ...]
    unnamed: tuple[tuple[str, int], ...]  # columns without a name: become tags only where they are not empty


def separator_line(text: str) -> str | None:
    """Return the delimiter of a spreadsheet's ``sep=;`` line, which precedes the header; ``None`` for other lines."""
    match = _SEPARATOR_LINE.fullmatch(text.strip(" \r"))
    return match[1] if match else None


def strip_comment(text: str) -> str:
    """Return a plain line trimmed and without its ``# comment``; a trailing comment needs a space before the ``#``."""
    text = text.strip()
    if "#" not in text:
        return text
    return "" if text[0] == "#" else _COMMENT.split(text, maxsplit=1)[0].rstrip()


def shape_of(first_line: str, delimiter: str | None = None) -> CsvColumns | Literal["json", "plain"]:
    """Return the format of an inventory whose first line that is not a comment is ``first_line``: a table, or one JSON object
    or one host per line.

    ``delimiter`` is that of a preceding ``sep=`` line. Raises ``InventoryError`` for a table without a host column.
    """
    text = first_line.strip()
    if text == "{" or text.startswith(("[{", "[ {")) or text == "[":
        raise InventoryError("looks like one JSON document: give one object a line (NDJSON)")
    if text.startswith("{"):
        return "json"
    best: list[str] = []
    used = ","
    for candidate in delimiter or DELIMITERS:
        names = _header_cells(first_line, candidate)
        if any(FIELDS.get(name.casefold()) in ("host", "address") for name in names) and len(names) > len(best):
            best, used = names, candidate
    if best:
        return _columns(best, used)
    line = strip_comment(text)
    if any(mark in line for mark in DELIMITERS) and not _URL_LINE.fullmatch(line):
        names = max((_header_cells(first_line, mark) for mark in DELIMITERS), key=len)
        raise InventoryError(
            f"is a table without a host column: a header must name one of {', '.join(HOST_NAMES + ADDRESS_NAMES)}"
            f" (its first line is {quoted(', '.join(names))})"
        )
    return "plain"


def _header_cells(line: str, delimiter: str) -> list[str]:
    line = line.strip("\r\n")
    if '"' not in line:
        cells = line.split(delimiter)
    else:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True), [])
        except csv.Error:
            cells = [line]
    return [cell.strip() for cell in cells]


def _columns(names: list[str], delimiter: str) -> CsvColumns:
    if len(names) > MAX_COLUMNS:
        raise InventoryError(f"has a header of {len(names)} columns; the most that is read is {MAX_COLUMNS}")
    places: dict[str, int] = {}
    seen: set[str] = set()
    for index, name in enumerate(names):
        folded = name.casefold()
        if not name:
            continue
        key = folded if folded in FIELDS else name
        if key in seen:
            raise InventoryError(f"names the column {quoted(name)} twice in its header")
        seen.add(key)
        field = FIELDS.get(folded)
        if field is None:
            continue
        current = places.get(field)
        if current is None or PREFERENCE[folded] < PREFERENCE[names[current].casefold()]:
            places[field] = index
    used = set(places.values())
    return CsvColumns(
        delimiter=delimiter,
        count=len(names),
        host=places.get("host", -1),
        port=places.get("port", -1),
        protocol=places.get("protocol", -1),
        sni=places.get("sni", -1),
        address=places.get("address", -1),
        id=places.get("id", -1),
        tags=tuple((name, index) for index, name in enumerate(names) if name and index not in used),
        unnamed=tuple((f"column_{index + 1}", index) for index, name in enumerate(names) if not name),
    )
