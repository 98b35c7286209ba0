"""Opens an inventory, detects its encoding and format, and yields its rows lazily, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import BinaryIO, Final, NamedTuple

import orjson

from scanner.inventory.charset import NAMES, LineDecoder, as_utf8, marked
from scanner.inventory.jsonlines import JsonKeys, json_layout, load_object, parse_json_lines
from scanner.inventory.row_parser import MAX_LINE, NumberedLines, ProtocolLike, RowCells, RowParser, invalid, too_long
from scanner.inventory.shapes import (
    CsvColumns,
    InventoryError,
    NoHeader,
    header_cells,
    header_of,
    is_weak,
    may_be_title,
    separator_line,
    shape_of,
    strip_comment,
)
from scanner.inventory.table import parse_table
from scanner.inventory.table_layout import SAMPLE_ROWS, TableLayout
from scanner.lines import StreamBroken, batches_of_lines, blocks, close_binary, open_named
from scanner.model.evidence import InvalidRow, Target
from scanner.starttls.services import AUTO, protocol_named
from scanner.text import quoted

_ZIP: Final = b"PK\x03\x04"
# Lines above a header that are looked through: a title, a date, a legend.
MAX_TITLE_LINES: Final = 20
# The longest mark of an encoding, and enough behind it to see one that has none.
_MARK_SEEN: Final = 64

_Rows = Iterator[Target | InvalidRow]


class Inventory(NamedTuple):
    """An inventory that is open: its rows, read as they are asked for, and how it is understood."""

    rows: _Rows
    layout: TableLayout
    encoding: str | None  # what is to be known of it, if that is not UTF-8

    def remarks(self, *, brief: bool = False) -> list[str]:
        """Return what its user should know, a line each; ``brief`` leaves out what goes without saying."""
        return [*([self.encoding] if self.encoding else []), *self.layout.remarks(brief=brief)]


def open_inventory(
    path: str,
    *,
    default_protocol: str = AUTO,
    default_port: int | None = None,
    protocols: Mapping[str, ProtocolLike],
    columns: Mapping[str, str] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Inventory:
    """Open the inventory at ``path`` (``-`` for standard input), whose rows are numbered from 1.

    Blank lines, comments, titles, the header and records whose cells are all empty are not rows and get no number. ``columns`` says
    which header has a meaning; ``log`` is called with what turns out later, as the rows are read. Raises ``InventoryError`` at once
    if the file cannot be opened, has no rows, is a table without a host column, or lacks one of ``columns``. After that, every
    row is a ``Target`` or an ``InvalidRow`` and nothing is raised.
    """
    parser = _parser(default_protocol, default_port, protocols)
    file, shown = open_named(path, InventoryError, "the inventory ")
    reader = _OpenInventory(file, parser, columns or {}, log)
    rows = reader.rows(shown)
    first = next(rows, None)  # raises InventoryError if the file as a whole cannot be used
    if first is None:
        raise InventoryError(f"the inventory {shown} is empty: it names no host")
    return Inventory(_with_first(first, rows), reader.layout, reader.start())


def read_inventory(
    path: str,
    *,
    default_protocol: str = AUTO,
    default_port: int | None = None,
    protocols: Mapping[str, ProtocolLike],
) -> Iterator[Target | InvalidRow]:
    """Return the rows of ``open_inventory``."""
    return open_inventory(path, default_protocol=default_protocol, default_port=default_port, protocols=protocols).rows


def parse_targets(
    texts: Sequence[str],
    *,
    default_protocol: str = AUTO,
    default_port: int | None = None,
    protocols: Mapping[str, ProtocolLike],
) -> Iterator[Target | InvalidRow]:
    """Return the targets given as command line arguments, each written like a line of a plain list.

    Raises ``InventoryError`` for an unknown ``default_protocol``.
    """
    parser = _parser(default_protocol, default_port, protocols)
    return (parser.parse_line(row, None, text.strip() or '""') for row, text in enumerate(texts, 1))


def _parser(default_protocol: str, default_port: int | None, protocols: Mapping[str, ProtocolLike]) -> RowParser:
    protocol = protocol_named(default_protocol.strip().lower(), protocols)
    if protocol is None:
        raise InventoryError(f"the protocol {quoted(default_protocol)} is not known")
    if default_port is not None and not 1 <= default_port <= 65535:
        raise InventoryError(f"the port {default_port} is not a number from 1 to 65535")
    return RowParser(protocol, default_port, protocols)


def _with_first(first: Target | InvalidRow, rows: _Rows) -> _Rows:
    yield first
    yield from rows


class _OpenInventory:
    """Reads one open inventory."""

    def __init__(
        self, file: BinaryIO, parser: RowParser, mapping: Mapping[str, str], log: Callable[[str], None]
    ) -> None:
        self.layout = TableLayout()
        self._file = file
        self._parser = parser
        self._mapping = mapping
        self._log = log
        self._lines = _NumberedLines(file, self._encoding_found)
        self._decode = self._lines.decoder.decode
        self._started = False

    def start(self) -> str | None:
        """Return what is to be said of the encoding so far; what is found out later is logged."""
        self._started = True
        lines = self._lines
        if lines.encoding:
            return f"the inventory is {NAMES[lines.encoding]}"
        return None if lines.decoder.fallback is None else self._guess()

    def _guess(self) -> str:
        decoder = self._lines.decoder
        assert decoder.fallback is not None
        what = "the inventory is not UTF-8" if decoder.only else "some lines of the inventory are not UTF-8"
        example = f" (as in {quoted(decoder.example)})" if decoder.example else ""
        return f"{what}: read as {NAMES[decoder.fallback]}, by its letters{example}"

    def _encoding_found(self) -> None:
        if self._started:
            self._log(self._guess())

    def rows(self, shown: str) -> _Rows:
        """Yield all rows, then close the file, which messages call ``shown``. Raises only ``InventoryError``, and only before the
        first row."""
        count = 0
        lines = self._lines
        try:
            for item in self._shaped(iter(lines)):
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
            close_binary(self._file)

    def _shaped(self, lines: NumberedLines) -> _Rows:
        """Return the rows, parsed in the format that the first lines show."""
        delimiter: str | None = None
        for number, raw in lines:
            text = self._decode(raw[: MAX_LINE + 1])
            if not text.strip() or text.lstrip().startswith("#"):
                continue
            if delimiter is None and (delimiter := separator_line(text)) is not None:
                continue
            if len(raw) > MAX_LINE and not text.lstrip().startswith("{"):
                return self._plain(chain([(number, raw)], lines))
            return self._by_first_line(number, raw, text, lines, delimiter)
        return iter(())

    def _by_first_line(self, number: int, raw: bytes, text: str, lines: NumberedLines, delimiter: str | None) -> _Rows:
        problem: NoHeader | None = None
        shape: CsvColumns | str = "plain"
        try:
            shape = shape_of(text, delimiter, self._mapping)
        except NoHeader as error:
            problem = error
        if shape == "json":
            return self._json(chain([(number, raw)], lines))
        if isinstance(shape, CsvColumns) and not is_weak(shape):
            return self._table(lines, shape)
        looked_at = [(number, raw)]
        if problem is not None or isinstance(shape, CsvColumns) or may_be_title(text):
            header = self._header_below(looked_at, lines, delimiter)
            if header is not None:
                titles = [(line, self._decode(title[:MAX_LINE]).strip(" ,;\t\r")) for line, title in looked_at]
                header.layout.titles = [(line, title) for line, title in titles if title]
                return self._table(lines, header)
        if problem is not None:
            raise problem
        if isinstance(shape, CsvColumns):
            return self._table(chain(looked_at[1:], lines), shape)
        return self._plain(chain(looked_at, lines))

    def _header_below(
        self, looked_at: list[tuple[int, bytes]], lines: NumberedLines, delimiter: str | None
    ) -> CsvColumns | None:
        """Return the header that follows the lines in ``looked_at``, to which those in between are added, or ``None``."""
        while len(looked_at) <= MAX_TITLE_LINES:
            item = next(lines, None)
            if item is None:
                return None
            text = self._decode(item[1][:MAX_LINE])
            if len(item[1]) <= MAX_LINE and not text.lstrip().startswith("#"):
                header = header_of(text, delimiter, self._mapping)
                if header is not None and header.count > 1 and not is_weak(header):
                    return header
            looked_at.append(item)
        return None

    def _table(self, lines: NumberedLines, columns: CsvColumns) -> _Rows:
        self.layout = layout = columns.layout
        sample = []
        for raw in self._lines.following(SAMPLE_ROWS):
            cells = header_cells(self._decode(raw), columns.delimiter)
            if len(cells) > 1 or columns.count == 1:  # else a quoted cell that spans lines
                sample.append(dict(zip(columns.names, cells, strict=False)))
        layout.look_at(sample)
        return parse_table(lines, columns, self._parser, self._decode)

    def _json(self, lines: NumberedLines) -> _Rows:
        first = next(lines)
        objects = []
        for raw in (first[1], *self._lines.following(SAMPLE_ROWS)):
            try:
                value = load_object(raw, self._decode)
            except orjson.JSONDecodeError:
                continue
            if isinstance(value, dict):
                objects.append(value)
        if objects:
            self.layout = layout = json_layout(objects, self._mapping)
            sample = [{key.strip(): cell for key, cell in value.items() if isinstance(cell, str)} for value in objects]
            layout.look_at(sample)
        return parse_json_lines(chain([first], lines), self._parser, self._decode, JsonKeys(self._mapping))

    def _plain(self, lines: NumberedLines) -> _Rows:
        row = 0
        for number, raw in lines:
            if len(raw) > MAX_LINE:
                if raw.lstrip().startswith(b"#"):
                    continue
                row += 1
                yield too_long(row, number)
                continue
            text = strip_comment(self._decode(raw))
            if text:
                row += 1
                yield self._parser.parse_line(row, number, text)


class _NumberedLines:
    """Iterates over a file's lines as (line number from 1, bytes without line end); ``number`` is the last one read.

    ``decoder`` makes text of them, and ``encoding`` names that of the file where its first bytes tell. ``on_guess`` is called when
    a line shows that the file has another one.
    """

    def __init__(self, file: BinaryIO, on_guess: Callable[[], None]) -> None:
        self.number = 0
        self.encoding = ""
        self.decoder = LineDecoder()
        self._on_guess = on_guess
        self._file = file
        self._blank = 0  # lines dropped from the block that was read last
        self._batch: list[bytes] = []  # lines that were read together, and how many of them are taken
        self._taken = 0

    def following(self, count: int) -> list[bytes]:
        """Return the next lines, at most ``count``, of those that are read already: nothing is waited for."""
        return [line for line in self._batch[self._taken : self._taken + count] if len(line) <= MAX_LINE]

    def __iter__(self) -> NumberedLines:
        source = blocks(self._file)
        start = next(source, b"")
        while 0 < len(start) < _MARK_SEEN and b"\n" not in start and (more := next(source, b"")):
            start += more
        encoding, length = marked(start)
        start = start[length:]
        if start.startswith(_ZIP):
            raise InventoryError("is a ZIP file or a spreadsheet: save it as CSV")
        source = chain((start,) if start else (), source)
        if encoding and encoding != "utf-8":
            self.encoding = encoding
            source = as_utf8(source, encoding)
            start = next(source, b"")
            source = chain((start,) if start else (), source)
        # Old spreadsheets end lines with a lone carriage return.
        newline = b"\r" if b"\n" not in start and b"\r" in start[:-1] else b"\n"
        number = 0
        source = self._without_blank_lines(source, newline)
        for batch in batches_of_lines(source, MAX_LINE, newline):
            self._batch, self._taken = batch, 0
            for line in batch:
                self._taken += 1
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
            if self.decoder.learn(block):
                self._on_guess()
            if block.isspace() and (blank := block.count(newline)) > 1:
                self._blank += blank - 1
                yield block[: block.index(newline) + 1] + block[block.rindex(newline) + 1 :]
            else:
                yield block
        if self.decoder.learn(b"", last=True):
            self._on_guess()
