"""Opens an inventory, detects its format and yields its rows lazily, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import BinaryIO, Final

from scanner.inventory.jsonlines import parse_json_lines
from scanner.inventory.row_parser import MAX_LINE, NumberedLines, ProtocolLike, RowCells, RowParser, invalid, too_long
from scanner.inventory.shapes import CsvColumns, InventoryError, separator_line, shape_of, strip_comment
from scanner.inventory.table import parse_table
from scanner.lines import StreamBroken, batches_of_lines, blocks, close_binary, decode, open_named
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
    """Yield every row of the inventory at ``path`` (``-`` for standard input) in order, numbered from 1.

    Blank lines, comments, the header and records whose cells are all empty are not rows and get no number.
    Raises ``InventoryError`` at once if the file cannot be opened, has no rows, or is a table without a host
    column. After that, every row is a ``Target`` or an ``InvalidRow`` and nothing is raised.
    """
    if default_protocol not in protocols:
        raise InventoryError(f"the protocol {quoted(default_protocol)} is not known")
    if default_port is not None and not 1 <= default_port <= 65535:
        raise InventoryError(f"the port {default_port} is not a number from 1 to 65535")
    parser = RowParser(default_protocol, default_port, protocols)
    file, shown = open_named(path, InventoryError, "the inventory ")
    rows = _rows(file, parser, shown)
    first = next(rows, None)  # raises InventoryError if the file as a whole cannot be used
    if first is None:
        raise InventoryError(f"the inventory {shown} is empty: it names no host")
    return _with_first(first, rows)


def parse_targets(
    texts: Sequence[str],
    *,
    default_protocol: str = "tls",
    default_port: int | None = None,
    protocols: Mapping[str, ProtocolLike],
) -> Iterator[Target | InvalidRow]:
    """Return the targets given as command line arguments, each written like a line of a plain list.

    Raises ``InventoryError`` for an unknown ``default_protocol``.
    """
    if default_protocol not in protocols:
        raise InventoryError(f"the protocol {quoted(default_protocol)} is not known")
    parser = RowParser(default_protocol, default_port, protocols)
    return (parser.parse_line(row, None, text.strip() or '""') for row, text in enumerate(texts, 1))


def _with_first(first: Target | InvalidRow, rows: _Rows) -> _Rows:
    yield first
    yield from rows


def _rows(file: BinaryIO, parser: RowParser, shown: str) -> _Rows:
    """Yield all rows, then close ``file``. Raises only ``InventoryError``, and only before the first row."""
    count = 0
    lines = _NumberedLines(file)
    try:
        for item in _shaped(iter(lines), parser):
            count = item.row
            yield item
    except StreamBroken as error:
        if count == 0:
            raise InventoryError(f"the inventory {shown} {error.reason}") from error
        reason = f"the inventory {error.reason}: what follows this line was not read"
        yield invalid(count + 1, lines.number, reason, RowCells(), {})
    except InventoryError as error:
        raise InventoryError(f"the inventory {shown} {error}") from None
    finally:
        close_binary(file)


class _NumberedLines:
    """Iterates over a file's lines as (line number from 1, bytes without line end); ``number`` is the last one read."""

    def __init__(self, file: BinaryIO) -> None:
        self.number = 0
        self._file = file
        self._blank = 0  # lines dropped from the block that was read last

    def __iter__(self) -> NumberedLines:
        source = blocks(self._file)
        start = next(source, b"")
        if start.startswith(_BOM):
            start = start[len(_BOM) :]
        elif start.startswith(_UTF16_BOMS):
            raise InventoryError("is UTF-16: save it as UTF-8")
        elif start.startswith(_ZIP):
            raise InventoryError("is a ZIP file or a spreadsheet: save it as CSV")
        # Old spreadsheets end lines with a lone carriage return.
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
        """Yield the blocks of ``source``, dropping all blank lines from a block that has nothing else.

        The dropped lines still count in the line numbers. Without this, a gigabyte of blank lines would be split
        line by line.
        """
        for block in source:
            if block.isspace() and (blank := block.count(newline)) > 1:
                self._blank += blank - 1
                yield block[: block.index(newline) + 1] + block[block.rindex(newline) + 1 :]
            else:
                yield block


def _shaped(lines: NumberedLines, parser: RowParser) -> _Rows:
    """Return the rows, parsed in the format that the first non-blank line shows."""
    delimiter: str | None = None
    for number, raw in lines:
        text = decode(raw[: MAX_LINE + 1])
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        if delimiter is None and (delimiter := separator_line(text)) is not None:
            continue
        if len(raw) > MAX_LINE and not text.lstrip().startswith("{"):
            return _plain(chain([(number, raw)], lines), parser)
        shape = shape_of(text, delimiter)
        if isinstance(shape, CsvColumns):
            return parse_table(lines, shape, parser)
        lines = chain([(number, raw)], lines)
        return parse_json_lines(lines, parser) if shape == "json" else _plain(lines, parser)
    return iter(())


def _plain(lines: NumberedLines, parser: RowParser) -> _Rows:
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
            yield parser.parse_line(row, number, text)
