"""Detects the format of an inventory from its first lines: CSV with a header, NDJSON, or plain lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from scanner.errors import TlsweepError
from scanner.inventory.header_names import MappingError, chosen, meaning, refuse_twice
from scanner.inventory.table_layout import TableLayout
from scanner.text import folded, quoted, shorten

# What a message says that a header must have, in the words of the documentation.
HOST_COLUMNS: Final = "host, fqdn, hostname, name, domain, address, ip"

DELIMITERS: Final = ",;\t"

# More columns than any spreadsheet exports (16,384), so that a header cannot make every row expensive.
MAX_COLUMNS: Final = 16_384
# Characters of a first line that are shown.
_SHOWN: Final = 80

_URL_LINE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^,;\s]*/\S*", re.ASCII)
_COMMENT: Final = re.compile(r"\s#")
_SEPARATOR_LINE: Final = re.compile(r'"?sep=([,;\t])"?', re.IGNORECASE)


class InventoryError(TlsweepError):
    """The inventory as a whole cannot be used; the message is one line for the user."""


class NoHeader(InventoryError):
    """The line is of a table, and not its header: one may follow."""


class CsvColumns(Struct, frozen=True):
    """A CSV table: the index of each known column in a record (-1 if absent), and the columns that are tags."""

    delimiter: str
    names: tuple[str, ...]
    host: int
    port: int
    protocol: int
    sni: int
    address: int
    id: int
    tags: tuple[tuple[str, int], ...]
    unnamed: tuple[tuple[str, int], ...]  # columns without a name: become tags only where they are not empty
    layout: TableLayout

    @property
    def count(self) -> int:
        """The number of columns."""
        return len(self.names)


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


def shape_of(
    first_line: str, delimiter: str | None = None, mapping: Mapping[str, str] | None = None
) -> CsvColumns | Literal["json", "plain"]:
    """Return the format of an inventory whose first line that is not a comment is ``first_line``: a table, or one JSON object
    or one host per line.

    ``delimiter`` is that of a preceding ``sep=`` line; ``mapping`` says which column has a meaning (``--column``). Raises
    ``NoHeader`` for a table whose header this is not, ``InventoryError`` for what cannot be used.
    """
    text = first_line.strip()
    if text == "{" or text.startswith(("[{", "[ {")) or text == "[":
        raise InventoryError("looks like one JSON document: give one object a line (NDJSON)")
    if text.startswith("{"):
        return "json"
    mapping = mapping or {}
    header = header_of(first_line, delimiter, mapping)
    if header is not None:
        return header
    line = strip_comment(text)
    if delimiter is not None or mapping or (_is_delimited(line) and not _URL_LINE.fullmatch(line)):
        names = max((header_cells(first_line, mark) for mark in DELIMITERS), key=len)
        shown = quoted(", ".join(names))
        if mapping and not _is_delimited(line):
            raise NoHeader(f"has no columns for --column to name (its first line is {shown})")
        if "host" in mapping:
            raise NoHeader(
                f"has no column {quoted(mapping['host'])}, which --column host=... names (its first line is {shown})"
            )
        raise NoHeader(
            f"is a table without a host column: a header must name one of {HOST_COLUMNS}, or --column host=NAME must say"
            f" which it is (its first line is {shown})"
        )
    return "plain"


def may_be_title(first_line: str) -> bool:
    """Return whether a line of a plain list may stand above a header: it has several words, and so names no host."""
    return len(strip_comment(first_line).split()) > 1


def is_weak(columns: CsvColumns) -> bool:
    """Return whether a header has one cell that is not empty, among several: a title, as spreadsheets export it."""
    return columns.count > 1 and sum(map(bool, columns.names)) == 1


def header_of(line: str, delimiter: str | None, mapping: Mapping[str, str]) -> CsvColumns | None:
    """Return the columns that a line names, if it is a header. Raises ``InventoryError`` if it cannot be used as one."""
    best: list[str] = []
    used = ","
    for candidate in delimiter or DELIMITERS:
        names = header_cells(line, candidate)
        if len(names) > len(best) and _names_host(names, mapping):
            best, used = names, candidate
    return _columns(best, used, mapping) if best else None


def _names_host(names: list[str], mapping: Mapping[str, str]) -> bool:
    """Return whether one of these cells of a line is the name of a column that says whom to contact."""
    wanted = mapping.get("host") or mapping.get("address")
    if wanted is not None:
        return folded(wanted) in map(folded, names)
    fields = [known[0] for name in names if (known := meaning(name)) is not None]
    return ("host" in fields or "address" in fields) and not any(name.isdigit() for name in names)


def _is_delimited(line: str) -> bool:
    return any(mark in line for mark in DELIMITERS)


def header_cells(line: str, delimiter: str) -> list[str]:
    """Return the trimmed cells of one line; the whole line where its quotes are not balanced."""
    line = line.strip("\r\n")
    if '"' not in line:
        cells = line.split(delimiter)
    else:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True), [])
        except csv.Error:
            cells = [line]
    return [cell.strip() for cell in cells]


def _columns(names: list[str], delimiter: str, mapping: Mapping[str, str]) -> CsvColumns:
    if len(names) > MAX_COLUMNS:
        raise InventoryError(f"has a header of {len(names)} columns; the most that is read is {MAX_COLUMNS}")
    try:
        places, unused = chosen(names, mapping)
        refuse_twice(names, places, mapping)
    except MappingError as error:
        raise InventoryError(str(error)) from None
    used = set(places.values())
    tags, renamed = _tags(names, used)
    layout = TableLayout(
        shape="CSV",
        delimiter=delimiter,
        used={field: names[index] for field, index in places.items()},
        unused={names[index]: field for index, field in unused.items()},
        tags=[tag for tag, _ in tags],
        renamed=renamed,
    )
    return CsvColumns(
        delimiter=delimiter,
        names=tuple(names),
        host=places.get("host", -1),
        port=places.get("port", -1),
        protocol=places.get("protocol", -1),
        sni=places.get("sni", -1),
        address=places.get("address", -1),
        id=places.get("id", -1),
        tags=tuple(tags),
        unnamed=tuple((f"column_{index + 1}", index) for index, name in enumerate(names) if not name),
        layout=layout,
    )


def _tags(names: list[str], used: set[int]) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """Return the tags with the index of their column, and those renamed since an earlier column has their name."""
    tags: dict[str, int] = {}
    renamed = []
    taken = set(names)
    for index, name in enumerate(names):
        if not name or index in used:
            continue
        tag, number = name, 2
        while tag in tags or (tag != name and tag in taken):
            tag = f"{shorten(name, _SHOWN)} ({number})"
            number += 1
        tags[tag] = index
        if tag != name:
            renamed.append((name, tag))
    return list(tags.items()), renamed
