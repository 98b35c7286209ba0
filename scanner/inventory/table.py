"""Parser of CSV inventories (RFC 4180), delimited by comma, semicolon or tab, as spreadsheets and people write them."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from scanner.inventory.header_names import EMPTY_CELLS
from scanner.inventory.row_parser import MAX_LINE, NO_SNI, NumberedLines, RowCells, RowParser, invalid
from scanner.inventory.shapes import CsvColumns
from scanner.lines import StreamBroken
from scanner.model.evidence import InvalidRow, Target
from scanner.text import printable

# Lines that one quoted cell may span: a postal address or a note. A quote that is never closed costs a look-ahead of
# at most this many lines, all of which are read again.
MAX_QUOTED_LINES: Final = 50


class _BadRecord(str):
    """The reason why a record could not be parsed."""

    __slots__ = ()


def _records(
    lines: NumberedLines, columns: CsvColumns, decode: Callable[[bytes], str]
) -> Iterator[tuple[int, list[str] | _BadRecord]]:
    """Yield (number of its first line, cells) for every record (RFC 4180); quoted cells may span lines.

    A quote that is unbalanced or not closed within ``MAX_QUOTED_LINES`` spoils only the line it is on: reading goes
    on with the next line.
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
                yield number, _BadRecord(f"the line is longer than {MAX_LINE} bytes")
            continue
        text = decode(raw)
        if not text or (text.isspace() and delimiter not in text) or ("#" in text and _is_comment(text, delimiter)):
            continue
        if '"' not in text:
            if text[-1] == "\r":
                text = text[:-1]
            yield number, text.split(delimiter)
            continue
        taken: list[tuple[int, bytes]] = []
        # A space before an opening quote is not part of the cell; other leading spaces are.
        spaced = delimiter + ' "' in text
        feed = _continued(text, taken, again, lines, decode)
        try:
            cells = next(csv.reader(feed, delimiter=delimiter, strict=True, skipinitialspace=spaced), [])
        except csv.Error as error:
            again.extendleft(reversed(taken))
            yield number, _BadRecord(_csv_reason(str(error)))
            continue
        except StreamBroken:
            again.extendleft(reversed(taken))
            yield number, _BadRecord("a quote is opened and never closed")
            yield from _records(iter(again), columns, decode)
            raise
        yield number, cells


def _is_comment(text: str, delimiter: str) -> bool:
    """Return whether a record is a comment: it begins with ``#``, and not with an error of a spreadsheet such as ``#N/A``."""
    text = text.lstrip(" ")
    return text[0] == "#" and text.split(delimiter, 1)[0].strip() not in EMPTY_CELLS


def _continued(
    text: str,
    taken: list[tuple[int, bytes]],
    again: deque[tuple[int, bytes]],
    lines: NumberedLines,
    decode: Callable[[bytes], str],
) -> Iterator[str]:
    """Yield ``text``, then further lines as the ``csv`` reader asks for them, within the limits.

    The further lines are also appended to ``taken``.
    """
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


def _known(cell: str) -> str:
    """Return a trimmed cell of a column that is known; empty where it only says that there is nothing."""
    cell = cell.strip()
    return "" if cell in EMPTY_CELLS else cell


def _known_sni(cell: str) -> str:
    return NO_SNI if cell.strip() == NO_SNI else _known(cell)


def parse_table(
    lines: NumberedLines, columns: CsvColumns, parser: RowParser, decode: Callable[[bytes], str]
) -> Iterator[Target | InvalidRow]:
    """Yield the rows of a table whose header has been read. Cells are trimmed, and empty words are empty where they matter."""
    row = 0
    count = columns.count
    host, port, protocol = columns.host, columns.port, columns.protocol
    sni, address, identifier = columns.sni, columns.address, columns.id
    tag_columns, unnamed = columns.tags, columns.unnamed

    for number, cells in _records(lines, columns, decode):
        if isinstance(cells, _BadRecord):
            row += 1
            yield invalid(row, number, str(cells), RowCells(), {})
            continue
        found = len(cells)
        if not (0 <= host < found and cells[host].strip()) and not "".join(cells).strip():
            continue
        row += 1
        if found < count:
            cells.extend([""] * (count - found))
        tags: dict[str, Any] = {name: cells[index].strip() for name, index in tag_columns}
        if unnamed:
            tags.update((name, cell) for name, index in unnamed if (cell := cells[index].strip()))
        row_cells = RowCells(
            _known(cells[host]) if host >= 0 else "",
            _known(cells[port]) if port >= 0 else "",
            _known(cells[protocol]) if protocol >= 0 else "",
            _known_sni(cells[sni]) if sni >= 0 else "",
            _known(cells[address]) if address >= 0 else "",
            (cells[identifier].strip() or None) if identifier >= 0 else None,
        )
        if found > count and any(cell.strip() for cell in cells[count:]):
            reason = f"the line has {found} fields where the header names {count}: is a comma or a quote unquoted?"
            yield invalid(row, number, reason, row_cells, tags)
            continue
        yield parser.parse(row, number, row_cells, tags)
