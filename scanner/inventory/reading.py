"""Rows of an inventory, lazily: a file of ten million rows takes no more memory than one of ten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import BinaryIO, Final

from scanner.inventory.jsonlines import read_json_lines
from scanner.inventory.row_parser import MAX_LINE, Cells, Numbered, ProtocolLike, RowReader, invalid, too_long
from scanner.inventory.shapes import Columns, InventoryError, JsonLines, separator_line, shape_of, strip_comment
from scanner.inventory.table import read_table
from scanner.lines import StreamBroken, batches_of_lines, blocks, close_binary, decode, open_binary
from scanner.model.evidence import InvalidRow, Target
from scanner.text import quoted

_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_ZIP: Final = b"PK\x03\x04"

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


def read_targets(
    texts: Sequence[str],
    *,
    default_protocol: str = "tls",
    default_port: int | None = None,
    protocols: Mapping[str, ProtocolLike],
) -> Iterator[Target | InvalidRow]:
    """Targets named one by one, as on a command line: each text is what a line of a plain list may be.

    Raises ``InventoryError`` for a default that cannot be used.
    """
    if default_protocol not in protocols:
        raise InventoryError(f"the protocol {quoted(default_protocol)} is not known")
    reader = RowReader(default_protocol, default_port, protocols)
    return (reader.read_line(row, None, text.strip() or '""') for row, text in enumerate(texts, 1))


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
        self._blank = 0  # lines that were left out of the block that was read last

    def __iter__(self) -> Numbered:
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
        source = self._without_blank_lines(chain((start,) if start else (), source), newline)
        for batch in batches_of_lines(source, MAX_LINE, newline):
            for line in batch:
                self.number = number = number + 1
                yield number, line
            number += self._blank
            self._blank = 0

    def _without_blank_lines(self, source: Iterator[bytes], newline: bytes) -> Iterator[bytes]:
        """The same blocks; of one that holds nothing but blank lines only the end of the line before is left.

        A gigabyte of them then costs what reading it does.
        """
        for block in source:
            if block.isspace() and (blank := block.count(newline)) > 1:
                self._blank += blank - 1
                yield block[: block.index(newline) + 1] + block[block.rindex(newline) + 1 :]
            else:
                yield block


def _shaped(lines: Numbered, reader: RowReader) -> _Rows:
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
            return read_table(lines, shape, reader)
        lines = chain([(number, raw)], lines)
        return read_json_lines(lines, reader) if isinstance(shape, JsonLines) else _plain(lines, reader)
    return iter(())


def _plain(lines: Numbered, reader: RowReader) -> _Rows:
    row = 0
    for number, raw in lines:
        if len(raw) > MAX_LINE:
            if raw.lstrip().startswith(b"#"):
                continue
            row += 1
            yield too_long(row, number)
            continue
        text = strip_comment(decode(raw))
        if text:
            row += 1
            yield reader.read_line(row, number, text)
